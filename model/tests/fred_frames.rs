//! The frame of each event, delivered by FRED: every quadword against a literal.

mod guest;

use fred::event::EventType;
use guest::{CODE, DATA, ENTRY, FRED_RSP, Guest, NEXT, STACK};
use iced_x86::code_asm::*;
use model::event::Event;
use model::processor::{Entry, ExitReason};

/// A frame from ring 0 on the stack it interrupted, RFLAGS 2.
fn ring_0(error: u64, rip: u64, rflags: u64, slot: u64, data: u64) -> [u64; 8] {
    [error, rip, 0x08, rflags, 0x18_0000, slot, data, 0]
}

#[test]
fn page_fault_from_ring_0() {
    let mut g = Guest::fred().with(|a| a.mov(rax, qword_ptr(NEXT)).unwrap());
    g.map(NEXT, 6);
    g.cpu.cr2 = 0x1111;
    assert_eq!(g.frame(), ring_0(0, CODE, 0x1_0002, 0x0203_000E_0000_0010, 0x19_1000));
    assert_eq!(g.cpu.cr2, 0x19_1000);
    assert_eq!(g.cpu.gpr[4], 0x17_FFC0);
    assert_eq!(g.cpu.rip, ENTRY + 0x101, "after the HLT at the ring-0 entry point");
    assert_eq!(g.cpu.rflags, 2);
}

#[test]
fn page_fault_from_ring_3() {
    let mut g = Guest::fred().in_ring_3().with(|a| a.mov(qword_ptr(NEXT), rax).unwrap());
    g.map(NEXT, 3);
    g.cpu.msrs.kernel_gs_base = 0x5555;
    g.cpu.segments.gs.base = 0x6666;
    let frame = g.frame();
    assert_eq!(frame, [7, CODE, 0x2B, 0x1_0002, STACK, 0x0203_000E_0000_0023, 0x19_1000, 0]);
    assert_eq!(g.cpu.gpr[4], FRED_RSP[0] - 64);
    assert_eq!(g.cpu.rip, ENTRY + 1);
    assert_eq!((g.cpu.segments.cs.selector, g.cpu.segments.ss.selector), (0x08, 0x10));
    assert_eq!((g.cpu.msrs.kernel_gs_base, g.cpu.segments.gs.base), (0x6666, 0x5555));
    assert_eq!(g.cpu.cpl(), 0);
}

#[test]
fn page_fault_while_delivering_ud() {
    // The stack of level 0 is gone; #PF goes to level 2.
    let mut g = Guest::fred().with(|a| a.ud2().unwrap());
    g.map(STACK - 0x1000, 6);
    g.cpu.msrs.fred.stklvls = 2 << 28;
    let frame = g.frame();
    assert_eq!(frame[0], 2);
    assert_eq!(frame[1..6], [CODE, 0x08, 0x1_0002, STACK, 0x0603_000E_0000_0010]);
    assert!((STACK - 64..STACK).contains(&frame[6]), "{:x}", frame[6]);
    assert_eq!(g.cpu.cr2, frame[6]);
    assert_eq!(g.cpu.gpr[4], FRED_RSP[2] - 64);
    assert_eq!(g.cpu.msrs.fred.config & 3, 2);
}

#[test]
fn nested_exception_from_ring_3_enters_at_the_ring_3_entry_with_its_stack_level() {
    let mut g = Guest::fred().in_ring_3().with(|a| a.ud2().unwrap());
    g.map(FRED_RSP[0] - 0x1000, 6);
    g.cpu.msrs.fred.stklvls = 3 << 28;
    let frame = g.frame();
    assert_eq!(frame[1..6], [CODE, 0x2B, 0x1_0002, STACK, 0x0603_000E_0000_0023]);
    assert_eq!(g.cpu.gpr[4], FRED_RSP[3] - 64);
    assert_eq!(g.cpu.rip, ENTRY + 1);
}

#[test]
fn two_page_faults_are_a_double_fault_that_is_not_nested() {
    let mut g = Guest::fred().in_ring_3().with(|a| a.mov(rax, qword_ptr(NEXT)).unwrap());
    g.map(NEXT, 6);
    g.map(FRED_RSP[0] - 0x1000, 6);
    g.cpu.msrs.fred.stklvls = 1 << 16;
    let frame = g.frame();
    assert_eq!(frame[0], 0);
    assert_eq!(frame[5..], [0x0203_0008_0000_0023, 0, 0]);
    assert!((FRED_RSP[0] - 64..FRED_RSP[0]).contains(&g.cpu.cr2), "the second fault's address");
    assert_eq!(g.cpu.gpr[4], FRED_RSP[1] - 64);
}

#[test]
fn an_intercepted_double_fault_is_no_exit_during_delivery() {
    let mut g = Guest::fred().with(|a| a.mov(rax, qword_ptr(NEXT)).unwrap());
    g.map(NEXT, 6);
    g.map(STACK - 0x1000, 6);
    let exit = g.enter(Entry { intercepts: 1 << 8, ..Entry::default() });
    assert_eq!(exit.reason, ExitReason::Exception(Event::with_error_code(8, 0)));
    assert_eq!(exit.original, None);
}

