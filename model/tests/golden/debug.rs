//! Debug exceptions: SDM vol. 3, "Debug, branch profile, TSC, and Intel Resource Director", and the
//! order of "Priority among concurrent events" (vol. 3, "Interrupt and exception handling").

use super::*;
use guest::{NEXT, STACK};
use model::processor::Entry;

const DB: u64 = 0x0203_0001_0000_0010;
const PF: u64 = 0x0203_000E_0000_0010;
/// DR7 with breakpoint 0 on execution; on writes of one byte; on reads and writes of one byte.
const EXECUTE: u64 = 0x402;
const WRITE_1: u64 = 0x1_0402;
const ACCESS_1: u64 = 0x3_0402;
const TF: u64 = 0x100;
/// MOV BYTE [DATA], 1.
const STORE: &[u8] = &[0xC6, 0x04, 0x25, 0, 0, 0x19, 0, 1];

fn watching(bytes: &[u8], dr7: u64, address: u64) -> Guest {
    let mut g = ring_0(bytes);
    (g.cpu.dr[0], g.cpu.dr7) = (address, dr7);
    g
}

/// "Debug Address Registers": the address is aligned to the length, of 1, 2, 4 or 8 bytes.
#[test]
fn a_breakpoint_covers_its_length_from_its_aligned_address() {
    // LEN 00, 01, 11, 10 at an odd address; which of the bytes around DATA + 8 a store hits.
    for (dr7, address, hits) in [
        (0x1_0402, DATA + 11, 11..=11),
        (0x5_0402, DATA + 11, 10..=11),
        (0xD_0402, DATA + 11, 8..=11),
        (0x9_0402, DATA + 11, 8..=15),
    ] {
        for offset in 6..18 {
            let mut g = watching(&[0xC6, 0x04, 0x25, offset, 0, 0x19, 0, 1], dr7, address);
            g.run();
            assert_eq!(g.cpu.dr6 & 1 != 0, hits.contains(&offset), "{dr7:#x}, {offset}");
        }
    }
}

/// "Debug Control Register": L and G each enable; R/W = 01 is writes, 11 reads and writes.
#[test]
fn enables_and_kinds() {
    const LOAD: &[u8] = &[0x8A, 0x04, 0x25, 0, 0, 0x19, 0];
    for (dr7, stored, loaded) in [
        (0x1_0401, true, false),
        (0x1_0402, true, false),
        (0x1_0403, true, false),
        (0x1_0404, false, false),
        (0x3_0401, true, true),
        (0x0_0401, false, false),
    ] {
        for (bytes, hit) in [(STORE, stored), (LOAD, loaded)] {
            let mut g = watching(bytes, dr7, DATA);
            g.run();
            assert_eq!(g.cpu.dr6, if hit { 0xFFFF_0FF1 } else { 0xFFFF_0FF0 }, "{dr7:#x}");
        }
    }
}

/// "Instruction-Breakpoint Exception Condition": it is met before the instruction is fetched.
#[test]
fn an_execution_breakpoint_comes_before_a_fault_of_its_fetch() {
    let mut g = ring_0(NOP);
    g.map(NEXT, 6);
    (g.cpu.rip, g.cpu.dr[0], g.cpu.dr7) = (NEXT, NEXT, EXECUTE);
    let frame = g.frame();
    assert_eq!((frame[1], frame[3], frame[5], frame[6]), (0x19_1000, 2, DB, 1));
    assert_eq!(g.cpu.cr2, 0);
}

/// The same before #UD and #GP.
#[test]
fn an_execution_breakpoint_comes_before_the_instruction_faults() {
    for bytes in [UD2, BAD_SS] {
        let at = if bytes == UD2 { CODE } else { BAD_SS_RIP };
        let frame = watching(bytes, EXECUTE, at).frame();
        assert_eq!((frame[1], frame[5], frame[6]), (at, DB, 1));
    }
}

/// "Priority among concurrent events": the trap of the instruction before comes first, alone; the
/// breakpoint of the next one when the handler has returned.
#[test]
fn a_trap_comes_before_the_next_instructions_breakpoint() {
    let mut g = watching(&[0x90, 0x90], EXECUTE, CODE + 1);
    g.cpu.rflags |= TF;
    let frame = g.frame();
    assert_eq!((frame[1], frame[6], g.cpu.dr6), (CODE + 1, 0x4000, 0xFFFF_4FF0));
    (g.cpu.rip, g.cpu.rflags, g.cpu.gpr[4], g.cpu.halted) = (CODE + 1, 2, STACK, false);
    let frame = g.frame();
    assert_eq!((frame[1], frame[6], g.cpu.dr6), (CODE + 1, 1, 0xFFFF_4FF1));
}

