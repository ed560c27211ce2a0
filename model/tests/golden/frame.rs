//! "FRED event delivery: the stack frame".

use super::*;
use guest::{ENTRY, STACK};
use model::event::Event;

/// Error code: 0 for an event that has none.
#[test]
fn no_error_code_is_0() {
    assert_eq!(ring_0(UD2).frame()[0], 0);
}

/// Error code: the selector of a segment exception.
#[test]
fn a_selector_is_the_error_code() {
    assert_eq!(ring_0(BAD_SS).frame()[0], 0x08);
}

/// RIP: the instruction of a fault.
#[test]
fn a_fault_saves_its_own_rip() {
    assert_eq!(ring_0(BAD_SS).frame()[1], BAD_SS_RIP);
}

/// RIP: the next instruction of a trap.
#[test]
fn a_trap_saves_the_next_rip() {
    let mut g = ring_0(NOP);
    g.cpu.rflags |= 0x100;
    assert_eq!(g.frame()[1], 0x10_0001);
}

/// RIP: the next instruction of one that asks for the event.
#[test]
fn a_software_event_saves_the_next_rip() {
    assert_eq!(ring_0(INT3).frame()[1], 0x10_0001);
    assert_eq!(ring_0(INT1).frame()[1], 0x10_0001);
    assert_eq!(ring_0(INT_14).frame()[1], 0x10_0002);
    assert_eq!(ring_3(SYSCALL).frame()[1], 0x10_0002);
}

/// CS slot: the stack level at the event in bits 17:16.
#[test]
fn the_cs_slot_holds_the_stack_level() {
    let mut g = ring_0(UD2);
    g.cpu.msrs.fred.config = ENTRY | 3;
    assert_eq!(g.frame()[2], 0x3_0008);
    assert_eq!(ring_3(UD2).frame()[2], 0x2B);
}

/// RFLAGS slot: RF is set for a fault.
#[test]
fn a_fault_saves_rf() {
    assert_eq!(ring_0(UD2).frame()[3], 0x1_0002);
}

/// RFLAGS slot: RF as it was for software events.
#[test]
fn a_software_event_does_not_save_rf() {
    assert_eq!(ring_0(INT3).frame()[3], 0x2);
}

/// RFLAGS slot: RF as it was for #DB, whose fault form would come again without it.
#[test]
fn a_debug_fault_keeps_rf() {
    let mut g = ring_0(NOP);
    g.cpu.dr[0] = CODE;
    g.cpu.dr7 = 0x402;
    assert_eq!(g.frame()[3], 0x2);
}

/// RSP slot: what the event interrupted, all 64 bits.
#[test]
fn the_old_rsp_is_saved() {
    let mut g = ring_3(UD2);
    g.cpu.gpr[4] = 0x8765_4321_0FED_CBA9;
    assert_eq!(g.frame()[4], 0x8765_4321_0FED_CBA9);
}

/// SS slot: selector, vector, type and 64-bit mode of a hardware exception.
#[test]
fn the_ss_slot_of_an_exception() {
    assert_eq!(ring_0(UD2).frame()[5], 0x0203_0006_0000_0010);
    assert_eq!(ring_3(UD2).frame()[5], 0x0203_0006_0000_0023);
}

/// SS slot: type 0 of an external interrupt.
#[test]
fn the_ss_slot_of_an_interrupt() {
    let mut g = ring_0(NOP);
    inject(&mut g, Event::interrupt(0xFE));
    assert_eq!(g.top()[5], 0x0200_00FE_0000_0010);
}

/// SS slot: type 2 and bit 18 of an NMI.
#[test]
fn the_ss_slot_of_an_nmi() {
    let mut g = ring_0(NOP);
    inject(&mut g, Event::nmi());
    assert_eq!(g.top()[5], 0x0202_0002_0004_0010);
}

/// SS slot: type 4, bit 17 and length 2 of INT n.
#[test]
fn the_ss_slot_of_int_n() {
    assert_eq!(ring_0(INT_14).frame()[5], 0x2204_000E_0002_0010);
}

/// SS slot: type 4 of INT n with a vector that INT3 and INT1 have as well.
#[test]
fn the_two_byte_int_3_is_a_software_interrupt() {
    assert_eq!(ring_0(&[0xCD, 3]).frame()[5], 0x2204_0003_0002_0010);
    assert_eq!(ring_0(&[0xCD, 1]).frame()[5], 0x2204_0001_0002_0010);
}

/// SS slot: type 5, length 1 and no bit 17 of INT1.
#[test]
fn the_ss_slot_of_int1() {
    assert_eq!(ring_0(INT1).frame()[5], 0x1205_0001_0000_0010);
}

/// SS slot: type 6, length 1 and no bit 17 of INT3.
#[test]
fn the_ss_slot_of_int3() {
    assert_eq!(ring_0(INT3).frame()[5], 0x1206_0003_0000_0010);
}

/// SS slot: type 7, vector 1, bit 17 and length 2 of SYSCALL.
#[test]
fn the_ss_slot_of_syscall() {
    assert_eq!(ring_3(SYSCALL).frame()[5], 0x2207_0001_0002_0023);
}

/// SS slot: the length counts prefixes.
#[test]
fn the_length_counts_prefixes() {
    assert_eq!(ring_0(&[0x3E, 0x3E, 0xCC]).frame()[5], 0x3206_0003_0000_0010);
}

/// SS slot: bit 16 for blocking by STI.
#[test]
fn the_ss_slot_says_blocking_by_sti() {
    let mut g = ring_0(&[0xFB, 0x0F, 0x0B]);
    assert_eq!(g.frame()[5], 0x0203_0006_0001_0010);
}

/// SS slot: bit 57 is clear outside 64-bit mode.
#[test]
fn the_ss_slot_of_compatibility_mode() {
    let mut g = ring_3(UD2);
    g.cpu.segments.cs.selector = 0x1B;
    g.cpu.segments.cs.l = false;
    g.cpu.segments.cs.db = true;
    assert_eq!(g.frame()[5], 0x0003_0006_0000_0023);
}

/// SS slot: bit 58 for an exception met in delivery.
#[test]
fn the_ss_slot_says_nested() {
    let mut g = ring_0(UD2);
    g.map(STACK - 0x1000, 6);
    g.cpu.msrs.fred.stklvls = 1 << 28;
    assert_eq!(g.frame()[5], 0x0603_000E_0000_0010);
}

/// SS slot: #DF is not nested, and its error code is 0.
#[test]
fn a_double_fault_is_not_nested() {
    let mut g = ring_0(&[0xA1, 0, 0, 0x19, 0, 0, 0, 0, 0]);
    g.map(0x19_0000, 6);
    g.map(STACK - 0x1000, 6);
    g.cpu.msrs.fred.stklvls = 1 << 16;
    let frame = g.frame();
    assert_eq!((frame[0], frame[5], frame[6]), (0, 0x0203_0008_0000_0010, 0));
}

/// The last quadword is 0.
#[test]
fn the_reserved_slot_is_0() {
    let mut g = ring_0(UD2);
    g.put(STACK - 8, u64::MAX);
    assert_eq!(g.frame()[7], 0);
}
