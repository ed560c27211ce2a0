//! What comparisons of SSE record in MXCSR, and when that is #XM: denormal numbers, NaNs, flags that were there before.
//!
//! Rule: a signaling NaN is an invalid operation for UCOMISS and UCOMISD, any NaN is for COMISS and COMISD; beside a NaN
//! a denormal number is not recorded, else it is, unless MXCSR.DAZ makes it a zero. Flags stay once they are set, and raise nothing
//! later. An exception that is not masked is #XM at the instruction (SDM vol. 1 ch. 11, "SSE and SSE2 SIMD
//! Floating-Point Exceptions"; vol. 2, "COMISS", "UCOMISS").
//!
//! Known bugs that fail it: MXCSR of the host where a hypervisor executes the comparison; flags of MXCSR lost with the
//! extended state.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use guest::prelude::*;
use tests::manual::*;

guest::image! {
    name: "comiss",
    rule: "SSE comparisons record invalid operands and denormal ones in MXCSR, and #XM follows its masks.",
    spec: "SDM vol. 1 ch. 11 exceptions; vol. 2 COMISS; vol. 3 ch. 7",
    cases: [quiet::CASE, nan::CASE, denormal::CASE, zeros::CASE, sticky::CASE, unmasked::CASE],
}

/// What acts read: with 32 bits a quiet NaN, a signaling one, the smallest denormal number, 1.0; then the same with 64 bits, with
/// the greatest denormal number; then MXCSR as it is initially, with DAZ, with a recorded invalid operation that is not masked.
#[repr(C, align(16))]
struct Words([AtomicU64; 10]);
static WORDS: Words = Words([
    AtomicU64::new(0x7F80_0001_7FC0_0000),
    AtomicU64::new(0x3F80_0000_0000_0001),
    AtomicU64::new(0x7FF8_0000_0000_0000),
    AtomicU64::new(0x7FF0_0000_0000_0001),
    AtomicU64::new(0x000F_FFFF_FFFF_FFFF),
    AtomicU64::new(0x3FF0_0000_0000_0000),
    AtomicU64::new(0x0000_1FC0_0000_1F80),
    AtomicU64::new(0x1F01),
    AtomicU64::new(0),
    AtomicU64::new(0),
]);
/// MXCSR after one comparison and the next.
static STORED: [AtomicU64; 4] = [const { AtomicU64::new(0) }; _];

fn stored(index: usize) -> u64 {
    STORED[index].load(Relaxed)
}

/// A case that raises nothing: RSI is what is read, RDI where MXCSR is written; it is as initially before and after.
macro_rules! compares {
    ($module:ident, $name:literal, $act:literal, $rule:literal, [$($line:literal),*], rbx: $rbx:expr, [$($expected:expr),*]) => {
        mod $module {
            use super::*;
            act! {
                name: $act,
                set: ["lea rsi, [rip + {words}]", "lea rdi, [rip + {stored}]", "ldmxcsr [rsi + 48]", "mov ebx, 0"],
                armed: [],
                act: [$($line,)* "ldmxcsr [rsi + 48]", "push 2", "popfq"],
                words = sym WORDS,
                stored = sym STORED,
            }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                flags: CaseFlags::CONFORMANCE,
                prepare: || STORED.iter().for_each(|word| word.store(0, Relaxed)),
                act: ACT,
                left: &Left { general: &[(General::Rbx, $rbx)], ..Left::NEW },
                results: &[
                    Check { expected: const { [$($expected),*] }[0], read: || stored(0) },
                    Check { expected: const { [$($expected),*] }[1], read: || stored(1) },
                    Check { expected: const { [$($expected),*] }[2], read: || stored(2) },
                    Check { expected: const { [$($expected),*] }[3], read: || stored(3) },
                ],
                ..Case::NEW
            };
        }
    };
}

