//! "FRED return instructions": ERETS and ERETU (SDM vol. 2, their "Operation").

use super::*;

const ERETS: &[u8] = &[0xF2, 0x0F, 0x01, 0xCA];
const ERETU: &[u8] = &[0xF3, 0x0F, 0x01, 0xCA];
const TARGET: u64 = CODE + 0x1000;

/// Error code, RIP, CS, RFLAGS, RSP and SS.
const TO_RING_0: [u64; 6] = [0xEE, TARGET, 0x08, 0x2, STACK + 0x100, 0x10];
const TO_RING_3: [u64; 6] = [0xEE, TARGET, 0x2B, 0x202, STACK + 0x100, 0x23];
const RIP: usize = 1;
const CS: usize = 2;
const RFLAGS: usize = 3;
const SS: usize = 5;

/// ERETS to ring 0, or ERETU to ring 3, with some words of the frame changed; NOP and HLT at the target.
fn returning(instruction: &[u8], changes: &[(usize, u64)]) -> Guest {
    let mut frame = if instruction == ERETS { TO_RING_0 } else { TO_RING_3 };
    for (n, word) in changes {
        frame[*n] = *word;
    }
    ring_0(instruction).but(|g| {
        g.memory.write(TARGET, &[0x90, 0xF4]).unwrap();
        g.put_all(STACK, &frame);
    })
}

/// ERETS: pops the frame after the error code.
#[test]
fn erets_loads_the_frame() {
    for rflags in [0x2, 0x4_08D7] {
        let mut g = returning(ERETS, &[(RFLAGS, rflags)]);
        assert_eq!(g.run().reason, ExitReason::Halt);
        assert_eq!((g.cpu.rip, g.cpu.gpr[4], g.cpu.rflags), (0x10_1002, 0x18_0100, rflags), "{rflags:#x}");
    }
}

/// ERETS: CSL becomes that of the frame when it is lower, and never rises.
#[test]
fn erets_does_not_raise_the_level() {
    for (cs, before, after) in [(0x1_0008, 3, 1), (0x08, 2, 0), (0x2_0008, 0, 0), (0x3_0008, 1, 1)] {
        let mut g = returning(ERETS, &[(CS, cs)]);
        g.cpu.msrs.fred.config = ENTRY | before;
        assert_eq!(g.run().reason, ExitReason::Halt);
        assert_eq!(g.cpu.msrs.fred.config, ENTRY | after, "{cs:#x}, {before}");
    }
}

/// ERETS: #GP(0) for a RIP that is not canonical, another code segment, reserved bits, VM in RFLAGS, another
/// stack segment; and nothing has changed.
#[test]
fn erets_refuses_bad_frames() {
    for (n, word) in [
        (RIP, 0x0000_8000_0000_0000),
        (CS, 0x10),
        (CS, 0x0B),
        (CS, 0x2B),
        (CS, 0x8_0008),
        (CS, 0x1_0000_0008),
        (RFLAGS, 0x0),
        (RFLAGS, 0x0A),
        (RFLAGS, 0x8002),
        (RFLAGS, 0x2_0002),
        (RFLAGS, 0x40_0002),
        (RFLAGS, 0x1_0000_0002),
        (SS, 0x18),
        (SS, 0x23),
        (SS, 0x8_0010),
    ] {
        let frame = returning(ERETS, &[(n, word)]).frame();
        assert_eq!((frame[0], frame[1], frame[4], frame[5]), (0, CODE, STACK, GP), "{n}: {word:#x}");
    }
}

/// ERETS: event type, vector and length of the frame are not looked at.
#[test]
fn erets_ignores_the_event_information() {
    for ss in [0xF6FF_00FF_0000_0010, 0xFFFF_FFFF_0000_0010] {
        let mut g = returning(ERETS, &[(SS, ss)]);
        assert_eq!(g.run().reason, ExitReason::Halt);
        assert_eq!(g.cpu.rip, 0x10_1002, "{ss:#x}");
    }
}

/// ERETS: RF of the frame lets one instruction pass an execution breakpoint.
#[test]
fn erets_loads_rf() {
    let mut g = returning(ERETS, &[(RFLAGS, 0x1_0002)]).watching(EXECUTE, TARGET);
    assert_eq!(g.run().reason, ExitReason::Halt);
    assert_eq!((g.cpu.rip, g.cpu.rflags, g.cpu.dr6), (0x10_1002, 2, 0xFFFF_0FF0));
}

