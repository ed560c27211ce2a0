//! The shadow of MOV SS and POP SS: SDM vol. 3, "Masking exceptions and interrupts when switching stacks"
//! and "Instruction-breakpoint exception condition".

use super::*;
use model::cpuid::Vendor;

/// MOV EAX, 0x10; MOV SS, EAX; NOP; NOP. The second instruction ends at CODE + 7.
const MOV_SS: &[u8] = &[0xB8, 0x10, 0, 0, 0, 0x8E, 0xD0, 0x90, 0x90];

/// MOV SS, [DATA], which is 0x10 there, and the next instruction at CODE + 7; breakpoint 0 on the load.
fn watched_mov_ss(next: &[u8]) -> Guest {
    let mov_ss = [0x8E, 0x14, 0x25, 0, 0, 0x19, 0];
    ring_0(&[&mov_ss, next].concat()).watching(ACCESS_8, DATA).but(|g| g.put(DATA, 0x10))
}

/// An execution breakpoint on the next instruction is suppressed, as if RF were set.
#[test]
fn mov_ss_suppresses_the_next_instructions_breakpoint() {
    let mut g = ring_0(MOV_SS).watching(EXECUTE, CODE + 7);
    assert_eq!(g.run().reason, ExitReason::Halt);
    assert_eq!((g.cpu.rip, g.cpu.dr6), (CODE + 10, 0xFFFF_0FF0));
    // For that one alone.
    let frame = ring_0(MOV_SS).watching(EXECUTE, CODE + 8).frame();
    assert_eq!((frame[1], frame[3], frame[5], frame[6]), (CODE + 8, 2, DB, 1));
}

/// The same after POP SS, in compatibility mode, where it is.
#[test]
fn pop_ss_suppresses_it_too() {
    let mut g = pop_ss().watching(EXECUTE, CODE + 1);
    // The HLT is #GP in ring 3.
    assert_eq!((g.frame()[1], g.cpu.dr6), (CODE + 3, 0xFFFF_0FF0));
}

/// AMD's processors do not suppress it (KVM's `kvm_is_code_breakpoint_inhibited`).
#[test]
fn amd_suppresses_nothing() {
    let frame = ring_0(MOV_SS).watching(EXECUTE, CODE + 7).of(Vendor::Amd).frame();
    assert_eq!((frame[1], frame[6]), (CODE + 7, 1));
}

/// A fault of the next instruction is not held back, general detect included.
#[test]
fn faults_come_in_the_shadow() {
    // MOV SS, EAX; MOV RAX, DR0.
    let mut g = ring_0(&[0x8E, 0xD0, 0x0F, 0x21, 0xC0]);
    (g.cpu.gpr[0], g.cpu.dr7) = (0x10, 0x2400);
    let frame = g.frame();
    assert_eq!((frame[1], frame[5], frame[6], g.cpu.dr6), (CODE + 2, DB, 0x2000, 0xFFFF_2FF0));
}

/// MOV SS is not single-stepped; the next instruction is.
#[test]
fn the_step_comes_after_the_next_instruction() {
    let mut g = ring_0(&[0x8E, 0xD0, 0x90, 0x90]).stepping();
    g.cpu.gpr[0] = 0x10;
    let frame = g.frame();
    assert_eq!((frame[1], frame[6]), (CODE + 3, 0x4000));
}

/// Of several in a row the first holds back, and nothing is said of the others: see
/// docs/open-questions.md.
#[test]
fn the_second_of_two_holds_nothing_back() {
    // MOV SS, EAX, twice; NOP.
    const TWICE: &[u8] = &[0x8E, 0xD0, 0x8E, 0xD0, 0x90];
    for (mut g, data) in [(ring_0(TWICE).stepping(), 0x4000), (ring_0(TWICE).watching(EXECUTE, CODE + 4), 1)]
    {
        g.cpu.gpr[0] = 0x10;
        let frame = g.frame();
        assert_eq!((frame[1], frame[6]), (CODE + 4, data), "{data:#x}");
    }
}

/// "Masking Exceptions and Interrupts When Switching Stacks": MOV SS holds its trap back. A software exception
/// takes it along into its handler; a fault ends it.
#[test]
fn mov_ss_holds_its_breakpoint_back() {
    for (next, rip, ss, data) in [(NOP, CODE + 8, DB, 1), (INT3, 0xA100, DB, 1), (UD2, CODE + 7, UD, 0)] {
        let frame = watched_mov_ss(next).frame();
        assert_eq!((frame[1], frame[5], frame[6]), (rip, ss, data), "{next:x?}");
    }
}

/// The same: it comes with that of the next instruction, MOV [NEXT], EAX.
#[test]
fn a_breakpoint_under_mov_ss_is_merged_into_the_next_one() {
    let mut g = watched_mov_ss(&[0x89, 0x04, 0x25, 0, 0x10, 0x19, 0]);
    // Breakpoint 0 on reads and writes of 8 bytes, 2 on writes of 4.
    (g.cpu.dr[2], g.cpu.dr7) = (NEXT, 0xD0B_0422);
    let frame = g.frame();
    assert_eq!((frame[1], frame[6], g.cpu.dr6), (CODE + 14, 0b101, 0xFFFF_0FF5));
}

/// The same: POP SS holds its trap back, too. In compatibility mode, where it is: POP SS from a watched word,
/// then NOP.
#[test]
fn pop_ss_holds_its_breakpoint_back() {
    // Breakpoint 0 on reads and writes of four bytes.
    let frame = pop_ss().watching(0xF_0402, DATA).frame();
    assert_eq!((frame[1], frame[4], frame[6]), (CODE + 2, DATA + 4, 1));
    assert_eq!(frame[5], 0x0003_0001_0000_0023);
}

/// The same: LSS loads SS and holds nothing back.
#[test]
fn lss_holds_nothing_back() {
    // LSS EAX, [DATA]; NOP.
    let mut g = ring_0(&[0x0F, 0xB2, 0x04, 0x25, 0, 0, 0x19, 0, 0x90]).watching(ACCESS_1, DATA);
    g.put(DATA, 0x10_0000_0000);
    let frame = g.frame();
    assert_eq!((frame[1], frame[6]), (CODE + 8, 1));
}

/// STI (vol. 2): it keeps interrupts out, and no trap. The step comes at once, in the shadow.
#[test]
fn sti_holds_no_trap_back() {
    let frame = ring_0(&[0xFB, 0x90]).stepping().frame();
    assert_eq!((frame[1], frame[3], frame[5], frame[6]), (CODE + 1, 0x302, 0x0203_0001_0001_0010, 0x4000));
}
