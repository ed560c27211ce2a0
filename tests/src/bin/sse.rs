//! x87 and SSE instructions that raise nothing: moves, logic, comparisons, control.
//!
//! Rule: MOVAPS, MOVDQA, MOVUPS and their like move 16 bytes, XORPS, ANDPS and ORPS combine them. (U)COMISS and (U)COMISD set
//! ZF, PF and CF as the comparison says, and clear OF, SF and AF. FNOP, FNCLEX, FNSTSW and WAIT change no register but the status word (SDM
//! vol. 2, their operation sections).
//!
//! Known bugs that fail it: XMM registers of the host in the guest, where a hypervisor emulates (kvm_fpu_get of KVM); flags of a
//! comparison that an emulated instruction has left.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use guest::prelude::*;
use tests::manual::*;

guest::image! {
    name: "sse",
    rule: "SSE moves, combines and compares 16 bytes as the manual says, and x87 control instructions leave registers alone.",
    spec: "SDM vol. 2 MOVAPS, XORPS, COMISS, FNCLEX",
    cases: [moves::CASE, logic::CASE, less::CASE, equal::CASE, greater::CASE, unordered::CASE, x87::CASE],
}

/// What acts read.
#[repr(C, align(16))]
struct Words([AtomicU64; 10]);
static WORDS: Words = Words([
    AtomicU64::new(0xA1B2_C3D4_E5F6_0718),
    AtomicU64::new(0x2938_4A5B_6C7D_8E9F),
    AtomicU64::new(0x00FF_00FF_00FF_00FF),
    AtomicU64::new(0xFFFF_0000_FFFF_0000),
    // 1.0 and 2.0 of 32 bits, 1.0 and 2.0 of 64.
    AtomicU64::new(0x4000_0000_3F80_0000),
    AtomicU64::new(0),
    AtomicU64::new(0x3FF0_0000_0000_0000),
    AtomicU64::new(0x4000_0000_0000_0000),
    AtomicU64::new(0),
    AtomicU64::new(0),
]);
/// What they write.
static STORED: Words = Words([const { AtomicU64::new(0) }; 10]);

fn stored(index: usize) -> u64 {
    STORED.0[index].load(Relaxed)
}

/// A case that raises nothing: RSI is what is read, RDI where is written.
macro_rules! sse {
    ($module:ident, $name:literal, $act:literal, $rule:literal, [$($line:literal),*], rflags: $rflags:expr, $left:expr, [$($index:literal: $expected:expr),*]) => {
        mod $module {
            use super::*;
            act! {
                name: $act,
                set: ["lea rsi, [rip + {words}]", "lea rdi, [rip + {stored}]"],
                armed: ["push 0x895", "popfq"],
                act: [$($line),*],
                words = sym WORDS,
                stored = sym STORED,
            }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                flags: CaseFlags::CONFORMANCE,
                act: ACT,
                left: &Left { rflags: $rflags, general: $left, ..Left::NEW },
                results: &[$(Check { expected: $expected, read: || stored($index) }),*],
                ..Case::NEW
            };
        }
    };
}
/// OF, SF, AF, PF and CF, which every act begins with.
const FLAGS: u64 = RFLAGS | 0x895;

sse! {
    moves, "moves", "sse.moves",
    "MOVAPS, MOVAPD, MOVDQA, MOVUPS, MOVUPD and MOVDQU, aligned or not: 16 bytes, in either direction.",
    [
        "movaps xmm2, [rsi]", "movapd xmm3, xmm2", "movdqa [rdi], xmm3", "movupd xmm4, [rsi + 8]", "movdqu xmm5, xmm4",
        "movups [rdi + 24], xmm5"
    ],
    rflags: FLAGS, &[],
    [0: 0xA1B2_C3D4_E5F6_0718, 1: 0x2938_4A5B_6C7D_8E9F, 3: 0x2938_4A5B_6C7D_8E9F, 4: 0x00FF_00FF_00FF_00FF]
}
sse! {
    logic, "logic", "sse.logic",
    "XORPS, PXOR, ANDPS and ORPS of a register and memory.",
    [
        "movups xmm2, [rsi]", "xorps xmm2, [rsi + 16]", "movups [rdi], xmm2", "movups xmm2, [rsi]", "andps xmm2, [rsi + 16]",
        "movups [rdi + 16], xmm2", "orps xmm2, [rsi]", "movups [rdi + 32], xmm2", "pxor xmm2, xmm2", "movups [rdi + 48], xmm2"
    ],
    rflags: FLAGS, &[],
    [
        0: 0xA14D_C32B_E509_07E7, 1: 0xD6C7_4A5B_9382_8E9F, 2: 0x00B2_00D4_00F6_0018, 3: 0x2938_0000_6C7D_0000,
        4: 0xA1B2_C3D4_E5F6_0718, 5: 0x2938_4A5B_6C7D_8E9F, 6: 0, 7: 0
    ]
}
sse! {
    less, "less", "sse.less", "COMISS and UCOMISD of 1 with 2: CF alone.",
    ["movups xmm2, [rsi + 32]", "comiss xmm2, [rsi + 36]", "setb bl", "movzx ebx, bl", "movups xmm2, [rsi + 48]", "ucomisd xmm2, [rsi + 56]"],
    rflags: RFLAGS | 1, &[(General::Rbx, 1)], []
}
sse! {
    equal, "equal", "sse.equal", "UCOMISS and COMISD of 2 with itself: ZF alone.",
    ["movups xmm2, [rsi + 36]", "ucomiss xmm2, [rsi + 36]", "sete bl", "movzx ebx, bl", "movups xmm2, [rsi + 56]", "comisd xmm2, [rsi + 56]"],
    rflags: RFLAGS | 0x40, &[(General::Rbx, 1)], []
}
sse! {
    greater, "greater", "sse.greater", "COMISD of 2 with 1: no flag.",
    ["movups xmm2, [rsi + 56]", "comisd xmm2, [rsi + 48]"],
    rflags: RFLAGS, &[], []
}
sse! {
    unordered, "unordered", "sse.unordered", "UCOMISS with a quiet NaN: ZF, PF and CF.",
    ["movups xmm2, [rsi + 32]", "mov dword ptr [rdi + 56], 0x7FC00000", "ucomiss xmm2, [rdi + 56]"],
    rflags: RFLAGS | 0x45, &[], []
}
sse! {
    x87, "x87", "sse.x87", "FNINIT, FNOP, FNCLEX, WAIT: the status word is 0, by FNSTSW AX and to memory, which is 2 bytes.",
    [
        "fninit", "fnop", "fnclex", "fwait", "mov rbx, rax", "mov rax, -1", "fnstsw ax", "mov rcx, rax", "mov rax, rbx",
        "mov ebx, 0", "mov qword ptr [rdi], -1", "fnstsw [rdi]", "mov qword ptr [rdi + 8], -1", "fnstcw [rdi + 8]"
    ],
    rflags: FLAGS, &[(General::Rbx, 0), (General::Rcx, 0xFFFF_FFFF_FFFF_0000)],
    [0: 0xFFFF_FFFF_FFFF_0000, 1: 0xFFFF_FFFF_FFFF_037F]
}