/// The same: a trap comes before an NMI and an interrupt, which meet its handler.
#[test]
fn a_trap_comes_before_an_nmi() {
    let mut g = ring_0(NOP);
    g.cpu.rflags |= TF;
    let nop = g.enter(Entry { instructions: 1, ..Entry::default() });
    assert_eq!((nop.reason, g.cpu.pending_debug), (ExitReason::Budget, 0x4000));
    let exit = g.enter(Entry { nmi_window: true, ..Entry::default() });
    assert_eq!((exit.reason, g.cpu.rip), (ExitReason::NmiWindow, 0xA100));
    assert_eq!(g.top()[6], 0x4000);
}

/// "Single-Step Exception Condition": an instruction that faults has not completed.
#[test]
fn an_instruction_that_faults_is_not_stepped() {
    let mut g = ring_0(UD2);
    g.cpu.rflags |= TF;
    let frame = g.frame();
    assert_eq!((frame[3], frame[5], frame[6]), (0x1_0102, 0x0203_0006_0000_0010, 0));
    assert_eq!((g.cpu.dr6, g.cpu.rip), (0xFFFF_0FF0, 0xA101));
}

/// "Data Memory and I/O Breakpoint Exception Conditions": traps, so that a fault of the same
/// instruction leaves none. MOVSB from a watched byte to a page that is not there.
#[test]
fn an_instruction_that_faults_has_no_data_breakpoint() {
    let mut g = watching(&[0xA4], ACCESS_1, DATA);
    (g.cpu.gpr[6], g.cpu.gpr[7]) = (DATA, NEXT);
    g.map(NEXT, 6);
    let frame = g.frame();
    assert_eq!((frame[5], frame[6], g.cpu.dr6), (PF, 0x19_1000, 0xFFFF_0FF0));
}

/// "Single-Step Exception Condition": INT3, INT n and INT1 clear TF by their delivery; no step
/// comes after it.
#[test]
fn software_events_are_not_stepped() {
    for (bytes, ss) in
        [(INT3, 0x1206_0003_0000_0010), (INT_14, 0x2204_000E_0002_0010), (INT1, 0x1205_0001_0000_0010)]
    {
        let mut g = ring_0(bytes);
        g.cpu.rflags |= TF;
        let frame = g.frame();
        assert_eq!((frame[3], frame[5], g.cpu.rip), (0x102, ss, 0xA101));
        assert_eq!(g.cpu.dr6, 0xFFFF_0FF0);
    }
}

/// "General-Detect Exception Condition": a fault, so that TF adds no step.
#[test]
fn general_detect_with_tf_is_bd_alone() {
    let mut g = ring_0(&[0x0F, 0x21, 0xF0]);
    g.cpu.rflags |= TF;
    g.cpu.dr7 = 0x2400;
    let frame = g.frame();
    assert_eq!((frame[1], frame[3], frame[6]), (CODE, 0x102, 0x2000));
}

/// "Priority among concurrent events": the breakpoint on an access to a debug register comes before
/// general detect, which meets the instruction when RF lets it pass.
#[test]
fn an_execution_breakpoint_comes_before_general_detect() {
    let mut g = watching(&[0x0F, 0x21, 0xF0], EXECUTE | 0x2000, CODE);
    let frame = g.frame();
    assert_eq!((frame[1], frame[6]), (CODE, 1));
    let mut g = watching(&[0x0F, 0x21, 0xF0], EXECUTE | 0x2000, CODE);
    g.cpu.rflags |= 0x1_0000;
    let frame = g.frame();
    assert_eq!((frame[1], frame[3], frame[6]), (CODE, 0x1_0002, 0x2000));
}

/// "RFLAGS.RF": an instruction that completes clears it; POPF does not load it.
#[test]
fn rf_is_for_one_instruction() {
    let mut g = watching(&[0x90, 0x90], EXECUTE, CODE + 1);
    g.cpu.rflags |= 0x1_0000;
    let frame = g.frame();
    assert_eq!((frame[1], frame[3], frame[6]), (CODE + 1, 2, 1));
    // PUSH 0x10002; POPFQ; NOP.
    let frame = watching(&[0x68, 2, 0, 1, 0, 0x9D, 0x90], EXECUTE, CODE + 6).frame();
    assert_eq!((frame[1], frame[3], frame[6]), (CODE + 6, 2, 1));
}

/// "RFLAGS.RF": a fault other than #DB saves it as 1, a trap of a completed instruction as 0.
#[test]
fn rf_in_the_frame() {
    assert_eq!(ring_0(UD2).frame()[3], 0x1_0002);
    assert_eq!(watching(STORE, WRITE_1, DATA).frame()[3], 2);
    assert_eq!(watching(NOP, EXECUTE, CODE).frame()[3], 2);
    assert_eq!(ring_0(INT3).frame()[3], 2);
}

