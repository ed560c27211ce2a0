//! I/O exits and what completes them; REP.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set itself up has failed")]

mod guest;

use guest::{CODE, DATA, Guest, NEXT};
use iced_x86::code_asm::*;
use model::event::Event;
use model::processor::{Entry, ExitReason};

#[test]
fn out_exits_before_it_executes() {
    let mut g = Guest::fred().with(|a| {
        a.mov(dx, 0x6D66).unwrap();
        a.out(dx, eax).unwrap();
    });
    let exit = g.run();
    let ExitReason::Io { port, size, input, string, rep, length, .. } = exit.reason else {
        panic!("{exit:x?}")
    };
    assert_eq!((port, size, input, string, rep, length), (0x6D66, 4, false, false, false, 1));
    assert_eq!(g.cpu.rip, CODE + 4);
    g.cpu.rflags |= 0x1_0000;
    g.cpu.skip_instruction(length);
    assert_eq!((g.cpu.rip, g.cpu.rflags), (CODE + 5, 2));
    assert_eq!(g.run().reason, ExitReason::Halt);
}

#[test]
fn ins_is_finished_item_by_item() {
    let mut g = Guest::fred().with(|a| a.rep().insb().unwrap());
    (g.cpu.gpr[1], g.cpu.gpr[2], g.cpu.gpr[7]) = (2, 0x60, NEXT - 1);
    g.map(NEXT, 6);
    let ExitReason::Io { string: true, rep: true, size: 1, address_size: 8, length, .. } = g.run().reason
    else {
        panic!()
    };
    assert_eq!(g.cpu.finish_ins(&mut g.memory, &[0xA5], 1), Ok(()));
    assert_eq!((g.cpu.gpr[1], g.cpu.gpr[7]), (1, NEXT));
    assert_eq!(g.get(NEXT - 8), 0xA500_0000_0000_0000);
    let before = g.cpu.clone();
    assert_eq!(g.cpu.finish_ins(&mut g.memory, &[0xA5], 1), Err(Event::page_fault(NEXT, 2)));
    assert_eq!(g.cpu, before);
    assert_eq!(length, 2);
}

#[test]
fn rep_without_a_count_is_no_exit() {
    let mut g = Guest::fred().with(|a| a.rep().insb().unwrap());
    g.cpu.gpr[1] = 0;
    assert_eq!(g.run().reason, ExitReason::Halt);
}

#[test]
fn ports_are_checked_before_the_exit() {
    let mut g = Guest::fred().in_ring_3().with(|a| a.in_(al, 0x60).unwrap());
    assert_eq!(g.frame()[5], 0x0203_000D_0000_0023);
    let mut g = Guest::fred().in_ring_3().with(|a| a.in_(al, 0x60).unwrap());
    g.cpu.rflags |= 0x3000;
    assert!(matches!(g.run().reason, ExitReason::Io { port: 0x60, size: 1, input: true, .. }));
}

/// Each item is read after the ones before it were written: of a source and a destination that overlap, what was
/// written is read again, and of those that do not, in one page or two, nothing is.
#[test]
fn rep_movs_reads_what_it_has_written() {
    let moved = |to: u64, count: u64| {
        let mut g = Guest::fred().with(|a| a.rep().movsq().unwrap());
        (g.cpu.gpr[1], g.cpu.gpr[6], g.cpu.gpr[7]) = (count, DATA, to);
        for item in 0..8 {
            g.put(DATA + 8 * item, 0x10 + item);
        }
        assert_eq!(g.run().reason, ExitReason::Halt);
        assert_eq!((g.cpu.gpr[1], g.cpu.gpr[6], g.cpu.gpr[7]), (0, DATA + 8 * count, to + 8 * count));
        [0, 1, 2, 3].map(|item| g.get(to + 8 * item))
    };
    assert_eq!(moved(DATA + 8, 4), [0x10; 4]);
    assert_eq!(moved(DATA + 24, 4), [0x10, 0x11, 0x12, 0x10]);
    assert_eq!(moved(DATA + 32, 4), [0x10, 0x11, 0x12, 0x13]);
    assert_eq!(moved(DATA - 8, 4), [0x10, 0x11, 0x12, 0x13]);
    assert_eq!(moved(DATA + 0x800, 200)[..], [0x10, 0x11, 0x12, 0x13]);
}

#[test]
fn rep_faults_between_iterations_and_goes_on() {
    let mut g = Guest::fred().with(|a| a.rep().movsb().unwrap());
    (g.cpu.gpr[1], g.cpu.gpr[6], g.cpu.gpr[7]) = (8, DATA, NEXT - 4);
    g.put(DATA, 0x8877_6655_4433_2211);
    g.map(NEXT, 6);
    let frame = g.frame();
    assert_eq!((frame[1], frame[6]), (CODE, NEXT));
    assert_eq!((g.cpu.gpr[1], g.cpu.gpr[6], g.cpu.gpr[7]), (4, DATA + 4, NEXT));
    g.map(NEXT, 7);
    (g.cpu.rip, g.cpu.halted) = (CODE, false);
    assert_eq!(g.run().reason, ExitReason::Halt);
    assert_eq!(g.get(NEXT - 4), 0x8877_6655_4433_2211);
    assert_eq!(g.cpu.gpr[1], 0);
}

#[test]
fn a_rep_is_one_instruction_and_each_iteration_is_of_the_budget() {
    let mut g = Guest::fred().with(|a| a.rep().stosb().unwrap());
    (g.cpu.gpr[1], g.cpu.gpr[7]) = (0x300, DATA);
    let exit = g.run();
    assert_eq!((exit.reason, exit.instructions), (ExitReason::Halt, 2));
    let mut g = Guest::fred().with(|a| a.rep().stosb().unwrap());
    (g.cpu.gpr[1], g.cpu.gpr[7]) = (0x800, DATA);
    let exit = g.run();
    assert_eq!((exit.reason, exit.instructions), (ExitReason::Budget, 1));
}

#[test]
fn a_rep_without_end_uses_its_budget() {
    // 2^64 - 1 times the same byte.
    let mut g = Guest::fred().with(|a| a.rep().lodsb().unwrap());
    // Every page directory entry is the same page table: 1 GiB without a fault.
    for entry in 1..512 {
        g.put(guest::PD + entry * 8, guest::PT | 7);
    }
    (g.cpu.gpr[1], g.cpu.gpr[6]) = (u64::MAX, DATA);
    let entry = Entry { instructions: 1 << 20, ..Entry::default() };
    let exit = g.enter(entry);
    assert_eq!(exit.reason, ExitReason::Budget);
    let iterations = u64::MAX - g.cpu.gpr[1];
    assert!((1 << 20..(1 << 20) + (1 << 16)).contains(&iterations), "{iterations:#x}");
}

#[test]
fn a_loop_uses_its_budget() {
    let mut g = Guest::fred().with_bytes(&[0xEB, 0xFE]);
    let exit = g.run();
    assert_eq!((exit.reason, exit.instructions), (ExitReason::Budget, 1000));
    // And so does a handler that cannot be fetched.
    let mut g = Guest::fred().with(|a| a.ud2().unwrap());
    g.cpu.msrs.fred.config = 0x7000_0000;
    g.cpu.msrs.fred.stklvls = 3 << 28;
    let exit = g.run();
    assert!(matches!(exit.reason, ExitReason::Budget | ExitReason::TripleFault), "{exit:x?}");
}