/// ERETS: bit 17 of the SS slot with TF makes a single step pending at once. Without it the step comes after
/// the next instruction.
#[test]
fn erets_can_step_at_once() {
    for (ss, rip) in [(0x2_0010, 0x10_1000), (0x10, 0x10_1001)] {
        let frame = returning(ERETS, &[(RFLAGS, 0x102), (SS, ss)]).frame();
        assert_eq!((frame[1], frame[6]), (rip, 0x4000), "{ss:#x}");
    }
}

/// ERETS: bit 18 of the SS slot, and it alone, unblocks NMIs.
#[test]
fn erets_unblocks_nmis() {
    for (ss, blocked) in [(0x10, true), (0x4_0010, false)] {
        let mut g = returning(ERETS, &[(SS, ss)]);
        g.cpu.nmi_blocking = true;
        g.run();
        assert_eq!(g.cpu.nmi_blocking, blocked, "{ss:#x}");
    }
}

/// ERETS: bit 16 of the SS slot with IF is blocking by STI. It does not last: in the shadow of STI, ERETS ends
/// it.
#[test]
fn erets_establishes_blocking_by_sti_only_with_if() {
    for (rflags, in_shadow, blocking) in [(0x202, false, true), (0x2, false, false), (0x202, true, false)] {
        let mut g = returning(ERETS, &[(RFLAGS, rflags), (SS, 0x1_0010)]);
        if in_shadow {
            g.cpu.rflags |= 0x200;
            g.cpu.sti_blocking = true;
        }
        g.step();
        assert_eq!((g.cpu.rip, g.cpu.sti_blocking), (TARGET, blocking), "{rflags:#x}, {in_shadow}");
    }
}

/// ERETU: loads ring 3's flat segments and swaps GS.base; an event swaps it back.
#[test]
fn eretu_goes_to_ring_3() {
    let mut g = returning(ERETU, &[]);
    g.memory.write(TARGET, INT3).unwrap();
    (g.cpu.segments.gs.base, g.cpu.msrs.kernel_gs_base) = (3, 7);
    g.step();
    assert_eq!((g.cpu.rip, g.cpu.rflags, g.cpu.gpr[4], g.cpu.cpl()), (0x10_1000, 0x202, 0x18_0100, 3));
    assert_eq!((g.cpu.segments.gs.base, g.cpu.msrs.kernel_gs_base), (7, 3));
    assert_eq!(g.frame(), [0, 0x10_1001, 0x2B, 0x202, 0x18_0100, 0x1206_0003_0000_0023, 0, 0]);
    assert_eq!((g.cpu.rip, g.cpu.segments.gs.base), (0xA001, 3));
}

/// ERETU: IA32_STAR's 32-bit code segment is compatibility mode.
#[test]
fn eretu_goes_to_compatibility_mode() {
    let mut g = returning(ERETU, &[(RIP, 0xFFFF_FFFF_0010_1000), (CS, 0x1B), (RFLAGS, 0x2)]);
    g.step();
    assert_eq!((g.cpu.rip, g.cpu.segments.cs.l, g.cpu.cpl()), (0x10_1000, false, 3));
}

/// ERETU: #GP(0) above stack level 0.
#[test]
fn eretu_needs_level_0() {
    assert_eq!(returning(ERETU, &[]).but(|g| g.cpu.msrs.fred.config = ENTRY | 1).frame()[5], GP);
}

/// ERETU: #GP(0) for a RIP that is not canonical, selectors of ring 0, a stack level, an IOPL, reserved bits.
#[test]
fn eretu_refuses_bad_frames() {
    for (n, word) in [
        (RIP, 0x0000_8000_0000_0000),
        (CS, 0x08),
        (CS, 0x1_002B),
        (CS, 0x03),
        (RFLAGS, 0x3002),
        (RFLAGS, 0),
        (SS, 0x10),
        (SS, 0x8_0023),
        (SS, 0x03),
    ] {
        let frame = returning(ERETU, &[(n, word)]).frame();
        assert_eq!((frame[1], frame[4], frame[5]), (CODE, STACK, GP), "{n}: {word:#x}");
    }
}
