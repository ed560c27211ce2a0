//! Far jumps, calls and returns in 64-bit mode, and call gates.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod guest;

use guest::{CODE, DATA, GDT, GP, Guest, NEXT, NP, RSP0, STACK, TSS};
use model::processor::ExitReason;

const TARGET: u64 = CODE + 0x1000;
/// A 64-bit call gate, and the selectors of segments that the common GDT does not have.
const GATE: u16 = 0x40;
const ABSENT: u16 = 0x50;
const CONFORMING: u16 = 0x58;

/// REX.W FF /5 and /3 with the pointer at DATA; REX.W CB.
const JMP: &[u8] = &[0x48, 0xFF, 0x2C, 0x25, 0, 0, 0x19, 0];
const CALL: &[u8] = &[0x48, 0xFF, 0x1C, 0x25, 0, 0, 0x19, 0];
const RETF: &[u8] = &[0x48, 0xCB];

/// At an instruction whose far pointer is `selector`:`offset`; NOP and HLT at the target.
fn at(g: Guest, instruction: &[u8], selector: u16, offset: u64) -> Guest {
    let mut g = g.with_bytes(instruction);
    g.put_all(DATA, &[offset, selector.into()]);
    g.memory.write(TARGET, &[0x90, 0xF4]).unwrap();
    g.put(GDT + u64::from(ABSENT), 0x00AF_1B00_0000_FFFF);
    g.put(GDT + u64::from(CONFORMING), 0x00AF_9F00_0000_FFFF);
    g.cpu.gdtr.limit = 0x5F;
    g
}

/// The same with a gate of privilege `dpl` to `target` at the selector [`GATE`].
fn through_gate(g: Guest, instruction: &[u8], dpl: u64, target: u16) -> Guest {
    let mut g = at(g, instruction, GATE | 3, 0xDEAD_BEEF);
    gate(&mut g, 0x8C00 | dpl << 13, target, 0);
    g
}

fn gate(g: &mut Guest, kind: u64, target: u16, high: u64) {
    let low = TARGET & 0xFFFF | u64::from(target) << 16 | kind << 32 | TARGET >> 16 << 48;
    g.put_all(GDT + u64::from(GATE), &[low, high]);
}

fn step(g: &mut Guest) {
    let exit = g.step();
    assert_eq!((exit.reason, exit.instructions), (ExitReason::Budget, 1));
}

#[test]
fn jmp_m16_64() {
    let mut g = at(Guest::fred(), JMP, 0x08, TARGET);
    step(&mut g);
    assert_eq!((g.cpu.rip, g.cpu.segments.cs.selector, g.cpu.gpr[4]), (TARGET, 0x08, STACK));
    // To a conforming segment of ring 0 ring 3 keeps its CPL.
    let mut g = at(Guest::fred().in_ring_3(), JMP, CONFORMING, TARGET);
    step(&mut g);
    assert_eq!((g.cpu.rip, g.cpu.segments.cs.selector, g.cpu.cpl()), (TARGET, 0x5B, 3));
    // To a 32-bit segment of ring 3: compatibility mode.
    let mut g = at(Guest::fred().in_ring_3(), JMP, 0x1B, TARGET);
    step(&mut g);
    assert_eq!((g.cpu.rip, g.cpu.segments.cs.l, g.cpu.segments.cs.db), (TARGET, false, true));
}

#[test]
fn call_m16_64_and_retf() {
    let mut g = at(Guest::fred(), CALL, 0x08, TARGET);
    g.memory.write(TARGET, RETF).unwrap();
    step(&mut g);
    assert_eq!((g.cpu.rip, g.cpu.gpr[4]), (TARGET, STACK - 16));
    assert_eq!((g.get(STACK - 8), g.get(STACK - 16)), (0x08, CODE + 8));
    step(&mut g);
    assert_eq!((g.cpu.rip, g.cpu.gpr[4], g.cpu.segments.cs.selector), (CODE + 8, STACK, 0x08));
}

