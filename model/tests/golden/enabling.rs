//! "Enumeration and enabling", and "Operation of other instructions under FRED".

use super::*;

/// Whether WRMSR takes a value.
#[test]
fn msrs_are_checked() {
    for (rule, index, taken, refused) in [
        ("RSP0: aligned to 64 bytes", 0x1CC, &[0x1000][..], &[0x1020][..]),
        ("RSP1: aligned to 64 bytes", 0x1CD, &[], &[0x1020]),
        ("RSP2: canonical", 0x1CE, &[], &[0x8000_0000_0000]),
        ("RSP3: canonical", 0x1CF, &[0xFFFF_8000_0000_0040], &[]),
        ("STKLVLS: any value", 0x1D0, &[u64::MAX], &[]),
        ("SSP1: aligned to 8 bytes", 0x1D1, &[0x1008], &[]),
        ("SSP2: aligned to 8 bytes", 0x1D2, &[], &[0x1004]),
        ("SSP3: canonical", 0x1D3, &[], &[0x8000_0000_0000]),
        ("SSP0, PL0_SSP: aligned to 4 bytes", 0x6A4, &[4, 0xFFFF_8000_0000_1008], &[1, 2, 0x8000_0000_0000]),
        ("CONFIG: bits 2, 5:4 and 11", 0x1D4, &[0xA7CB], &[0xA004, 0xA010, 0xA020, 0xA800, 0x8000_0000_A000]),
        ("IA32_XFD: TILEDATA alone", 0x1C4, &[1 << 18], &[1 << 17]),
        ("no MSR", 0x9999, &[], &[0]),
    ] {
        for (values, rip) in [(taken, CODE + 3), (refused, 0xA101)] {
            for value in values {
                let mut g = ring_0(&[0x0F, 0x30]);
                (g.cpu.gpr[0], g.cpu.gpr[1], g.cpu.gpr[2]) = (value & 0xFFFF_FFFF, index, value >> 32);
                g.run();
                assert_eq!(g.cpu.rip, rip, "{rule}: {value:#x}");
            }
        }
    }
}

/// CR4.FRED: not outside IA-32e mode.
#[test]
fn cr4_fred_needs_ia_32e_mode() {
    // MOV CR4, EAX in 32-bit code without paging, where the register's upper half does not exist.
    let set = |bytes: &[u8], long: bool| {
        let mut g = Guest::idt().with_bytes(bytes);
        g.cpu.gpr[0] = 1 << 32 | g.cpu.cr4;
        if !long {
            g.cpu.efer = 0;
            g.cpu.cr0 &= !(1 << 31);
            g.cpu.segments.cs.l = false;
            g.cpu.segments.cs.db = true;
        }
        assert_eq!(g.step().reason, ExitReason::Budget);
        assert_eq!(g.cpu.rip, CODE + 3);
        g.cpu.cr4
    };
    assert_eq!(set(&[0x0F, 0x22, 0xE0], true), 0x1_0004_0228);
    assert_eq!(set(&[0x0F, 0x22, 0xE0], false), 0x4_0228);
}

/// SWAPGS, SYSRET and SYSEXIT: #UD.
#[test]
fn instructions_that_fred_takes_away() {
    for bytes in [&[0x0F, 0x01, 0xF8][..], &[0x48, 0x0F, 0x07], &[0x0F, 0x35]] {
        assert_eq!(ring_0(bytes).frame()[5], UD, "{bytes:x?}");
    }
}

/// IRET: #GP with the selector when it would change ring.
#[test]
fn iret_stays_in_its_ring() {
    let frame = ring_0(&[0x48, 0xCF]).but(|g| g.put_all(STACK, &[CODE, 0x2B, 2, STACK, 0x23])).frame();
    assert_eq!((frame[0], frame[5]), (0x28, GP));
}

/// IRET: as ever within ring 0.
#[test]
fn iret_within_ring_0() {
    let mut g = ring_0(&[0x48, 0xCF]);
    g.put_all(STACK, &[CODE + 2, 0x08, 0x46, STACK + 64, 0x10]);
    g.run();
    assert_eq!((g.cpu.rip, g.cpu.rflags, g.cpu.gpr[4]), (0x10_0003, 0x46, 0x18_0040));
}

/// ERETS and ERETU: #UD in ring 3, and without CR4.FRED.
#[test]
fn returns_are_for_ring_0_under_fred() {
    for bytes in [[0xF2, 0x0F, 0x01, 0xCA], [0xF3, 0x0F, 0x01, 0xCA]] {
        assert_eq!(ring_3(&bytes).frame()[5], 0x0203_0006_0000_0023);
        let mut g = Guest::idt().with_bytes(&bytes);
        assert_eq!(g.run().reason, ExitReason::Halt);
        assert_eq!(g.cpu.rip, 0x8061, "the IDT's handler of #UD");
    }
}

/// SYSCALL: RCX and R11 stay.
#[test]
fn syscall_leaves_rcx_and_r11() {
    let mut g = ring_3(SYSCALL);
    (g.cpu.gpr[1], g.cpu.gpr[11]) = (5, 6);
    g.frame();
    assert_eq!((g.cpu.gpr[1], g.cpu.gpr[11]), (5, 6));
}

/// SYSENTER (vol. 2, operation): type 7, vector 2, whatever IA32_SYSENTER_CS holds.
#[test]
fn sysenter_does_not_ask_its_selector() {
    let mut g = ring_3(&[0x0F, 0x34]);
    assert_eq!(g.cpu.read_msr(0x174), Some(0));
    let frame = g.frame();
    assert_eq!((frame[1], frame[5]), (CODE + 2, 0x2207_0002_0002_0023));
}

/// LKGS (vol. 2, operation): #UD above CPL 0.
#[test]
fn lkgs_is_undefined_in_ring_3() {
    let frame = ring_3(&[0xF2, 0x0F, 0x00, 0xF0]).frame();
    assert_eq!((frame[1], frame[5]), (CODE, 0x0203_0006_0000_0023));
}

/// INT n: no gate, so no check of its privilege.
#[test]
fn int_n_needs_no_gate() {
    assert_eq!(ring_3(INT_14).but(|g| g.cpu.idtr.limit = 0).frame()[5], 0x2204_000E_0002_0023);
}

/// LKGS: the new base goes to IA32_KERNEL_GS_BASE.
#[test]
fn lkgs_loads_the_other_base() {
    let mut g = ring_0(&[0xF2, 0x0F, 0x00, 0xF0]);
    g.put(guest::GDT + 0x18, 0x12CF_F334_5678_FFFF);
    (g.cpu.gpr[0], g.cpu.segments.gs.base) = (0x1B, 5);
    assert_eq!(g.run().reason, ExitReason::Halt);
    assert_eq!((g.cpu.segments.gs.selector, g.cpu.segments.gs.base), (0x1B, 5));
    assert_eq!(g.cpu.msrs.kernel_gs_base, 0x1234_5678);
}
