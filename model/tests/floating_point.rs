//! #MF and #XM: which instructions raise them, and what they leave.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod guest;

use guest::{CODE, DATA, Guest, UD};
use iced_x86::code_asm::*;
use model::processor::ExitReason;

const MF: u64 = 0x0203_0010_0000_0010;
const XM: u64 = 0x0203_0013_0000_0010;
/// CR0.NE.
const NE: u64 = 1 << 5;
/// CR4.OSXMMEXCPT.
const OSXMMEXCPT: u64 = 1 << 10;

/// Writes a program.
type Program = fn(&mut CodeAssembler);

/// A guest whose x87 status word has IE, which is not masked.
fn pending(program: Program) -> Guest {
    let mut g = Guest::fred().with(program);
    g.cpu.cr0 |= NE;
    g.cpu.xstate.fxsave[..4].copy_from_slice(&[0x7E, 0x03, 0x81, 0x80]);
    g
}

/// SDM vol. 3, "Interrupt 16".
#[test]
fn waiting_instructions_report_a_pending_x87_exception() {
    let waiting: [Program; 4] = [
        |a| a.wait().unwrap(),
        |a| a.fnop().unwrap(),
        |a| a.fldcw(word_ptr(DATA)).unwrap(),
        |a| a.fld1().unwrap(),
    ];
    for program in waiting {
        assert_eq!(pending(program).frame(), [0, CODE, 0x08, 0x1_0002, 0x18_0000, MF, 0, 0]);
    }
}

/// SDM vol. 1, "x87 FPU Control Instructions": the no-wait forms.
#[test]
fn other_instructions_do_not() {
    let others: [Program; 4] = [
        |a| a.fninit().unwrap(),
        |a| a.fnclex().unwrap(),
        |a| a.fnstsw(ax).unwrap(),
        |a| a.movups(xmm0, xmm1).unwrap(),
    ];
    for program in others {
        assert_eq!(pending(program).step().reason, ExitReason::Budget);
    }
    let mut masked = pending(|a| a.wait().unwrap());
    masked.cpu.xstate.fxsave[0] = 0x7F;
    assert_eq!(masked.step().reason, ExitReason::Budget);
}

/// A comparison of XMM0 = `a` with XMM1 = `b`, and MXCSR.
fn comparing(program: Program, a: f32, b: f32, mxcsr: u32) -> Guest {
    let mut g = Guest::fred().with(program);
    g.cpu.cr4 |= OSXMMEXCPT;
    g.cpu.xstate.fxsave[160..164].copy_from_slice(&a.to_le_bytes());
    g.cpu.xstate.fxsave[176..180].copy_from_slice(&b.to_le_bytes());
    g.cpu.xstate.fxsave[24..28].copy_from_slice(&mxcsr.to_le_bytes());
    g
}

const QUIET: f32 = f32::NAN;
/// The least denormal number.
const DENORMAL: f32 = f32::from_bits(1);

fn comiss(a: &mut CodeAssembler) {
    a.comiss(xmm0, xmm1).unwrap();
}

fn ucomiss(a: &mut CodeAssembler) {
    a.ucomiss(xmm0, xmm1).unwrap();
}

/// SDM vol. 3, "Interrupt 19"; vol. 2, COMISS: the flags stay.
#[test]
fn an_sse_exception_that_is_not_masked() {
    let mut g = comparing(comiss, QUIET, 1.0, 0x1F00);
    assert_eq!(g.frame(), [0, CODE, 0x08, 0x1_0002, 0x18_0000, XM, 0, 0]);
    assert_eq!(g.cpu.xstate.mxcsr(), 0x1F01);
    let mut g = comparing(comiss, DENORMAL, 1.0, 0x1E80);
    assert_eq!((g.frame()[5], g.cpu.xstate.mxcsr()), (XM, 0x1E82));
    let mut g = comparing(comiss, QUIET, 1.0, 0x1F00);
    g.cpu.cr4 &= !OSXMMEXCPT;
    assert_eq!(g.frame()[5], UD);
}

/// SDM vol. 2, COMISS and UCOMISS: ZF, PF and CF; MXCSR after it.
#[test]
fn comparisons() {
    let cases: [(Program, f32, f32, u32, u64, u32); 7] = [
        (comiss, 1.0, 2.0, 0x1F80, 0x03, 0x1F80),
        (comiss, 2.0, 1.0, 0x1F80, 0x02, 0x1F80),
        (comiss, -0.0, 0.0, 0x1F80, 0x42, 0x1F80),
        (comiss, QUIET, 1.0, 0x1F80, 0x47, 0x1F81),
        (ucomiss, QUIET, DENORMAL, 0x1F00, 0x47, 0x1F00),
        (comiss, DENORMAL, 0.0, 0x1F80, 0x02, 0x1F82),
        (comiss, DENORMAL, 0.0, 0x1FC0, 0x42, 0x1FC0),
    ];
    for (program, a, b, before, rflags, mxcsr) in cases {
        let mut g = comparing(program, a, b, before);
        assert_eq!(g.step().reason, ExitReason::Budget);
        assert_eq!((g.cpu.rflags, g.cpu.xstate.mxcsr()), (rflags, mxcsr), "{a} {b} {before:#x}");
    }
}
