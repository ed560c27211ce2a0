//! "FRED event delivery: the stack frame".

use super::*;
use fred::event::EventType;

/// Every quadword: error code, RIP, CS slot, RFLAGS slot, RSP, SS slot, event data, and the reserved one,
/// which is 0.
#[test]
fn each_event_has_its_frame() {
    for (event, mut g, frame) in [
        // No error code, the instruction of a fault, RF set.
        ("#UD", ring_0(UD2), [0, CODE, 0x08, 0x1_0002, STACK, UD, 0, 0]),
        ("#UD in ring 3", ring_3(UD2), [0, CODE, 0x2B, 0x1_0002, STACK, 0x0203_0006_0000_0023, 0, 0]),
        // The error code of a segment exception is its selector.
        ("#GP", ring_0(BAD_SS), [0x08, BAD_SS_RIP, 0x08, 0x1_0002, STACK, GP, 0, 0]),
        ("#PF", ring_0(LOAD_NEXT).without(NEXT), [0, CODE, 0x08, 0x1_0002, STACK, PF, 0x19_1000, 0]),
        // A trap: the next instruction.
        ("a step", ring_0(NOP).stepping(), [0, CODE + 1, 0x08, 0x102, STACK, DB, 0x4000, 0]),
        // RF is not set by a trap of a completed instruction.
        ("a store", ring_0(STORE).watching(WRITE_1, DATA), [0, CODE + 8, 0x08, 2, STACK, DB, 1, 0]),
        // RF as it was: the fault form of #DB would come again without it.
        ("a breakpoint", ring_0(NOP).watching(EXECUTE, CODE), [0, CODE, 0x08, 2, STACK, DB, 1, 0]),
        // The next RIP and RF as it was for software events. Type 6, length 1 and no bit 17.
        ("INT3", ring_0(INT3), [0, CODE + 1, 0x08, 2, STACK, 0x1206_0003_0000_0010, 0, 0]),
        // Type 5, length 1 and no bit 17.
        ("INT1", ring_0(INT1), [0, CODE + 1, 0x08, 2, STACK, 0x1205_0001_0000_0010, 0, 0]),
        // Type 4, bit 17 and length 2, also with a vector that INT3 and INT1 have as well.
        ("INT 14", ring_0(INT_14), [0, CODE + 2, 0x08, 2, STACK, 0x2204_000E_0002_0010, 0, 0]),
        ("INT 3", ring_0(&[0xCD, 3]), [0, CODE + 2, 0x08, 2, STACK, 0x2204_0003_0002_0010, 0, 0]),
        ("INT 1", ring_0(&[0xCD, 1]), [0, CODE + 2, 0x08, 2, STACK, 0x2204_0001_0002_0010, 0, 0]),
        ("INT 0x80", ring_0(&[0xCD, 0x80]), [0, CODE + 2, 0x08, 2, STACK, 0x2204_0080_0002_0010, 0, 0]),
        // Type 7, vector 1, bit 17 and length 2.
        ("SYSCALL", ring_3(SYSCALL), [0, CODE + 2, 0x2B, 2, STACK, 0x2207_0001_0002_0023, 0, 0]),
        // The length counts prefixes.
        ("DS INT3", ring_0(&[0x3E, 0x3E, 0xCC]), [0, CODE + 3, 8, 2, STACK, 0x3206_0003_0000_0010, 0, 0]),
        // Bit 16 of the SS slot for blocking by STI.
        ("STI", ring_0(&[0xFB, 0x0F, 0x0B]), [0, CODE + 1, 8, 0x1_0202, STACK, UD | 0x1_0000, 0, 0]),
        // Bit 57 of the SS slot is clear outside 64-bit mode.
        ("32-bit", compatibility_mode(UD2), [0, CODE, 0x1B, 0x1_0002, STACK, 0x0003_0006_0000_0023, 0, 0]),
    ] {
        // What nobody may leave there or take along.
        g.put_all(STACK - 64, &[u64::MAX; 8]);
        g.put_all(guest::FRED_RSP[0] - 64, &[u64::MAX; 8]);
        g.cpu.cr2 = 0x1234;
        assert_eq!(g.frame(), frame, "{event}");
        assert!(!g.cpu.sti_blocking, "{event}");
    }
}

/// Error code and data of #PF in ring 3.
#[test]
fn a_page_fault_of_ring_3() {
    let mut g = ring_3(&[0x89, 0x04, 0x25, 0, 0x10, 0x19, 0]).but(|g| g.map(NEXT, 3));
    assert_eq!(g.frame(), [7, CODE, 0x2B, 0x1_0002, STACK, 0x0203_000E_0000_0023, 0x19_1000, 0]);
}

/// CS slot: the stack level at the event in bits 17:16.
#[test]
fn the_cs_slot_holds_the_stack_level() {
    for (level, cs) in [(0, 0x08), (1, 0x1_0008), (3, 0x3_0008)] {
        assert_eq!(ring_0(UD2).but(|g| g.cpu.msrs.fred.config = ENTRY | level).frame()[2], cs, "{level}");
    }
}

