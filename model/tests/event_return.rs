//! ERETS and ERETU, LKGS, and what FRED disables.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set itself up has failed")]

mod guest;

use guest::{CODE, ENTRY, Guest, STACK, USER_CS};
use iced_x86::code_asm::*;
use model::processor::ExitReason;

const ERETS: [u8; 4] = [0xF2, 0x0F, 0x01, 0xCA];
const ERETU: [u8; 4] = [0xF3, 0x0F, 0x01, 0xCA];
const TARGET: u64 = CODE + 0x1000;

const UD: u64 = 0x0203_0006_0000_0010;
const GP: u64 = 0x0203_000D_0000_0010;

/// At an instruction with a frame on the stack, NOP and HLT at the target.
fn returning(instruction: [u8; 4], frame: [u64; 6]) -> Guest {
    let mut g = Guest::fred().with_bytes(&instruction);
    g.memory.write(TARGET, &[0x90, 0xF4]).unwrap();
    for (n, word) in frame.into_iter().enumerate() {
        g.put(STACK + 8 * n as u64, word);
    }
    g
}

const TO_RING_0: [u64; 6] = [0xEE, TARGET, 0x08, 0x2, STACK + 0x100, 0x10];
const TO_RING_3: [u64; 6] = [0xEE, TARGET, 0x2B, 0x202, STACK + 0x100, 0x23];

fn changed(frame: [u64; 6], n: usize, word: u64) -> [u64; 6] {
    let mut frame = frame;
    frame[n] = word;
    frame
}

#[test]
fn erets_loads_the_frame() {
    let mut g = returning(ERETS, changed(TO_RING_0, 3, 0x4_08D7));
    g.cpu.msrs.fred.config = ENTRY | 2;
    assert_eq!(g.run().reason, ExitReason::Halt);
    assert_eq!((g.cpu.rip, g.cpu.gpr[4], g.cpu.rflags), (TARGET + 2, STACK + 0x100, 0x4_08D7));
    assert_eq!(g.cpu.msrs.fred.config, ENTRY, "CSL fell to the frame's 0");
}

#[test]
fn erets_clamps_a_higher_stack_level() {
    let mut g = returning(ERETS, changed(TO_RING_0, 2, 0x3_0008));
    g.cpu.msrs.fred.config = ENTRY | 1;
    assert_eq!(g.run().reason, ExitReason::Halt);
    assert_eq!(g.cpu.msrs.fred.config, ENTRY | 1);
}

#[test]
fn erets_refuses_bad_frames_and_changes_nothing() {
    for (n, word) in [
        (1, 0x0000_8000_0000_0000),
        (2, 0x10),
        (2, 0x0B),
        (2, 0x8_0008),
        (2, 0x1_0000_0008),
        (3, 0x0),
        (3, 0x0A),
        (3, 0x8002),
        (3, 0x2_0002),
        (3, 0x40_0002),
        (3, 0x1_0000_0002),
        (5, 0x18),
        (5, 0x8_0010),
    ] {
        let mut g = returning(ERETS, changed(TO_RING_0, n, word));
        let frame = g.frame();
        assert_eq!((frame[0], frame[1], frame[4], frame[5]), (0, CODE, STACK, GP), "{n}: {word:#x}");
    }
}

#[test]
fn erets_does_not_look_at_the_event_information() {
    let mut g = returning(ERETS, changed(TO_RING_0, 5, 0xFFFF_FFFF_0000_0010));
    assert_eq!(g.run().reason, ExitReason::Halt);
    assert_eq!(g.cpu.rip, TARGET + 2);
}

#[test]
fn erets_restores_what_the_ss_slot_says() {
    // RF and TF with the software bit: the single step comes before the first instruction.
    let mut g = returning(ERETS, changed(changed(TO_RING_0, 3, 0x102), 5, 0x2_0010));
    let frame = g.frame();
    assert_eq!((frame[1], frame[6]), (TARGET, 0x4000));
    // TF alone: after the first instruction.
    let mut g = returning(ERETS, changed(TO_RING_0, 3, 0x102));
    let frame = g.frame();
    assert_eq!((frame[1], frame[6]), (TARGET + 1, 0x4000));
    for (slot, blocked) in [(0x10, true), (0x4_0010, false)] {
        let mut g = returning(ERETS, changed(TO_RING_0, 5, slot));
        g.cpu.nmi_blocking = true;
        g.run();
        assert_eq!(g.cpu.nmi_blocking, blocked);
    }
}

#[test]
fn erets_establishes_blocking_by_sti_only_with_if() {
    let after_one = |rflags| {
        let mut g = returning(ERETS, changed(changed(TO_RING_0, 3, rflags), 5, 0x1_0010));
        g.enter(model::processor::Entry { instructions: 1, ..Default::default() });
        assert_eq!(g.cpu.rip, TARGET);
        g.cpu.sti_blocking
    };
    assert!(after_one(0x202));
    assert!(!after_one(0x2));
    // It does not last: in the shadow of STI, ERETS ends it.
    let mut g = returning(ERETS, changed(changed(TO_RING_0, 3, 0x202), 5, 0x1_0010));
    g.cpu.rflags |= 0x200;
    g.cpu.sti_blocking = true;
    g.enter(model::processor::Entry { instructions: 1, ..Default::default() });
    assert_eq!((g.cpu.rip, g.cpu.sti_blocking), (TARGET, false));
}

