//! A delivery that an EPT violation interrupts, at each of its accesses.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set itself up has failed")]

mod guest;

use fred::event::EventType;
use guest::{CODE, Guest, NEXT, PT, STACK};
use iced_x86::code_asm::*;
use model::event::Event;
use model::processor::{Entry, Exit, ExitReason, Processor};

/// Stops the guest's first delivery at its n-th access for each n, hands each stop to `check`, and
/// returns how many there were. After each the event is injected again and must arrive as it does
/// undisturbed.
fn at_each_access(make: impl Fn() -> Guest, check: impl Fn(&Processor, &Exit)) -> u64 {
    let mut undisturbed = make();
    let expected = undisturbed.frame();
    let mut n = 0;
    loop {
        let mut g = make();
        g.memory.refuse_access(Some(n));
        let exit = g.run();
        if exit.reason == ExitReason::Halt {
            assert_eq!(g.memory.delivery_accesses(), n);
            return n;
        }
        assert!(matches!(exit.reason, ExitReason::EptViolation { .. }), "access {n}: {exit:x?}");
        check(&g.cpu, &exit);
        let registers = (g.cpu.cr2, g.cpu.dr6);
        let again = g.enter(Entry { injected: exit.original, ..Entry::default() });
        assert_eq!(again.reason, ExitReason::Halt);
        assert_eq!(g.top(), expected, "access {n}");
        assert_eq!((g.cpu.cr2, g.cpu.dr6), registers);
        n += 1;
    }
}

#[test]
fn page_fault() {
    let make = || Guest::fred().with(|a| a.mov(rax, qword_ptr(NEXT)).unwrap()).without(NEXT);
    // Four entries of the walk, dirty and accessed bits of up to four, eight stores.
    let accesses = at_each_access(make, |cpu, exit| {
        assert_eq!(exit.original, Some(Event::page_fault(0x19_1000, 0)));
        let before = make().cpu;
        assert_eq!(cpu.cr2, 0x19_1000, "the register effect is done");
        assert_eq!((cpu.rip, cpu.gpr, cpu.segments), (CODE, before.gpr, before.segments));
        assert_eq!(cpu.rflags, 0x1_0002, "RF is what the frame would hold");
        assert_eq!(cpu.msrs, before.msrs);
    });
    // The other entries were accessed by the fetch before; the frame's own is accessed and dirty.
    assert_eq!(accesses, 4 + 1 + 8);
}

#[test]
fn debug_trap_keeps_its_data_and_is_not_raised_again() {
    let make = || Guest::fred().with(|a| a.nop().unwrap()).stepping().but(|g| g.cpu.dr6 = 0xFFFF_AFF0);
    at_each_access(make, |cpu, exit| {
        assert_eq!(exit.original, Some(Event::debug(0x4000)));
        assert_eq!((cpu.rip, cpu.rflags), (CODE + 1, 0x102));
        assert_eq!((cpu.dr6, cpu.pending_debug), (0xFFFF_EFF0, 0));
    });
}

#[test]
fn software_interrupt_stays_at_its_instruction() {
    let make = || Guest::fred().with_bytes(&[0xCD, 0x80]);
    at_each_access(make, |cpu, exit| {
        assert_eq!(exit.original, Some(Event::software(0x80, EventType::SoftwareInterrupt, 2)));
        assert_eq!(cpu.rip, CODE);
    });
}

#[test]
fn nested_exception_keeps_its_bit() {
    let mut g = Guest::fred().with(|a| a.ud2().unwrap()).without(STACK - 0x1000);
    g.cpu.msrs.fred.stklvls = 1 << 28;
    // The #UD's own walk reads four entries; the next access is the nested #PF's.
    g.memory.refuse_access(Some(4));
    let exit = g.run();
    let original = exit.original.unwrap();
    assert_eq!((original.vector, original.nested), (14, true));
    assert!(matches!(exit.reason, ExitReason::EptViolation { .. }));
    assert_eq!(g.cpu.msrs.fred.config & 3, 0);
}

#[test]
fn idt_delivery_reads_gate_descriptor_and_tss() {
    let ud2 = || Guest::idt().in_ring_3().with(|a| a.ud2().unwrap());
    let make = || ud2().but(|g| g.put(guest::IDT + 6 * 16 + 4, 0x8E01));
    let accesses = at_each_access(make, |cpu, exit| {
        assert_eq!(exit.original, Some(Event::exception(6)));
        assert_eq!((cpu.rip, cpu.cpl(), cpu.gpr[4]), (CODE, 3, STACK));
    });
    assert!(accesses > 5 * 5, "{accesses}");
}

