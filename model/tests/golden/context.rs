//! "FRED event delivery: determining the new context".

use super::*;
use guest::{ENTRY, FRED_RSP, STACK};
use model::event::Event;

/// New RIP: the entry page for an event from ring 3.
#[test]
fn ring_3_enters_at_the_page() {
    let mut g = ring_3(UD2);
    g.frame();
    assert_eq!(g.cpu.rip, 0xA001, "after the HLT at 0xA000");
}

/// New RIP: 256 bytes further for an event from ring 0.
#[test]
fn ring_0_enters_256_bytes_further() {
    let mut g = ring_0(UD2);
    g.frame();
    assert_eq!(g.cpu.rip, 0xA101);
}

/// Stack level: 0 for what ring 3 meets, whatever IA32_FRED_STKLVLS says.
#[test]
fn ring_3_goes_to_level_0() {
    let mut g = ring_3(UD2);
    g.cpu.msrs.fred.stklvls = u64::MAX;
    g.frame();
    assert_eq!((g.cpu.gpr[4], g.cpu.msrs.fred.config), (0xBFC0, 0xA000));
}

/// Stack level: a nested exception takes its own, also when ring 3 met the first event.
#[test]
fn a_nested_exception_from_ring_3_takes_its_level() {
    let mut g = ring_3(UD2);
    g.map(FRED_RSP[0] - 0x1000, 6);
    g.cpu.msrs.fred.stklvls = 2 << 28;
    g.frame();
    assert_eq!((g.cpu.gpr[4], g.cpu.msrs.fred.config), (0xDFC0, 0xA002));
}

/// Stack level: #DF takes its own, also from ring 3.
#[test]
fn a_double_fault_from_ring_3_takes_its_level() {
    let mut g = ring_3(&[0xA1, 0, 0, 0x19, 0, 0, 0, 0, 0]);
    g.map(0x19_0000, 6);
    g.map(FRED_RSP[0] - 0x1000, 6);
    g.cpu.msrs.fred.stklvls = 3 << 16;
    g.frame();
    assert_eq!((g.cpu.gpr[4], g.cpu.msrs.fred.config), (0xEFC0, 0xA003));
}

/// Stack level: an external interrupt takes bits 10:9 of IA32_FRED_CONFIG.
#[test]
fn an_interrupt_takes_the_level_of_config() {
    let mut g = ring_0(NOP);
    g.cpu.msrs.fred.config = ENTRY | 0x400;
    inject(&mut g, Event::interrupt(0x80));
    assert_eq!((g.cpu.gpr[4], g.cpu.msrs.fred.config), (0xDFC0, 0xA402));
}

/// Stack level: an NMI takes bits 5:4 of IA32_FRED_STKLVLS.
#[test]
fn an_nmi_takes_the_level_of_vector_2() {
    let mut g = ring_0(NOP);
    g.cpu.msrs.fred.stklvls = 0x30;
    inject(&mut g, Event::nmi());
    assert_eq!((g.cpu.gpr[4], g.cpu.msrs.fred.config), (0xEFC0, 0xA003));
}

/// Stack level: an exception takes two bits of IA32_FRED_STKLVLS by its vector.
#[test]
fn an_exception_takes_the_level_of_its_vector() {
    let mut g = ring_0(BAD_SS);
    g.cpu.msrs.fred.stklvls = 1 << 26;
    g.frame();
    assert_eq!((g.cpu.gpr[4], g.cpu.msrs.fred.config), (0xCFC0, 0xA001));
}

/// Stack level: INT1 takes that of vector 1.
#[test]
fn int1_takes_the_level_of_vector_1() {
    let mut g = ring_0(INT1);
    g.cpu.msrs.fred.stklvls = 0b10_00;
    g.frame();
    assert_eq!(g.cpu.msrs.fred.config, 0xA002);
}

/// Stack level: INT3 takes that of vector 3.
#[test]
fn int3_takes_the_level_of_vector_3() {
    let mut g = ring_0(INT3);
    g.cpu.msrs.fred.stklvls = 0xC0;
    g.frame();
    assert_eq!(g.cpu.msrs.fred.config, 0xA003);
}

/// Stack level: INT n asks for 0, whatever its vector.
#[test]
fn int_n_asks_for_level_0() {
    let mut g = ring_0(INT_14);
    g.cpu.msrs.fred.stklvls = u64::MAX;
    g.frame();
    assert_eq!((g.cpu.gpr[4], g.cpu.msrs.fred.config), (0x17_FFC0, 0xA000));
}

/// Stack level: SYSCALL asks for 0.
#[test]
fn syscall_asks_for_level_0() {
    let mut g = ring_0(SYSCALL);
    g.cpu.msrs.fred.stklvls = u64::MAX;
    g.frame();
    assert_eq!((g.cpu.gpr[4], g.cpu.msrs.fred.config), (0x17_FFC0, 0xA000));
}