#[test]
fn a_fault_in_double_fault_delivery_shuts_down() {
    let mut g = Guest::fred().with(|a| a.mov(rax, qword_ptr(NEXT)).unwrap());
    g.map(NEXT, 6);
    g.map(STACK - 0x1000, 6);
    assert_eq!(g.run().reason, ExitReason::TripleFault);
}

#[test]
fn software_events_have_type_length_and_the_next_rip() {
    let mut g = Guest::fred().with(|a| a.int3().unwrap());
    assert_eq!(g.frame(), ring_0(0, CODE + 1, 2, 0x1206_0003_0000_0010, 0));
    let mut g = Guest::fred().with_bytes(&[0xF1]);
    g.cpu.dr6 = 0xFFFF_0FF0;
    assert_eq!(g.frame(), ring_0(0, CODE + 1, 2, 0x1205_0001_0000_0010, 0));
    assert_eq!(g.cpu.dr6, 0xFFFF_0FF0);
    let mut g = Guest::fred().with_bytes(&[0xCD, 0x80]);
    assert_eq!(g.frame(), ring_0(0, CODE + 2, 2, 0x2204_0080_0002_0010, 0));
    let mut g = Guest::fred().in_ring_3().with(|a| a.syscall().unwrap());
    g.cpu.gpr[1] = 0x1234;
    assert_eq!(g.frame(), [0, CODE + 2, 0x2B, 2, STACK, 0x2207_0001_0002_0023, 0, 0]);
    assert_eq!(g.cpu.gpr[1], 0x1234, "RCX is untouched");
}

#[test]
fn injected_events_are_pushed_as_given() {
    let inject = |event| {
        let mut g = Guest::fred();
        let exit = g.enter(Entry { injected: Some(event), ..Entry::default() });
        assert_eq!(exit.reason, ExitReason::Halt);
        (g.top(), g)
    };
    let (frame, g) = inject(Event::nmi());
    assert_eq!(frame, ring_0(0, CODE, 2, 0x0202_0002_0004_0010, 0));
    assert!(g.cpu.nmi_blocking);
    assert_eq!(inject(Event::interrupt(0x40)).0, ring_0(0, CODE, 2, 0x0200_0040_0000_0010, 0));
    let event = Event { data: 0xDEAD_0000, nested: true, ..Event::with_error_code(14, 2) };
    let (frame, g) = inject(event);
    assert_eq!(frame, ring_0(2, CODE, 2, 0x0603_000E_0000_0010, 0xDEAD_0000));
    assert_eq!(g.cpu.cr2, 0, "injection leaves CR2 alone");
    let (frame, g) = inject(Event::debug(0x4000));
    assert_eq!(frame[6], 0x4000);
    assert_eq!(g.cpu.dr6, 0xFFFF_0FF0, "and DR6");
    let soft = Event::software(0x80, EventType::SoftwareInterrupt, 2);
    assert_eq!(inject(soft).0[1], CODE + 2);
}

#[test]
fn stack_levels_and_redzone() {
    let mut g = Guest::fred().with(|a| a.ud2().unwrap());
    // CSL 1, a redzone of 128 bytes; #UD asks for level 0, so it stays on its stack.
    g.cpu.msrs.fred.config = ENTRY | 2 << 6 | 1;
    g.cpu.gpr[4] = STACK - 8;
    let frame = g.frame();
    assert_eq!(frame[2], 0x1_0008);
    assert_eq!(frame[4], STACK - 8);
    assert_eq!(g.cpu.gpr[4], 0x17_FF00, "(RSP - 128) & !63 - 64");
    assert_eq!(g.cpu.msrs.fred.config, ENTRY | 2 << 6 | 1);
}

#[test]
fn interrupts_take_their_level_from_config() {
    let mut g = Guest::fred();
    g.cpu.msrs.fred.config = ENTRY | 3 << 9;
    g.enter(Entry { injected: Some(Event::interrupt(0x20)), ..Entry::default() });
    assert_eq!(g.cpu.gpr[4], FRED_RSP[3] - 64);
    assert_eq!(g.cpu.msrs.fred.config, ENTRY | 3 << 9 | 3);
}

#[test]
fn blocking_by_sti_is_in_the_frame() {
    let mut g = Guest::fred().with(|a| {
        a.sti().unwrap();
        a.ud2().unwrap();
    });
    let frame = g.frame();
    assert_eq!(frame[5], 0x0203_0006_0001_0010);
    assert_eq!(frame[3], 0x1_0202);
    assert!(!g.cpu.sti_blocking);
}

#[test]
fn a_straddling_read_reports_the_second_page() {
    let mut g = Guest::fred().with(|a| a.mov(rax, qword_ptr(NEXT - 3)).unwrap());
    g.map(NEXT, 6);
    assert_eq!(g.frame()[6], 0x19_1000);
    let mut g = Guest::fred().with(|a| a.mov(qword_ptr(NEXT - 3), rax).unwrap());
    g.cpu.gpr[0] = u64::MAX;
    g.map(NEXT, 6);
    let frame = g.frame();
    assert_eq!((frame[0], frame[6]), (2, 0x19_1000));
    assert_eq!(g.get(NEXT - 8), 0, "nothing was written to the first page");
    let _ = DATA;
}