#[test]
fn a_blocked_frame_page_is_an_exit_until_it_is_opened() {
    let mut g = Guest::fred().with(|a| a.ud2().unwrap());
    g.memory.block(STACK - 64);
    let exit = g.run();
    assert_eq!(exit.reason, ExitReason::EptViolation { gpa: STACK - 8, write: true, unblocked_nmis: false });
    assert_eq!(exit.original, Some(Event::exception(6)));
    let again = g.enter(Entry { injected: exit.original, ..Entry::default() });
    assert_eq!((again.reason, again.original), (exit.reason, exit.original));
    g.memory.unblock(STACK - 64);
    let exit = g.enter(Entry { injected: exit.original, ..Entry::default() });
    assert_eq!(exit.reason, ExitReason::Halt);
    assert_eq!(g.top()[5], 0x0203_0006_0000_0010);
}

#[test]
fn an_intercepted_nested_exception_names_the_original() {
    let mut g = Guest::fred().with(|a| a.ud2().unwrap()).without(STACK - 0x1000);
    let exit = g.enter(Entry { intercepts: 1 << 14, ..Entry::default() });
    let ExitReason::Exception(event) = exit.reason else { panic!("{exit:x?}") };
    assert_eq!((event.vector, event.error_code, event.nested), (14, Some(2), true));
    assert_eq!(exit.original, Some(Event::exception(6)));
    assert_eq!(g.cpu.cr2, 0);
}

#[test]
fn a_blocked_page_table_and_a_blocked_data_page_exit_too() {
    let mut g = Guest::fred().with(|a| a.mov(qword_ptr(NEXT), rax).unwrap());
    g.memory.block(NEXT);
    let exit = g.run();
    assert_eq!(exit.reason, ExitReason::EptViolation { gpa: NEXT, write: true, unblocked_nmis: false });
    assert_eq!((exit.original, g.cpu.rip, g.cpu.rflags), (None, CODE, 0x1_0002));
    g.memory.unblock(NEXT);
    g.memory.block(PT);
    assert_eq!(
        g.run().reason,
        ExitReason::EptViolation { gpa: PT + (CODE >> 12) * 8, write: false, unblocked_nmis: false }
    );
}

/// A guest that runs an IRETQ to the instruction after it, with NMIs blocked.
fn with_iretq() -> Guest {
    let code = |a: &mut CodeAssembler| {
        let mut after = a.create_label();
        a.mov(eax, ss).unwrap();
        a.push(rax).unwrap();
        a.push(rsp).unwrap();
        a.pushfq().unwrap();
        a.mov(eax, cs).unwrap();
        a.push(rax).unwrap();
        a.lea(rax, qword_ptr(after)).unwrap();
        a.push(rax).unwrap();
        a.iretq().unwrap();
        a.set_label(&mut after).unwrap();
        a.nop().unwrap();
    };
    Guest::fred().with(code).but(|g| g.cpu.nmi_blocking = true)
}

/// IRETQ at each access of its frame: nothing is popped, NMIs are no longer blocked, and the exit says so.
#[test]
fn event_return() {
    let mut at = None;
    for n in 0.. {
        let mut g = with_iretq();
        g.memory.refuse_return_access(n);
        let exit = g.run();
        if exit.reason == ExitReason::Halt {
            assert!(n >= 25, "five quadwords, each with its walk: {n}");
            return;
        }
        let ExitReason::EptViolation { unblocked_nmis, .. } = exit.reason else { panic!("{exit:x?}") };
        assert_eq!((unblocked_nmis, exit.original), (true, None), "access {n}");
        let place = (g.cpu.rip, g.cpu.gpr[4]);
        assert_eq!((*at.get_or_insert(place), g.cpu.nmi_blocking), (place, false), "access {n}");
        assert_eq!(g.run().reason, ExitReason::Halt, "access {n}");
    }
}

/// An IRETQ that is #GP(0) before it reads its frame, as with NT set, is not the return whose access is refused.
#[test]
fn event_return_without_access() {
    let mut g = with_iretq();
    let (start, stack) = (g.cpu.rip, g.cpu.gpr[4]);
    g.cpu.rflags |= 0x4000;
    g.memory.refuse_return_access(0);
    assert_eq!(g.run().reason, ExitReason::Halt, "the handler of the #GP");
    (g.cpu.rip, g.cpu.gpr[4], g.cpu.rflags, g.cpu.halted) = (start, stack, 0x2, false);
    assert!(matches!(g.run().reason, ExitReason::EptViolation { .. }));
}