#[test]
fn rf_of_a_returned_frame_passes_one_execution_breakpoint() {
    let mut g = returning(ERETS, changed(TO_RING_0, 3, 0x1_0002));
    g.cpu.dr[0] = TARGET;
    g.cpu.dr7 = 0x402;
    assert_eq!(g.run().reason, ExitReason::Halt);
    assert_eq!((g.cpu.rip, g.cpu.rflags), (TARGET + 2, 2));
}

#[test]
fn eretu_goes_to_ring_3() {
    let mut g = returning(ERETU, TO_RING_3);
    g.memory.write(TARGET, &[0xCC]).unwrap();
    g.cpu.segments.gs.base = 0x1111;
    g.cpu.msrs.kernel_gs_base = 0x2222;
    let frame = g.frame();
    assert_eq!(frame, [0, TARGET + 1, 0x2B, 0x202, STACK + 0x100, 0x1206_0003_0000_0023, 0, 0]);
    assert_eq!(g.cpu.segments.gs.base, 0x1111, "swapped out and in again");
    assert_eq!(g.cpu.rip, ENTRY + 1);
}

#[test]
fn eretu_refuses_bad_frames() {
    for (n, word) in [
        (1, 0x0000_8000_0000_0000),
        (2, 0x08),
        (2, 0x1_002B),
        (2, 0x03),
        (3, 0x3002),
        (3, 0),
        (5, 0x10),
        (5, 0x8_0023),
        (5, 0x03),
    ] {
        let mut g = returning(ERETU, changed(TO_RING_3, n, word));
        let frame = g.frame();
        assert_eq!((frame[1], frame[4], frame[5]), (CODE, STACK, GP), "{n}: {word:#x}");
    }
    let mut g = returning(ERETU, TO_RING_3);
    g.cpu.msrs.fred.config = ENTRY | 1;
    assert_eq!(g.frame()[5], GP, "CSL above 0");
}

#[test]
fn without_fred_or_above_ring_0_they_do_not_exist() {
    for bytes in [ERETS, ERETU] {
        let mut g = Guest::fred().in_ring_3().with_bytes(&bytes);
        assert_eq!(g.frame()[5], 0x0203_0006_0000_0023);
        let mut g = Guest::idt().with_bytes(&bytes);
        assert_eq!(g.run().reason, ExitReason::Halt);
        assert_eq!(g.cpu.rip, guest::HANDLERS + 16 * 6 + 1);
    }
}

#[test]
fn fred_disables_swapgs_sysret_and_ring_changes_by_iret() {
    for program in [
        |a: &mut CodeAssembler| a.swapgs(),
        |a: &mut CodeAssembler| a.sysretq(),
        |a: &mut CodeAssembler| a.sysexit(),
    ] {
        let mut g = Guest::fred().with(|a| program(a).unwrap());
        assert_eq!(g.frame()[5], UD);
    }
    let mut g = Guest::fred().with(|a| a.iretq().unwrap());
    for (n, word) in [CODE, USER_CS.into(), 2, STACK, 0x23].into_iter().enumerate() {
        g.put(STACK + 8 * n as u64, word);
    }
    let frame = g.frame();
    assert_eq!((frame[0], frame[5]), (0x28, GP));
    let mut g = Guest::fred().with_bytes(&[0x48, 0xCB]);
    for (n, word) in [CODE, USER_CS.into(), STACK, 0x23].into_iter().enumerate() {
        g.put(STACK + 8 * n as u64, word);
    }
    let frame = g.frame();
    assert_eq!((frame[0], frame[5]), (0x28, GP));
}

#[test]
fn lkgs_loads_the_other_base() {
    let mut g = Guest::fred().with_bytes(&[0xF2, 0x0F, 0x00, 0xF0]);
    g.put(guest::GDT + 0x18, 0x12CF_F334_5678_FFFF);
    g.cpu.gpr[0] = 0x1B;
    g.cpu.segments.gs.base = 0xAAAA;
    assert_eq!(g.run().reason, ExitReason::Halt);
    assert_eq!((g.cpu.segments.gs.selector, g.cpu.segments.gs.base), (0x1B, 0xAAAA));
    assert_eq!(g.cpu.msrs.kernel_gs_base, 0x1234_5678);
}

#[test]
fn cr4_fred_needs_long_mode_and_msrs_refuse_reserved_bits() {
    let write = |index: u64, value: u64| {
        let mut g = Guest::fred().with(|a| a.wrmsr().unwrap());
        g.cpu.gpr[1] = index;
        g.cpu.gpr[0] = value & 0xFFFF_FFFF;
        g.cpu.gpr[2] = value >> 32;
        g.run();
        g.cpu.rip == CODE + 3
    };
    assert!(write(0x1CC, 0x1000));
    assert!(!write(0x1CC, 0x1020));
    assert!(!write(0x1D4, ENTRY | 4));
    assert!(write(0x1C4, 1 << 18));
    assert!(!write(0x1C4, 1 << 17));
    assert!(!write(0x9999, 0));
}
