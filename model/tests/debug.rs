//! #DB: its event data, DR6 and DR7, and when it comes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set itself up has failed")]

mod guest;

use guest::{CODE, DATA, Guest, NEXT};
use iced_x86::code_asm::*;
use model::event::Event;
use model::processor::{Entry, ExitReason};

const TF: u64 = 0x100;

/// DR7 with breakpoint 0 on 8-byte writes.
const WRITE_0: u64 = 0x9_0402;
/// DR7 with breakpoint 0 on execution.
const EXECUTE_0: u64 = 0x402;

#[test]
fn single_step_traps_after_the_instruction() {
    let mut g = Guest::fred().with(|a| a.nop().unwrap());
    g.cpu.rflags |= TF;
    let frame = g.frame();
    assert_eq!(frame, [0, CODE + 1, 0x08, 0x102, 0x18_0000, 0x0203_0001_0000_0010, 0x4000, 0]);
    assert_eq!(g.cpu.dr6, 0xFFFF_4FF0);
}

#[test]
fn event_data_holds_nothing_of_earlier_debug_exceptions() {
    let mut g = Guest::fred().with(|a| a.nop().unwrap());
    g.cpu.rflags |= TF;
    // BT and BD are left over.
    g.cpu.dr6 = 0xFFFF_AFF0;
    assert_eq!(g.frame()[6], 0x4000);
    assert_eq!(g.cpu.dr6, 0xFFFF_EFF0);
}

#[test]
fn a_step_and_a_data_breakpoint_are_one_exception() {
    let mut g = Guest::fred().with(|a| a.mov(dword_ptr(DATA + 4), eax).unwrap());
    g.cpu.rflags |= TF;
    g.cpu.dr[0] = DATA;
    g.cpu.dr7 = WRITE_0;
    // B3 is left over, BLD and RTM happened before.
    g.cpu.dr6 = 0xFFFE_07F8;
    let frame = g.frame();
    assert_eq!(frame[6], 0x4001);
    assert_eq!(g.cpu.dr6, 0xFFFF_47F1, "B3 is gone, RTM is back at 1, BLD stays");
}

#[test]
fn data_breakpoints_match_what_they_overlap() {
    let hit = |address: u64, watched: u64, control: u64, write: bool| {
        let mut g = Guest::fred().with(|a| {
            if write {
                a.mov(word_ptr(address), ax).unwrap();
            } else {
                a.mov(ax, word_ptr(address)).unwrap();
            }
        });
        g.cpu.dr[0] = watched;
        g.cpu.dr7 = control;
        let exit = g.run();
        assert_eq!(exit.reason, ExitReason::Halt);
        (g.cpu.dr6 & 1 != 0).then(|| g.top()[6])
    };
    assert_eq!(hit(DATA + 7, DATA, WRITE_0, true), Some(1));
    assert_eq!(hit(DATA + 8, DATA, WRITE_0, true), None);
    assert_eq!(hit(DATA - 1, DATA, WRITE_0, true), Some(1));
    assert_eq!(hit(DATA - 2, DATA, WRITE_0, true), None);
    assert_eq!(hit(DATA, DATA, WRITE_0, false), None, "a read");
    assert_eq!(hit(DATA, DATA, 0xB_0402, false), Some(1), "read or write");
    assert_eq!(hit(DATA, DATA + 1, 0x1_0402, true), Some(1), "one byte");
    assert_eq!(hit(DATA, DATA, 0x9_0400, true), None, "not enabled");
}

#[test]
fn an_execution_breakpoint_is_a_fault_that_leaves_rf() {
    let mut g = Guest::fred().with(|a| {
        a.nop().unwrap();
        a.nop().unwrap();
    });
    g.cpu.dr[0] = CODE + 1;
    g.cpu.dr7 = EXECUTE_0;
    assert_eq!(g.frame(), [0, CODE + 1, 0x08, 2, 0x18_0000, 0x0203_0001_0000_0010, 1, 0]);
    // With RF the instruction runs, and RF is gone after it.
    g.cpu.rip = CODE + 1;
    g.cpu.rflags = 0x1_0002;
    g.cpu.halted = false;
    g.cpu.gpr[4] = 0x18_0000;
    assert_eq!(g.run().reason, ExitReason::Halt);
    assert_eq!((g.cpu.rip, g.cpu.rflags), (CODE + 3, 2));
}

#[test]
fn general_detect_is_a_fault_that_clears_gd() {
    let mut g = Guest::fred().with(|a| a.mov(rax, dr6).unwrap());
    g.cpu.gpr[0] = 7;
    g.cpu.dr7 = 0x2400;
    let frame = g.frame();
    assert_eq!((frame[1], frame[3], frame[6]), (CODE, 2, 0x2000));
    assert_eq!((g.cpu.dr6, g.cpu.dr7, g.cpu.gpr[0]), (0xFFFF_2FF0, 0x400, 7));
}

#[test]
fn popf_that_sets_tf_traps_after_the_next_instruction() {
    let mut g = Guest::fred().with(|a| {
        a.push(0x102).unwrap();
        a.popfq().unwrap();
        a.nop().unwrap();
    });
    let frame = g.frame();
    assert_eq!((frame[1], frame[6]), (CODE + 7, 0x4000));
}

