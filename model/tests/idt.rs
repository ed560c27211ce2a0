//! Delivery through the IDT.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set itself up has failed")]

mod guest;

use guest::{CODE, GDT, Guest, HANDLERS, IDT, IST1, NEXT, RSP0, STACK, TSS};
use iced_x86::code_asm::*;
use model::event::Event;
use model::processor::{Entry, ExitReason};

fn handler(vector: u64) -> u64 {
    HANDLERS + 16 * vector + 1
}

#[test]
fn page_fault_on_the_same_stack() {
    let mut g = Guest::idt().with(|a| a.mov(rax, qword_ptr(NEXT)).unwrap()).without(NEXT);
    g.cpu.gpr[4] = STACK - 8;
    g.cpu.rflags |= 0x200;
    let frame = g.frame();
    assert_eq!(frame[..6], [0, CODE, 0x08, 0x1_0202, STACK - 8, 0x10]);
    assert_eq!(g.cpu.gpr[4], STACK - 16 - 48, "aligned to 16 first");
    assert_eq!((g.cpu.rip, g.cpu.rflags, g.cpu.cr2), (handler(14), 2, NEXT));
}

#[test]
fn from_ring_3_the_stack_comes_from_the_tss_and_ss_is_null() {
    let mut g = Guest::idt().in_ring_3().with(|a| a.ud2().unwrap());
    let frame = g.frame();
    assert_eq!(frame[..5], [CODE, 0x2B, 0x1_0002, STACK, 0x23]);
    assert_eq!(g.cpu.gpr[4], RSP0 - 40);
    assert_eq!((g.cpu.segments.ss.selector, g.cpu.segments.ss.unusable, g.cpu.cpl()), (0, true, 0));
}

#[test]
fn an_ist_stack_is_taken_from_ring_0_too() {
    let mut g = Guest::idt().with(|a| a.ud2().unwrap());
    g.put(IDT + 6 * 16 + 4, 0x8E01);
    g.run();
    assert_eq!(g.cpu.gpr[4], IST1 - 40);
}

#[test]
fn a_trap_gate_keeps_if_and_clears_tf() {
    let mut g = Guest::idt().with(|a| a.int3().unwrap());
    g.put(IDT + 3 * 16 + 4, 0x8F00);
    g.cpu.rflags |= 0x300;
    let frame = g.frame();
    assert_eq!(frame[..3], [CODE + 1, 0x08, 0x302]);
    assert_eq!(g.cpu.rflags, 0x202);
}

#[test]
fn int_n_checks_the_gates_dpl_and_faults_do_not() {
    let mut g = Guest::idt().in_ring_3().with(|a| a.int(0x80).unwrap());
    let frame = g.frame();
    assert_eq!((frame[0], frame[1]), (0x402, CODE));
    assert_eq!(g.cpu.rip, handler(13));
    g = Guest::idt().in_ring_3().with(|a| a.int(0x80).unwrap());
    g.put(IDT + 0x80 * 16 + 4, 0xEE00);
    assert_eq!(g.frame()[0], CODE + 2);
}

#[test]
fn bad_gates_and_segments() {
    // What is changed, what is then raised for UD2.
    let cases: [(u64, u64, u64, u64); 6] = [
        (IDT + 6 * 16 + 4, 0x0E00, 11, 6 * 8 + 3),
        (IDT + 6 * 16 + 4, 0x8D00, 13, 6 * 8 + 3),
        (IDT + 6 * 16, 0x8E00_0010_0000, 13, 0x11),
        (IDT + 6 * 16, 0x8E00_0000_0000, 13, 1),
        (IDT + 6 * 16, 0x8E00_0038_0000, 11, 0x39),
        (IDT + 6 * 16, 0x8E00_0100_0000, 13, 0x101),
    ];
    for (at, word, vector, error) in cases {
        let mut g = Guest::idt().with(|a| a.ud2().unwrap());
        g.put(GDT + 0x38, 0x00AF_1B00_0000_FFFF);
        g.cpu.gdtr.limit = 0x3F;
        g.put(at, word);
        let frame = g.frame();
        assert_eq!((g.cpu.rip, frame[0]), (handler(vector), error), "{at:#x} {word:#x}");
    }
    let mut g = Guest::idt().in_ring_3().with(|a| a.ud2().unwrap());
    g.cpu.segments.tr.limit = 3;
    g.put(IDT + 10 * 16 + 4, 0x8E00);
    assert_eq!(g.run().reason, ExitReason::TripleFault, "#TS needs the TSS as well");
    let mut g = Guest::idt().with(|a| a.ud2().unwrap());
    g.put(IDT + 6 * 16 + 4, 0x8E01);
    g.put(TSS + 36, 0x1000_0000_0000_0000);
    assert_eq!((g.frame()[0], g.cpu.rip), (1, handler(12)));
}