compares! {
    quiet, "quiet", "comiss.quiet",
    "UCOMISS, UCOMISD with a quiet NaN, also beside a denormal number: nothing; with a signaling one: IE. All are unordered.",
    [
        "movups xmm2, [rsi + 8]", "ucomiss xmm2, [rsi]", "setp bl", "stmxcsr [rdi]", "ucomiss xmm2, [rsi + 4]", "stmxcsr [rdi + 8]",
        "ldmxcsr [rsi + 48]", "movups xmm2, [rsi + 32]", "ucomisd xmm2, [rsi + 16]", "setp bh", "stmxcsr [rdi + 16]",
        "ucomisd xmm2, [rsi + 24]", "stmxcsr [rdi + 24]", "movzx ebx, bx"
    ],
    rbx: 0x101, [0x1F80, 0x1F81, 0x1F80, 0x1F81]
}
compares! {
    nan, "nan", "comiss.nan",
    "COMISS, COMISD of 1.0, and of a denormal number, with a quiet NaN: IE alone, unordered.",
    [
        "movups xmm2, [rsi + 12]", "comiss xmm2, [rsi]", "setp bl", "stmxcsr [rdi]", "ldmxcsr [rsi + 48]",
        "movups xmm2, [rsi + 8]", "comiss xmm2, [rsi]", "stmxcsr [rdi + 8]", "ldmxcsr [rsi + 48]",
        "movups xmm2, [rsi + 40]", "comisd xmm2, [rsi + 16]", "setp bh", "stmxcsr [rdi + 16]", "ldmxcsr [rsi + 48]",
        "movups xmm2, [rsi + 32]", "comisd xmm2, [rsi + 16]", "stmxcsr [rdi + 24]", "movzx ebx, bx"
    ],
    rbx: 0x101, [0x1F81, 0x1F81, 0x1F81, 0x1F81]
}
compares! {
    denormal, "denormal", "comiss.denormal",
    "COMISS, COMISD of a denormal number with 1.0, of 1.0 with a denormal number: DE, and it is less.",
    [
        "movups xmm2, [rsi + 8]", "comiss xmm2, [rsi + 12]", "setb bl", "stmxcsr [rdi]", "ldmxcsr [rsi + 48]",
        "movups xmm2, [rsi + 12]", "comiss xmm2, [rsi + 8]", "seta bh", "stmxcsr [rdi + 8]", "ldmxcsr [rsi + 48]",
        "movups xmm2, [rsi + 32]", "comisd xmm2, [rsi + 40]", "stmxcsr [rdi + 16]", "ldmxcsr [rsi + 48]",
        "movups xmm2, [rsi + 40]", "ucomisd xmm2, [rsi + 32]", "stmxcsr [rdi + 24]", "movzx ebx, bx"
    ],
    rbx: 0x101, [0x1F82, 0x1F82, 0x1F82, 0x1F82]
}
compares! {
    zeros, "zeros", "comiss.zeros",
    "MXCSR.DAZ: COMISS, COMISD of a denormal number with 0: equal, nothing recorded; a denormal beside a quiet NaN too.",
    [
        "ldmxcsr [rsi + 52]", "movups xmm2, [rsi + 8]", "comiss xmm2, [rsi + 64]", "sete bl", "stmxcsr [rdi]",
        "ucomiss xmm2, [rsi]", "stmxcsr [rdi + 8]", "movups xmm2, [rsi + 32]", "comisd xmm2, [rsi + 64]", "sete bh", "stmxcsr [rdi + 16]",
        "movups xmm2, [rsi + 64]", "ucomisd xmm2, [rsi + 32]", "stmxcsr [rdi + 24]", "movzx ebx, bx"
    ],
    rbx: 0x101, [0x1FC0, 0x1FC0, 0x1FC0, 0x1FC0]
}
compares! {
    sticky, "sticky", "comiss.sticky",
    "COMISS of 1.0 with itself while MXCSR has an invalid operation that is not masked: nothing is raised, IE stays.",
    [
        "ldmxcsr [rsi + 56]", "movups xmm2, [rsi + 12]", "comiss xmm2, [rsi + 12]", "sete bl", "stmxcsr [rdi]",
        "comiss xmm2, [rsi + 8]", "seta bh", "stmxcsr [rdi + 8]", "movzx ebx, bx"
    ],
    rbx: 0x101, [0x1F01, 0x1F03, 0, 0]
}

mod unmasked {
    use super::*;
    // COMISD is 5 bytes long with a displacement of 8 bits.
    act! {
        name: "comiss.unmasked",
        set: ["lea rsi, [rip + {words}]", "movups xmm2, [rsi + 40]"],
        armed: ["push 0x1E80", "ldmxcsr [rsp]", "pop rcx"],
        act: ["comisd xmm2, [rsi + 32]"],
        then: ["push rcx", "stmxcsr [rsp]", "pop rcx", "ldmxcsr [rsi + 48]"],
        words = sym WORDS,
    }
    pub(super) const CASE: Case = Case {
        name: "unmasked",
        rule: "COMISD of 1.0 with a denormal number, which is not masked: #XM, MXCSR.DE set, status flags as they were.",
        prepare: || {
            set_control(|cr0| cr0, OSXMMEXCPT);
            route(19, 1, IST_FRAME);
        },
        act: ACT,
        events: &[Event {
            vector: 19,
            ss: ss_slot(HARDWARE_EXCEPTION, 19),
            general: &[(General::Rcx, 0x1E80)],
            ..Event::NEW
        }],
        left: &Left { general: &[(General::Rcx, 0x1E82)], ..Left::NEW },
        // What the host queues, no instruction has recorded in MXCSR.
        cancel: Cancel::No,
        ..Case::NEW
    };
}