/// "Data Memory and I/O Breakpoint Exception Conditions": a repeated string instruction traps after
/// the iteration that hits, RIP at the instruction and RF set, except after the last one.
#[test]
fn rep_traps_after_the_iteration_that_hits() {
    for (watched, left, rip, rflags) in [
        (DATA + 0x11, 2, CODE, 0x1_0002),
        (DATA + 0x13, 0, CODE + 2, 2),
        // The source: read.
        (DATA + 1, 2, CODE, 0x1_0002),
    ] {
        let mut g = watching(&[0xF3, 0xA4], ACCESS_1, watched);
        (g.cpu.gpr[1], g.cpu.gpr[6], g.cpu.gpr[7]) = (4, DATA, DATA + 0x10);
        let frame = g.frame();
        assert_eq!((frame[1], frame[3], frame[6]), (rip, rflags, 1));
        assert_eq!((g.cpu.gpr[1], g.cpu.gpr[6]), (left, DATA + 4 - left));
    }
}

/// "Masking Exceptions and Interrupts When Switching Stacks": POP SS holds its trap back, too. In
/// compatibility mode, where it is: POP SS from a watched word, then NOP.
#[test]
fn pop_ss_holds_its_breakpoint_back() {
    let mut g = pop_ss();
    // Breakpoint 0 on reads and writes of four bytes.
    (g.cpu.dr[0], g.cpu.dr7) = (DATA, 0xF_0402);
    let frame = g.frame();
    assert_eq!((frame[1], frame[4], frame[6]), (CODE + 2, DATA + 4, 1));
    assert_eq!(frame[5], 0x0003_0001_0000_0023);
}

/// The same: LSS loads SS and holds nothing back.
#[test]
fn lss_holds_nothing_back() {
    // LSS EAX, [DATA]; NOP.
    let mut g = watching(&[0x0F, 0xB2, 0x04, 0x25, 0, 0, 0x19, 0, 0x90], 0x3_0402, DATA);
    g.put(DATA, 0x10_0000_0000);
    let frame = g.frame();
    assert_eq!((frame[1], frame[6]), (CODE + 8, 1));
}

/// STI (vol. 2): it keeps interrupts out, and no trap. The step comes at once, in the shadow.
#[test]
fn sti_holds_no_trap_back() {
    let mut g = ring_0(&[0xFB, 0x90]);
    g.cpu.rflags |= TF;
    let frame = g.frame();
    assert_eq!((frame[1], frame[3], frame[5], frame[6]), (CODE + 1, 0x302, 0x0203_0001_0001_0010, 0x4000));
}

/// A data breakpoint on the frame that a delivery stores: a trap before the handler's first
/// instruction, which is no nested exception. Under FRED a doubt: docs/open-questions.md.
#[test]
fn a_breakpoint_on_a_frame_traps_before_the_handler() {
    for (watched, hit) in [(STACK - 8, true), (STACK - 64, true), (STACK, false), (STACK - 72, false)] {
        let mut g = watching(UD2, 0x9_0402, watched);
        let frame = g.frame();
        if hit {
            assert_eq!((frame[1], frame[4], frame[5], frame[6]), (0xA100, STACK - 64, DB, 1));
            assert_eq!((g.cpu.dr6, g.cpu.gpr[4]), (0xFFFF_0FF1, STACK - 128));
        } else {
            assert_eq!((frame[5], g.cpu.dr6), (0x0203_0006_0000_0010, 0xFFFF_0FF0), "{watched:#x}");
        }
    }
}

/// "Debug Status Register": B0 to B3 are rewritten, BD, BS and BT stay, RTM and BLD are active low.
#[test]
fn dr6_is_sticky_in_part() {
    let mut g = watching(STORE, WRITE_1, DATA);
    // BT, BS, BD and B3 are set; RTM and BLD are as after an event that had them.
    g.cpu.dr6 = 0xFFFE_E7F8;
    assert_eq!((g.frame()[6], g.cpu.dr6), (1, 0xFFFF_E7F1));
}

/// "Debug Status Register": all four breakpoints at once.
#[test]
fn four_breakpoints_at_once() {
    let mut g = ring_0(STORE);
    g.cpu.dr = [DATA; 4];
    // Writes of one byte, three enabled; the fourth matches and is not enabled.
    g.cpu.dr7 = 0x1111_042A;
    assert_eq!((g.frame()[6], g.cpu.dr6), (0b111, 0xFFFF_0FF7));
}

/// "Single-Step Exception Condition": under IA32_DEBUGCTL.BTF after a taken branch, and BTF is
/// clear then.
#[test]
fn btf_steps_branches() {
    // NOP; JMP +0; NOP.
    let mut g = ring_0(&[0x90, 0xEB, 0, 0x90]);
    g.cpu.rflags |= TF;
    g.cpu.msrs.debugctl = 2;
    let frame = g.frame();
    assert_eq!((frame[1], frame[6], g.cpu.msrs.debugctl), (CODE + 3, 0x4000, 0));
}