#[test]
fn mov_ss_holds_debug_traps_back() {
    let mut g = Guest::fred().with(|a| {
        a.mov(eax, 0x10).unwrap();
        a.mov(ss, eax).unwrap();
        a.nop().unwrap();
    });
    g.put(DATA, 0x10);
    g.cpu.rflags |= TF;
    g.enter(Entry { instructions: 1, ..Entry::default() });
    g.cpu.pending_debug = 0;
    let frame = g.frame();
    assert_eq!((frame[1], frame[6]), (CODE + 8, 0x4000));
}

#[test]
fn an_intercepted_debug_exception_has_touched_nothing() {
    let mut g = Guest::fred().with(|a| a.nop().unwrap());
    g.cpu.rflags |= TF;
    g.cpu.dr7 = 0x2400;
    let exit = g.enter(Entry { intercepts: 1 << 1, ..Entry::default() });
    assert_eq!(exit.reason, ExitReason::Exception(Event::debug(0x4000)));
    assert_eq!((exit.original, exit.instructions), (None, 1));
    assert_eq!((g.cpu.dr6, g.cpu.dr7, g.cpu.rip), (0xFFFF_0FF0, 0x2400, CODE + 1));
    assert_eq!(g.cpu.pending_debug, 0);
}

#[test]
fn each_iteration_of_rep_traps() {
    let mut g = Guest::fred().with(|a| a.rep().stosb().unwrap());
    g.cpu.rflags |= TF;
    g.cpu.gpr[1] = 2;
    g.cpu.gpr[7] = DATA;
    let frame = g.frame();
    assert_eq!((frame[1], frame[3], frame[6]), (CODE, 0x1_0102, 0x4000));
    assert_eq!((g.cpu.gpr[1], g.cpu.gpr[7]), (1, DATA + 1));
}

#[test]
fn a_breakpoint_on_mov_ss_waits_for_the_next_instruction() {
    let make = |next: fn(&mut CodeAssembler)| {
        let mut g = Guest::fred().with(|a| {
            a.mov(ss, word_ptr(DATA)).unwrap();
            next(a);
        });
        g.put(DATA, 0x10);
        g.cpu.dr[0] = DATA;
        g.cpu.dr7 = 0xB_0402;
        g
    };
    let frame = make(|a| a.nop().unwrap()).frame();
    assert_eq!((frame[1], frame[6]), (CODE + 8, 1));
    // A software exception takes it along into its handler.
    let mut g = make(|a| a.int3().unwrap());
    let frame = g.frame();
    assert_eq!((frame[1], frame[5], frame[6]), (guest::ENTRY + 0x100, 0x0203_0001_0000_0010, 1));
    // A fault ends it.
    let frame = make(|a| a.ud2().unwrap()).frame();
    assert_eq!((frame[1], frame[5], frame[6]), (CODE + 7, 0x0203_0006_0000_0010, 0));
}

#[test]
fn a_breakpoint_under_mov_ss_is_merged_into_the_next_one() {
    let mut g = Guest::fred().with(|a| {
        a.mov(ss, word_ptr(DATA)).unwrap();
        a.mov(dword_ptr(NEXT), eax).unwrap();
    });
    g.put(DATA, 0x10);
    (g.cpu.dr[0], g.cpu.dr[2]) = (DATA, NEXT);
    // Breakpoint 0 on reads and writes of 8 bytes, 2 on writes of 4.
    g.cpu.dr7 = 0xD0B_0422;
    let frame = g.frame();
    assert_eq!((frame[1], frame[6]), (CODE + 16, 0b101));
    assert_eq!(g.cpu.dr6, 0xFFFF_0FF5);
}

#[test]
fn btf_traps_after_taken_branches_only() {
    let mut g = Guest::fred().with(|a| {
        let mut to = a.create_label();
        a.nop().unwrap();
        a.jc(to).unwrap();
        a.jmp(to).unwrap();
        a.nop().unwrap();
        a.set_label(&mut to).unwrap();
        a.nop().unwrap();
    });
    g.cpu.rflags |= TF;
    g.cpu.msrs.debugctl = 2;
    let frame = g.frame();
    assert_eq!((frame[1], frame[6], g.cpu.msrs.debugctl), (CODE + 6, 0x4000, 0));
}

#[test]
fn io_breakpoints_need_cr4_de_and_match_ports() {
    let mut g = Guest::fred();
    g.cpu.dr[1] = 0x3F9;
    // Breakpoint 1 on I/O of 2 bytes.
    g.cpu.dr7 = 0x60_0408;
    assert_eq!(
        (g.cpu.io_breakpoints(0x3F8, 1), g.cpu.io_breakpoints(0x3F7, 2), g.cpu.io_breakpoints(0x3FA, 4)),
        (2, 2, 0)
    );
    g.cpu.cr4 &= !8;
    assert_eq!(g.cpu.io_breakpoints(0x3F8, 1), 0);
}

#[test]
fn alignment_is_checked_in_ring_3_with_am_and_ac() {
    let make = |am: u64, ac: u64, address: u64| {
        let mut g = Guest::fred().in_ring_3().with(|a| a.mov(eax, dword_ptr(address)).unwrap());
        g.cpu.cr0 |= am;
        g.cpu.rflags |= ac;
        g
    };
    let frame = make(1 << 18, 1 << 18, DATA + 2).frame();
    assert_eq!((frame[0], frame[1], frame[5]), (0, CODE, 0x0203_0011_0000_0023));
    for (am, ac, address) in [(0, 1 << 18, DATA + 2), (1 << 18, 0, DATA + 2), (1 << 18, 1 << 18, DATA + 4)] {
        // The HLT after it is #GP.
        assert_eq!(make(am, ac, address).frame()[5], 0x0203_000D_0000_0023);
    }
}