/// Stack level: the current one when that is higher.
#[test]
fn the_level_never_falls_in_delivery() {
    let mut g = ring_0(INT3);
    g.cpu.msrs.fred.config = ENTRY | 2;
    g.cpu.msrs.fred.stklvls = 0x40;
    g.frame();
    assert_eq!((g.cpu.gpr[4], g.cpu.msrs.fred.config), (0x17_FFC0, 0xA002));
}

/// New RSP: that of the new level when it is higher, whatever RSP was.
#[test]
fn a_higher_level_has_its_own_stack() {
    let mut g = ring_0(INT3);
    g.cpu.gpr[4] = 0x123;
    g.cpu.msrs.fred.stklvls = 0x40;
    g.frame();
    assert_eq!((g.cpu.gpr[4], g.top()[4]), (0xCFC0, 0x123));
}

/// New RSP: RSP aligned down to 64 bytes when the level stays.
#[test]
fn the_same_level_aligns_the_stack() {
    let mut g = ring_0(UD2);
    g.cpu.gpr[4] = STACK + 0x3F;
    g.frame();
    assert_eq!((g.cpu.gpr[4], g.top()[4]), (0x17_FFC0, 0x18_003F));
}

/// New RSP: bits 8:6 of IA32_FRED_CONFIG are subtracted first when the level stays.
#[test]
fn the_redzone_is_left_alone() {
    let mut g = ring_0(UD2);
    g.cpu.msrs.fred.config = ENTRY | 0x1C0;
    g.frame();
    assert_eq!(g.cpu.gpr[4], 0x17_FE00);
}

/// New RSP: no redzone on the stack of a higher level.
#[test]
fn a_higher_level_has_no_redzone() {
    let mut g = ring_0(INT3);
    g.cpu.msrs.fred.config = ENTRY | 0x1C0;
    g.cpu.msrs.fred.stklvls = 0x40;
    g.frame();
    assert_eq!(g.cpu.gpr[4], 0xCFC0);
}

/// New CS and SS: IA32_STAR's ring-0 selectors for an event from ring 3.
#[test]
fn ring_3_loads_the_segments_of_star() {
    let mut g = ring_3(UD2);
    g.cpu.msrs.star = 0x001B_000B_0000_0000;
    g.frame();
    assert_eq!((g.cpu.segments.cs.selector, g.cpu.segments.ss.selector, g.cpu.cpl()), (0x08, 0x10, 0));
    assert_eq!((g.cpu.segments.cs.l, g.cpu.segments.cs.limit), (true, 0xFFFF_FFFF));
}

/// New CS and SS: those that are there for an event from ring 0.
#[test]
fn ring_0_keeps_its_segments() {
    let mut g = ring_0(UD2);
    g.cpu.msrs.star = 0x0050_0000_0000;
    g.frame();
    assert_eq!((g.cpu.segments.cs.selector, g.cpu.segments.ss.selector), (0x08, 0x10));
}

/// GS.base: exchanged with IA32_KERNEL_GS_BASE for an event from ring 3.
#[test]
fn ring_3_swaps_gs() {
    let mut g = ring_3(UD2);
    (g.cpu.segments.gs.base, g.cpu.msrs.kernel_gs_base) = (3, 7);
    g.frame();
    assert_eq!((g.cpu.segments.gs.base, g.cpu.msrs.kernel_gs_base), (7, 3));
}

/// GS.base: as it was for an event from ring 0.
#[test]
fn ring_0_keeps_gs() {
    let mut g = ring_0(UD2);
    (g.cpu.segments.gs.base, g.cpu.msrs.kernel_gs_base) = (3, 7);
    g.frame();
    assert_eq!((g.cpu.segments.gs.base, g.cpu.msrs.kernel_gs_base), (3, 7));
}

/// New RFLAGS: bit 1 alone.
#[test]
fn flags_are_cleared() {
    let mut g = ring_0(UD2);
    g.cpu.rflags = 0x4_06D7;
    g.frame();
    assert_eq!(g.cpu.rflags, 2);
}

/// NMIs: blocked by the delivery of one.
#[test]
fn an_nmi_blocks_nmis() {
    let mut g = ring_0(NOP);
    inject(&mut g, Event::nmi());
    assert!(g.cpu.nmi_blocking);
    let mut g = ring_0(NOP);
    inject(&mut g, Event::interrupt(2));
    assert!(!g.cpu.nmi_blocking);
}

/// A delivery that faults: nothing of the new context is there.
#[test]
fn a_failed_delivery_changes_no_register() {
    let mut g = ring_3(UD2);
    g.map(FRED_RSP[0] - 0x1000, 6);
    let before = g.cpu.clone();
    g.enter(model::processor::Entry { intercepts: 1 << 14, ..Default::default() });
    assert_eq!(
        (g.cpu.rip, g.cpu.gpr, g.cpu.segments, g.cpu.msrs),
        (CODE, before.gpr, before.segments, before.msrs)
    );
}