#[test]
fn a_call_whose_second_push_faults_has_stored_nothing() {
    for (instruction, selector) in [(CALL, 0x08), (CALL, GATE)] {
        let mut g = at(Guest::fred(), instruction, selector, TARGET);
        gate(&mut g, 0x8C00, 0x08, 0);
        g.cpu.gpr[4] = NEXT + 8;
        g.map(NEXT - 0x1000, 6);
        g.put_all(DATA + 0x2000, &[TARGET, selector.into()]);
        g.memory.write(CODE, &[0x48, 0xFF, 0x1C, 0x25, 0, 0x20, 0x19, 0]).unwrap();
        g.put(NEXT, 0x77);
        g.cpu.msrs.fred.stklvls = 1 << 28;
        let frame = g.frame();
        assert_eq!((frame[0], frame[1], frame[4], frame[6]), (2, CODE, NEXT + 8, NEXT - 8));
        assert_eq!(g.get(NEXT), 0x77);
    }
}

#[test]
fn far_pointers_are_checked() {
    for (selector, offset, error_code, ss) in [
        (0x00, TARGET, 0, GP),
        (0x03, TARGET, 0, GP),
        // Data; ring 3's code; beyond the limit; a TSS; not present; not canonical.
        (0x10, TARGET, 0x10, GP),
        (0x2B, TARGET, 0x28, GP),
        (0x60, TARGET, 0x60, GP),
        (0x30, TARGET, 0x30, GP),
        (ABSENT, TARGET, 0x50, NP),
        (0x08, 0x8000_0000_0000, 0, GP),
    ] {
        for instruction in [JMP, CALL] {
            let mut g = at(Guest::fred(), instruction, selector, offset);
            let frame = g.frame();
            assert_eq!(
                (frame[0], frame[1], frame[4], frame[5]),
                (error_code, CODE, STACK, ss),
                "{selector:#x}"
            );
        }
    }
}

#[test]
fn retf_to_ring_3_needs_the_idt() {
    let returning =
        |g: Guest| at(g, RETF, 0, 0).but(|g| g.put_all(STACK, &[TARGET, 0x2B, STACK + 0x40, 0x23]));
    let mut g = returning(Guest::idt());
    step(&mut g);
    assert_eq!((g.cpu.rip, g.cpu.cpl(), g.cpu.gpr[4]), (TARGET, 3, STACK + 0x40));
    assert_eq!((g.cpu.segments.cs.selector, g.cpu.segments.ss.selector), (0x2B, 0x23));
    // FRED.md section 6: RETF cannot change ring.
    let frame = returning(Guest::fred()).frame();
    assert_eq!((frame[0], frame[1], frame[5]), (0x28, CODE, GP));
}

#[test]
fn a_call_gate_leads_to_ring_0_under_the_idt_only() {
    let mut g = through_gate(Guest::idt().in_ring_3(), CALL, 3, 0x08);
    step(&mut g);
    assert_eq!((g.cpu.rip, g.cpu.cpl(), g.cpu.gpr[4]), (TARGET, 0, RSP0 - 32));
    assert_eq!((g.cpu.segments.cs.selector, g.cpu.segments.ss.selector), (0x08, 0));
    assert_eq!(g.top()[..4], [CODE + 8, 0x2B, STACK, 0x23]);
    // FRED.md section 6: a far CALL cannot change ring.
    let mut g = through_gate(Guest::fred().in_ring_3(), CALL, 3, 0x08);
    let frame = g.frame();
    assert_eq!((frame[0], frame[1], frame[5]), (0x08, CODE, 0x0203_000D_0000_0023));
}

#[test]
fn a_gate_to_the_same_ring_keeps_the_stack() {
    for g in [Guest::idt(), Guest::fred()] {
        let mut g = through_gate(g, CALL, 3, 0x08);
        step(&mut g);
        assert_eq!((g.cpu.rip, g.cpu.gpr[4]), (TARGET, STACK - 16));
        assert_eq!(g.top()[..2], [CODE + 8, 0x08]);
    }
    let mut g = through_gate(Guest::fred(), JMP, 3, 0x08);
    step(&mut g);
    assert_eq!((g.cpu.rip, g.cpu.gpr[4]), (TARGET, STACK));
    // Ring 3 through a gate to a conforming segment.
    let mut g = through_gate(Guest::fred().in_ring_3(), CALL, 3, CONFORMING);
    step(&mut g);
    assert_eq!((g.cpu.rip, g.cpu.segments.cs.selector, g.cpu.cpl()), (TARGET, 0x5B, 3));
}

