//! CPUID: what every 64-bit processor offers.
//!
//! Rule: leaf 1 and leaf 0x8000_0001 say which features there are; every processor with IA-32e mode has x87, PSE, TSC, MSR, PAE,
//! CX8, CMOV, CLFSH, MMX, FXSR, SSE, SSE2, SYSCALL, NX and LM. Leaf 0x8000_0008 has the widths of addresses (SDM vol. 2,
//! "CPUID"; vol. 1 ch. 20, "Processor identification").
//!
//! Not here: that the answers stay the same. A migration compares them as the uAPI shows them.
//!
//! Known bugs that fail it: a table that lacks what the processor cannot do without.
#![no_std]
#![no_main]

use guest::prelude::*;

guest::image! {
    name: "cpuid",
    rule: "CPUID offers what every 64-bit processor has.",
    spec: "SDM vol. 2 CPUID; vol. 1 ch. 20",
    cases: [baseline::CASE, widths::CASE],
}

mod baseline {
    use super::*;
    act! {
        name: "cpuid.baseline",
        set: [],
        armed: [],
        act: [
            "mov eax, 1", "mov ecx, 0", "cpuid", "mov esi, edx", "mov eax, 0x80000001", "mov ecx, 0", "cpuid", "mov edi, edx",
            "and esi, 0x0788A17D", "and edi, 0x20100800", "mov eax, 0", "mov ebx, 0", "mov ecx, 0", "mov edx, 0", "push 2",
            "popfq"
        ],
    }
    pub(super) const CASE: Case = Case {
        name: "baseline",
        rule: "The features without which there is no IA-32e mode, and those that x86-64 programs take for granted.",
        flags: CaseFlags::CONFORMANCE,
        act: ACT,
        left: &Left {
            general: &[
                (General::Rax, 0),
                (General::Rbx, 0),
                (General::Rcx, 0),
                (General::Rdx, 0),
                // FPU 0, DE 2, PSE 3, TSC 4, MSR 5, PAE 6, CX8 8, PGE 13, CMOV 15, CLFSH 19, MMX 23, FXSR 24, SSE 25, SSE2 26.
                (General::Rsi, 0x0788_A17D),
                // SYSCALL 11, NX 20, LM 29.
                (General::Rdi, 0x2010_0800),
            ],
            ..Left::NEW
        },
        ..Case::NEW
    };
}

mod widths {
    use super::*;
    act! {
        name: "cpuid.widths",
        set: [],
        armed: [],
        // RBX: linear bits; RCX: 1 if there are 32 to 52 physical bits; RSI: CLFLUSH's line in 8 bytes, at least 4.
        act: [
            "mov eax, 1", "mov ecx, 0", "cpuid", "shr ebx, 8", "and ebx, 0xFC", "mov esi, ebx", "and esi, 3", "mov edi, 0",
            "cmp ebx, 4", "setae dil", "mov eax, 0x80000008", "mov ecx, 0", "cpuid", "mov ebx, eax", "shr ebx, 8", "and ebx, 0xFF",
            "and eax, 0xFF", "sub eax, 32", "mov ecx, 0", "cmp eax, 20", "setbe cl", "mov ebp, 0", "cmp ebx, 48", "setae bpl",
            "mov eax, 0", "mov ebx, 0", "mov edx, 0", "push 2", "popfq"
        ],
    }
    pub(super) const CASE: Case = Case {
        name: "widths",
        rule: "At least 48 linear bits, 32 to 52 physical ones, a cache line of at least 32 bytes.",
        flags: CaseFlags::CONFORMANCE,
        act: ACT,
        left: &Left {
            general: &[
                (General::Rax, 0),
                (General::Rbx, 0),
                (General::Rcx, 1),
                (General::Rdx, 0),
                (General::Rsi, 0),
                (General::Rdi, 1),
                (General::Rbp, 1),
            ],
            ..Left::NEW
        },
        ..Case::NEW
    };
}