#[test]
fn double_fault_and_shutdown() {
    let make = |ist: u64| {
        let g = Guest::idt().with(|a| a.mov(rax, qword_ptr(NEXT)).unwrap());
        g.without(NEXT).without(STACK - 0x1000).but(|g| g.put(IDT + 8 * 16 + 4, 0x8E00 | ist))
    };
    let mut g = make(1);
    let frame = g.frame();
    assert_eq!((g.cpu.rip, frame[0], frame[1]), (handler(8), 0, CODE));
    assert_eq!(make(0).run().reason, ExitReason::TripleFault);
}

#[test]
fn iretq_undoes_a_delivery_and_unblocks_nmis() {
    let mut g = Guest::idt().in_ring_3().with(|a| a.nop().unwrap());
    g.memory.write(HANDLERS + 32, &[0x48, 0xCF]).unwrap();
    let exit = g.enter(Entry { injected: Some(Event::nmi()), instructions: 0, ..Entry::default() });
    assert_eq!(exit.reason, ExitReason::Budget);
    assert!(g.cpu.nmi_blocking);
    g.step();
    assert_eq!((g.cpu.rip, g.cpu.cpl(), g.cpu.gpr[4]), (CODE, 3, STACK));
    assert!(!g.cpu.nmi_blocking);
}

#[test]
fn windows_open_when_events_could_be_delivered() {
    let mut g = Guest::idt().with(|a| {
        a.sti().unwrap();
        a.nop().unwrap();
    });
    let exit = g.enter(Entry { interrupt_window: true, ..Entry::default() });
    assert_eq!((exit.reason, g.cpu.rip), (ExitReason::InterruptWindow, CODE + 2));
    g.cpu.nmi_blocking = true;
    let exit = g.enter(Entry { nmi_window: true, ..Entry::default() });
    assert_eq!(exit.reason, ExitReason::Halt);
    g.cpu.nmi_blocking = false;
    let exit = g.enter(Entry { nmi_window: true, ..Entry::default() });
    assert_eq!(exit.reason, ExitReason::NmiWindow);
}

#[test]
fn an_intercepted_int3_stays_at_its_instruction() {
    let mut g = Guest::idt().with(|a| a.int3().unwrap());
    let exit = g.enter(Entry { intercepts: 1 << 3, ..Entry::default() });
    let ExitReason::Exception(event) = exit.reason else { panic!("{exit:x?}") };
    assert_eq!((event.vector, event.event_type as u8, event.length, g.cpu.rip), (3, 6, 1, CODE));
}

/// "Operation" of INT n (SDM vol. 2): an address of the stack that is not canonical is #SS(EXT), before
/// the handler's address is looked at.
#[test]
fn the_stack_is_checked_before_the_handlers_address() {
    for (bytes, ext) in [(&[0x0F, 0x0B][..], 1), (&[0xCC], 0)] {
        let mut g = Guest::idt().with_bytes(bytes);
        for vector in [3, 6] {
            g.put(IDT + 16 * vector + 8, 0x0000_8000);
        }
        // #SS has its own stack.
        g.put(IDT + 12 * 16 + 4, 0x8E01);
        g.cpu.gpr[4] = 0x0000_8000_0000_1000;
        let frame = g.frame();
        assert_eq!((g.cpu.rip, frame[0], frame[1], frame[4]), (handler(12), ext, CODE, 0x8000_0000_1000));
    }
}

/// A data breakpoint on the frame that a delivery stores: a trap before the handler's first instruction.
#[test]
fn a_breakpoint_on_a_frame_traps_before_the_handler() {
    for (watched, hit) in [(STACK - 8, true), (STACK - 40, true), (STACK, false), (STACK - 48, false)] {
        // Breakpoint 0 on writes of 8 bytes.
        let mut g = Guest::idt().with(|a| a.ud2().unwrap()).watching(0x9_0402, watched);
        let frame = g.frame();
        let (rip, conditions) = if hit { (handler(1), 0xFFFF_0FF1) } else { (handler(6), 0xFFFF_0FF0) };
        assert_eq!((g.cpu.rip, g.cpu.dr6), (rip, conditions), "{watched:#x}");
        assert_eq!(frame[0], if hit { HANDLERS + 16 * 6 } else { CODE });
    }
}

/// CVE-2015-8104: a #DB whose own frame is watched never reaches its handler, and the budget ends the run.
#[test]
fn a_breakpoint_on_the_debug_handlers_stack_goes_on_for_ever() {
    let mut g = Guest::idt().with(|a| a.nop().unwrap()).stepping().watching(0x9_0402, IST1 - 8);
    g.put(IDT + 16 + 4, 0x8E01);
    assert_eq!(g.run().reason, ExitReason::Budget);
    assert_eq!((g.cpu.rip, g.cpu.pending_debug), (HANDLERS + 16, 1));
}