#[test]
fn gates_are_checked() {
    // Kind of the lower half, target, upper half; error code and vector.
    for (kind, target, high, error_code, vector) in [
        // DPL 0 from ring 3; not present; a trap gate; the upper half is a descriptor.
        (0x8C00, 0x08, 0, 0x40, 13),
        (0x6C00, 0x08, 0, 0x40, 11),
        (0xEF00, 0x08, 0, 0x40, 13),
        (0xEC00, 0x08, 0x0C00 << 32, 0x40, 13),
        // No target; data; 32-bit code; not present; beyond the table.
        (0xEC00, 0x00, 0, 0, 13),
        (0xEC00, 0x10, 0, 0x10, 13),
        (0xEC00, 0x1B, 0, 0x18, 13),
        (0xEC00, ABSENT, 0, 0x50, 11),
        (0xEC00, 0x60, 0, 0x60, 13),
        // The offset is not canonical.
        (0xEC00, 0x08, 0x8000, 0, 13),
    ] {
        let mut g = at(Guest::idt().in_ring_3(), CALL, GATE | 3, 0);
        gate(&mut g, kind, target, high);
        assert_eq!(g.run().reason, ExitReason::Halt);
        // The handler's HLT, on RSP0: error code and RIP.
        let got = ((g.cpu.rip - 1 - guest::HANDLERS) / 16, g.top()[0], g.top()[1]);
        assert_eq!(got, (vector, error_code, CODE), "{kind:#x}, {target:#x}, {high:#x}");
    }
    // RPL 3 asks for less than ring 0 has, and the gate is for ring 0.
    let frame = through_gate(Guest::fred(), CALL, 0, 0x08).frame();
    assert_eq!((frame[0], frame[1], frame[5]), (0x40, CODE, GP));
    // JMP does not go inwards.
    let mut g = through_gate(Guest::idt().in_ring_3(), JMP, 3, 0x08);
    assert_eq!(g.run().reason, ExitReason::Halt);
    assert_eq!((g.cpu.rip, g.top()[0]), (guest::HANDLERS + 13 * 16 + 1, 0x08));
    // A TSS without RSP0: #TS names it. Its delivery to ring 0 has no stack either, and so on.
    let mut g = through_gate(Guest::idt().in_ring_3(), CALL, 3, 0x08);
    g.cpu.segments.tr.limit = 0x0A;
    // #TS through an IST... which the short TSS does not have either.
    assert_eq!(g.run().reason, ExitReason::TripleFault);
    // The stack of RSP0 is unmapped: nothing has changed when #PF comes.
    let mut g = through_gate(Guest::idt().in_ring_3(), CALL, 3, 0x08);
    g.put(TSS + 4, NEXT);
    g.map(NEXT - 0x1000, 6);
    g.put(guest::IDT + 14 * 16 + 4, 0x8E01);
    g.memory.write(CODE, &[0x48, 0xFF, 0x1C, 0x25, 0, 0x20, 0x19, 0]).unwrap();
    g.put(DATA + 0x2008, (GATE | 3).into());
    assert_eq!(g.run().reason, ExitReason::Halt);
    assert_eq!((g.top()[0], g.top()[1], g.top()[4], g.cpu.cr2), (2, CODE, STACK, NEXT - 8));
}

#[test]
fn lss_lfs_and_lgs() {
    for opcode in [0xB2, 0xB4, 0xB5] {
        // The 64-bit form, into RAX.
        let load = [0x48, 0x0F, opcode, 0x04, 0x25, 0, 0, 0x19, 0];
        let mut g = at(Guest::fred(), &load, 0x10, 0x1122_3344_5566_7788);
        (g.cpu.segments.ss.selector, g.cpu.segments.fs.selector, g.cpu.segments.gs.selector) = (0, 0, 0);
        step(&mut g);
        let loaded = match opcode {
            0xB2 => g.cpu.segments.ss,
            0xB4 => g.cpu.segments.fs,
            _ => g.cpu.segments.gs,
        };
        assert_eq!((loaded.selector, g.cpu.gpr[0]), (0x10, 0x1122_3344_5566_7788));
        // A segment that is none: neither register has changed.
        let mut g = at(Guest::fred(), &load, 0x60, 7);
        let frame = g.frame();
        assert_eq!((frame[0], frame[1], frame[5], g.cpu.gpr[0]), (0x60, CODE, GP, 0));
    }
}
