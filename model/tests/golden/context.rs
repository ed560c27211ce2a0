//! "FRED event delivery: determining the new context".

use super::*;

/// New RIP: the entry page for an event from ring 3, 256 bytes further for one from ring 0. Each is a HLT.
#[test]
fn each_ring_has_its_entry_point() {
    for (mut g, rip) in [(ring_3(UD2), 0xA001), (ring_0(UD2), 0xA101)] {
        g.frame();
        assert_eq!(g.cpu.rip, rip, "{rip:#x}");
    }
}

/// Stack level and new RSP, by IA32_FRED_CONFIG and IA32_FRED_STKLVLS: the RSP and IA32_FRED_CONFIG after.
#[test]
fn the_stack_level_and_its_stack() {
    for (rule, mut g, config, levels, after) in [
        ("0 for what ring 3 meets, whatever it is", ring_3(UD2), 0, u64::MAX, (0xBFC0, 0xA000)),
        ("an exception: by its vector", ring_0(BAD_SS), 0, 1 << 26, (0xCFC0, 0xA001)),
        ("INT1: that of vector 1", ring_0(INT1), 0, 0b10_00, (0xDFC0, 0xA002)),
        ("INT3: that of vector 3", ring_0(INT3), 0, 0xC0, (0xEFC0, 0xA003)),
        ("INT n asks for 0", ring_0(INT_14), 0, u64::MAX, (0x17_FFC0, 0xA000)),
        ("SYSCALL asks for 0", ring_0(SYSCALL), 0, u64::MAX, (0x17_FFC0, 0xA000)),
        ("the current one when that is higher", ring_0(INT3), 2, 0x40, (0x17_FFC0, 0xA002)),
        ("no redzone on the stack of a higher level", ring_0(INT3), 0x1C0, 0x40, (0xCFC0, 0xA1C1)),
        ("bits 8:6 are subtracted when the level stays", ring_0(UD2), 0x1C0, 0, (0x17_FE00, 0xA1C0)),
        ("also above level 0", ring_0(UD2), 0x81, 0, (0x17_FF40, 0xA081)),
    ] {
        g.cpu.msrs.fred.config = ENTRY | config;
        g.cpu.msrs.fred.stklvls = levels;
        g.frame();
        assert_eq!((g.cpu.gpr[4], g.cpu.msrs.fred.config), after, "{rule}");
    }
}

/// Stack level: a nested exception and #DF take their own, also when ring 3 met the first event.
#[test]
fn nested_exceptions_and_double_faults_of_ring_3_take_their_level() {
    for (mut g, levels, after) in [
        (ring_3(UD2), 2 << 28, (0xDFC0, 0xA002)),
        (ring_3(UD2), 3 << 28, (0xEFC0, 0xA003)),
        (ring_3(LOAD).without(DATA), 3 << 16, (0xEFC0, 0xA003)),
    ] {
        g.map(STACK_0, 6);
        g.cpu.msrs.fred.stklvls = levels;
        assert_eq!(g.frame()[1..5], [CODE, 0x2B, 0x1_0002, STACK], "{levels:#x}");
        assert_eq!(
            (g.cpu.gpr[4], g.cpu.msrs.fred.config, g.cpu.rip),
            (after.0, after.1, 0xA001),
            "{levels:#x}"
        );
    }
}

/// Stack level: bits 10:9 of IA32_FRED_CONFIG for an external interrupt, bits 5:4 of IA32_FRED_STKLVLS for an
/// NMI.
#[test]
fn interrupts_and_nmis_have_a_level() {
    for (event, config, levels, after) in [
        (Event::interrupt(0x80), 0x400, 0, (0xDFC0, 0xA402)),
        (Event::interrupt(0x20), 0x600, 0, (0xEFC0, 0xA603)),
        (Event::nmi(), 0, 0x30, (0xEFC0, 0xA003)),
    ] {
        let mut g = ring_0(NOP);
        g.cpu.msrs.fred.config = ENTRY | config;
        g.cpu.msrs.fred.stklvls = levels;
        g.inject(event);
        assert_eq!((g.cpu.gpr[4], g.cpu.msrs.fred.config), after, "{event:x?}");
    }
}

/// New RSP: that of the new level when it is higher, whatever RSP was. When the level stays, RSP less the
/// redzone and aligned down to 64 bytes.
#[test]
fn a_stack_of_the_level_or_the_same_one_aligned() {
    for (mut g, config, rsp, after) in [
        (ring_0(INT3), 0, 0x123, 0xCFC0),
        (ring_0(UD2), 0, STACK + 0x3F, 0x17_FFC0),
        (ring_0(UD2), 0x81, STACK - 8, 0x17_FF00),
    ] {
        g.cpu.gpr[4] = rsp;
        g.cpu.msrs.fred.config = ENTRY | config;
        g.cpu.msrs.fred.stklvls = 0x40;
        assert_eq!((g.frame()[4], g.cpu.gpr[4]), (rsp, after), "{rsp:#x}");
    }
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

/// GS.base: exchanged with IA32_KERNEL_GS_BASE for an event from ring 3, as it was for one from ring 0.
#[test]
fn ring_3_swaps_gs() {
    for (mut g, after) in [(ring_3(UD2), (7, 3)), (ring_0(UD2), (3, 7))] {
        (g.cpu.segments.gs.base, g.cpu.msrs.kernel_gs_base) = (3, 7);
        g.frame();
        assert_eq!((g.cpu.segments.gs.base, g.cpu.msrs.kernel_gs_base), after, "{after:?}");
    }
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
    for (event, blocks) in [(Event::nmi(), true), (Event::interrupt(2), false)] {
        let mut g = ring_0(NOP);
        g.inject(event);
        assert_eq!(g.cpu.nmi_blocking, blocks, "{event:x?}");
    }
}

/// A delivery that faults: nothing of the new context is there.
#[test]
fn a_failed_delivery_changes_no_register() {
    let mut g = ring_3(UD2).without(STACK_0);
    let before = g.cpu.clone();
    g.enter(Entry { intercepts: 1 << 14, ..Entry::default() });
    assert_eq!(
        (g.cpu.rip, g.cpu.gpr, g.cpu.segments, g.cpu.msrs),
        (CODE, before.gpr, before.segments, before.msrs)
    );
}