/// RSP slot: what the event interrupted, all 64 bits.
#[test]
fn the_old_rsp_is_saved() {
    assert_eq!(ring_3(UD2).but(|g| g.cpu.gpr[4] = 0x8765_4321_0FED_CBA9).frame()[4], 0x8765_4321_0FED_CBA9);
}

/// Type 0 of an external interrupt, type 2 and bit 18 of an NMI; and "VM entries: event injection": an error
/// code, event data and the nested bit are pushed as they are, and neither CR2 nor DR6 is touched.
#[test]
fn injected_events_are_pushed_as_given() {
    let nested = Event { data: 0xDEAD_0000, nested: true, ..Event::with_error_code(14, 2) };
    let any_data = Event { data: 0x1234_5678_9ABC_DEF0, ..Event::ud() };
    let soft = Event::software(0x80, EventType::SoftwareInterrupt, 2);
    for (event, error, rip, ss, data) in [
        (Event::nmi(), 0, CODE, 0x0202_0002_0004_0010, 0),
        (Event::interrupt(0x40), 0, CODE, 0x0200_0040_0000_0010, 0),
        (Event::interrupt(0xFE), 0, CODE, 0x0200_00FE_0000_0010, 0),
        (nested, 2, CODE, 0x0603_000E_0000_0010, 0xDEAD_0000),
        (Event::debug(0x4000), 0, CODE, DB, 0x4000),
        (any_data, 0, CODE, UD, 0x1234_5678_9ABC_DEF0),
        (soft, 0, CODE + 2, 0x2204_0080_0002_0010, 0),
    ] {
        let mut g = ring_0(NOP).but(|g| g.put(STACK - 16, 9));
        assert_eq!(g.inject(event), [error, rip, 0x08, 2, STACK, ss, data, 0], "{event:x?}");
        assert_eq!((g.cpu.cr2, g.cpu.dr6), (0, 0xFFFF_0FF0), "{event:x?}");
    }
}

/// SS slot: bit 58 for an exception met in delivery. Its event data is an address of the frame.
#[test]
fn the_ss_slot_says_nested() {
    let mut g = ring_0(UD2).without(STACK - 0x1000).but(|g| g.cpu.msrs.fred.stklvls = 2 << 28);
    let frame = g.frame();
    assert_eq!(frame[..6], [2, CODE, 0x08, 0x1_0002, STACK, 0x0603_000E_0000_0010]);
    assert!((STACK - 64..STACK).contains(&frame[6]), "{:x}", frame[6]);
    assert_eq!((g.cpu.cr2, g.cpu.gpr[4], g.cpu.msrs.fred.config), (frame[6], 0xDFC0, 0xA002));
}

/// SS slot: #DF is not nested, and its error code is 0.
#[test]
fn a_double_fault_is_not_nested() {
    let levels = |g: &mut Guest| g.cpu.msrs.fred.stklvls = 1 << 16;
    let mut g = ring_0(LOAD).without(DATA).without(STACK - 0x1000).but(levels);
    assert_eq!(g.frame(), [0, CODE, 0x08, 0x1_0002, STACK, 0x0203_0008_0000_0010, 0, 0]);
    let mut g = ring_3(LOAD).without(DATA).without(STACK_0).but(levels);
    assert_eq!(g.frame(), [0, CODE, 0x2B, 0x1_0002, STACK, 0x0203_0008_0000_0023, 0, 0]);
    assert!((0xBFC0..0xC000).contains(&g.cpu.cr2), "the second fault's address");
    assert_eq!(g.cpu.gpr[4], 0xCFC0);
}

#[test]
fn an_intercepted_double_fault_is_no_exit_during_delivery() {
    let mut g = ring_0(LOAD).without(DATA).without(STACK - 0x1000);
    let exit = g.enter(Entry { intercepts: 1 << 8, ..Entry::default() });
    assert_eq!(exit.reason, ExitReason::Exception(Event::with_error_code(8, 0)));
    assert_eq!(exit.original, None);
}

#[test]
fn a_fault_in_double_fault_delivery_shuts_down() {
    let mut g = ring_0(LOAD).without(DATA).without(STACK - 0x1000);
    assert_eq!(g.run().reason, ExitReason::TripleFault);
}

/// "Alignment check": in ring 3 with CR0.AM and RFLAGS.AC, an access that is not aligned.
#[test]
fn alignment_is_checked_in_ring_3_with_am_and_ac() {
    // MOV EAX, [DATA + offset]; the HLT after it is #GP.
    for (am, ac, offset, vector) in [(1, 1, 2, 0x11), (0, 1, 2, 0xD), (1, 0, 2, 0xD), (1, 1, 4, 0xD)] {
        let mut g = ring_3(&[0x8B, 0x04, 0x25, offset, 0, 0x19, 0]);
        g.cpu.cr0 |= am << 18;
        g.cpu.rflags |= ac << 18;
        let frame = g.frame();
        let rip = if vector == 0x11 { CODE } else { CODE + 7 };
        assert_eq!(
            (frame[0], frame[1], frame[5]),
            (0, rip, 0x0203_0000_0000_0023 | vector << 32),
            "{am}, {ac}, {offset}"
        );
    }
}
