//! Instructions that no event needs, each of which a hypervisor may have to execute itself.
//!
//! Rule: CMC, STC, CLC and STD change one flag. JECXZ and JRCXZ look at their own part of RCX; LOOP, LOOPE and LOOPNE count
//! RCX down, whatever ends them. RET releases its immediate above the return address. A push of 16 bits moves RSP by 2,
//! and POPF of 16 bits keeps bits 31:16. With an address size of 32 bits a string instruction uses ESI, EDI and ECX, and
//! clears the upper halves. STAC and CLAC change RFLAGS.AC (SDM vol. 2, their operation sections).
//!
//! Known bugs that fail it: an emulator's count of another width than the address size (register_address_increment and
//! address_mask of KVM's emulator); SMAP's flag left to the host (STAC executed where RFLAGS are somebody else's).
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use guest::prelude::*;
use tests::manual::*;

guest::image! {
    name: "plain",
    rule: "Flags, loops, stack and strings: instructions that raise nothing do what the manual says.",
    spec: "SDM vol. 2 CMC, Jcc, LOOP, RET, PUSH, POPF, REP, STAC",
    cases: [
        carry::CASE, direction::CASE, jump_on_count::CASE, loops::CASE, ret::CASE, push::CASE, popf::CASE, push_segment::CASE,
        strings::CASE, strings_back::CASE, overlapping::CASE, cpuid::CASE, stac::CASE, clac::CASE, cr8::CASE,
    ],
}

/// What a string instruction reads.
static FROM: [AtomicU64; 4] = [
    AtomicU64::new(0x1716_1514_1312_1110),
    AtomicU64::new(0x1F1E_1D1C_1B1A_1918),
    AtomicU64::new(0x2726_2524_2322_2120),
    AtomicU64::new(0x2F2E_2D2C_2B2A_2928),
];
/// What it writes.
static TO: [AtomicU64; 4] = [const { AtomicU64::new(0) }; _];

/// Nothing is written yet.
fn clear() {
    TO.iter().for_each(|word| word.store(0, Relaxed));
}

/// A case that raises nothing, and leaves these registers and RFLAGS.
macro_rules! leaves {
    (
        $module:ident, $name:literal, $act:literal, $rule:literal, armed: [$($armed:literal),*], act: [$($line:literal),*],
        general: [$($general:expr),*], rflags: $rflags:expr, $($operands:tt)*
    ) => {
        mod $module {
            use super::*;
            act! { name: $act, set: [], armed: [$($armed),*], act: [$($line),*], $($operands)* }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                flags: CaseFlags::CONFORMANCE,
                act: ACT,
                left: &Left { general: &[$($general),*], rflags: $rflags, ..Left::NEW },
                ..Case::NEW
            };
        }
    };
}

leaves! {
    carry, "carry", "plain.carry",
    "STC, CLC and CMC, each followed by ADC: RBX is 1, then 2, 5 and 10; the last STC stays.",
    armed: ["mov ebx, 0"],
    act: ["stc", "adc ebx, ebx", "clc", "adc ebx, ebx", "cmc", "adc ebx, ebx", "stc", "cmc", "adc ebx, ebx", "stc"],
    // CF, and PF: of 10 two bits are set.
    general: [(General::Rbx, 0xA)], rflags: RFLAGS | 0x5,
}
leaves! {
    direction, "direction", "plain.direction",
    "STD sets RFLAGS.DF, which PUSHF shows, and CLD clears it.",
    armed: [], act: ["std", "pushfq", "pop rbx", "cld"],
    general: [(General::Rbx, RFLAGS | DF)], rflags: RFLAGS,
}
leaves! {
    jump_on_count, "jump-on-count", "plain.jump-on-count",
    "JECXZ and JRCXZ with RCX = 2^32, 1 and 0: each looks at its own part of RCX.",
    armed: ["mov ebx, 0"],
    act: [
        "movabs rcx, 0x100000000", "jecxz 2f", "lea ebx, [rbx + 1]", "2:", "jrcxz 3f", "lea ebx, [rbx + 2]", "3:",
        "mov ecx, 1", "jecxz 4f", "lea ebx, [rbx + 4]", "4:", "mov ecx, 0", "jrcxz 5f", "lea ebx, [rbx + 8]", "5:"
    ],
    general: [(General::Rbx, 6), (General::Rcx, 0)], rflags: RFLAGS,
}
leaves! {
    loops, "loops", "plain.loops",
    "LOOP, LOOPE and LOOPNE with ZF set and clear: the rounds of each are counted in a digit of RBX.",
    armed: ["mov ebx, 0"],
    act: [
        "mov ecx, 3", "2:", "lea ebx, [rbx + 1]", "loop 2b",
        // ZF and PF.
        "push 0x46", "popfq",
        "mov ecx, 5", "3:", "lea ebx, [rbx + 0x10]", "loope 3b",
        "mov ecx, 5", "4:", "lea ebx, [rbx + 0x100]", "loopne 4b",
        "push 2", "popfq",
        "mov ecx, 5", "5:", "lea ebx, [rbx + 0x1000]", "loope 5b", "6:", "lea ebx, [rbx + 0x10000]", "loopne 6b"
    ],
    general: [(General::Rbx, 0x4_1153), (General::Rcx, 0)], rflags: RFLAGS,
}
leaves! {
    ret, "ret", "plain.ret",
    "CALL by a register, by memory and by displacement, each left by RET with and without an immediate.",
    armed: ["mov ebx, 1", "lea rcx, [rip + 55f]", "push rcx"],
    act: [
        "push 0x77", "push 6", "push 5", "call rcx", "call qword ptr [rsp + 16]", "call 56f", "pop rcx",
        "lea rsp, [rsp + 8]", "jmp 57f",
        "55:", "lea ebx, [rbx + rbx]", "ret 8", "56:", "lea ebx, [rbx + rbx + 1]", "ret", "57:"
    ],
    general: [(General::Rbx, 9), (General::Rcx, 0x77)], rflags: RFLAGS,
}
leaves! {
    push, "push", "plain.push",
    "PUSH of 16 bits, of 8 bits signed, of memory; POP of 16 bits: the rest of the register stays.",
    armed: ["movabs rbx, 0x1122334455667788", "mov rcx, rbx"],
    act: [
        "push bx", "push -2", "push qword ptr [rsp]", "pop rdi", "pop rsi", "mov ecx, 0", "mov rcx, rbx", "rol rcx, 16",
        "pop cx", "push 2", "popfq"
    ],
    general: [
        (General::Rbx, 0x1122_3344_5566_7788), (General::Rcx, 0x3344_5566_7788_7788), (General::Rsi, 0xFFFF_FFFF_FFFF_FFFE),
        (General::Rdi, 0xFFFF_FFFF_FFFF_FFFE)
    ], rflags: RFLAGS,
}
leaves! {
    popf, "popf", "plain.popf",
    "PUSHF and POPF of 16 bits: AC stays as it is, the lower flags are loaded.",
    armed: ["push 0x40002", "popfq"],
    act: ["pushfw", "pop bx", "push 0x4CD7", "popfw", "lea rsp, [rsp + 6]"],
    // The lower 16 bits of RBX are replaced.
    general: [(General::Rbx, 0x9A03_7603_5203_0002)], rflags: AC | 0x4CD7,
}
leaves! {
    push_segment, "push-segment", "plain.push-segment",
    "PUSH FS, and MOV from ES after a load of a null selector: each reads the selector, with zeros above.",
    armed: ["mov ebx, 3", "push -1", "pop rcx"],
    act: [".byte 0x0F, 0xA0", "pop rcx", "mov es, ebx", "mov rdi, -1", "mov edi, es"],
    general: [(General::Rbx, 3), (General::Rcx, 0), (General::Rdi, 3)], rflags: RFLAGS,
}

mod strings {
    use super::*;
    act! {
        name: "plain.strings",
        set: [],
        armed: [
            "lea rsi, [rip + {from}]", "lea rdi, [rip + {to}]", "bts rsi, 40", "bts rdi, 41", "movabs rcx, 0x300000003",
            "push 2", "popfq"
        ],
        act: [
            "addr32 rep movsw", "mov ebx, ecx", "mov ecx, 2", "addr32 rep stosd", "addr32 movsq",
            "lea rcx, [rip + {from}]", "sub rsi, rcx", "lea rcx, [rip + {to}]", "sub rdi, rcx", "mov ecx, 0", "push 2", "popfq"
        ],
        from = sym FROM,
        to = sym TO,
    }
    pub(super) const CASE: Case = Case {
        name: "strings",
        rule: "REP MOVSW, REP STOSD and MOVSQ with addresses of 32 bits: ESI, EDI and ECX count, the upper halves become 0.",
        flags: CaseFlags::CONFORMANCE,
        prepare: clear,
        act: ACT,
        left: &Left {
            general: &[(General::Rbx, 0), (General::Rcx, 0), (General::Rsi, 14), (General::Rdi, 22)],
            ..Left::NEW
        },
        results: &[
            // Six bytes, and after them EAX twice, which is the doorbell's.
            Check { expected: 0x1514_1312_1110, read: || TO[0].load(Relaxed) & 0xFFFF_FFFF_FFFF },
            // Eight bytes from the seventh on.
            Check {
                expected: 0x1D1C_1B1A_1918_1716,
                read: || TO[1].load(Relaxed) >> 48 | TO[2].load(Relaxed) << 16,
            },
            Check { expected: 0, read: || TO[2].load(Relaxed) >> 48 },
        ],
        ..Case::NEW
    };
}

mod strings_back {
    use super::*;
    act! {
        name: "plain.strings-back",
        set: [],
        armed: ["lea rsi, [rip + {from} + 16]", "lea rdi, [rip + {to} + 24]", "mov ecx, 2", "std"],
        act: [
            "rep movsq", "movsd", "cld", "lea rbx, [rip + {from}]", "sub rsi, rbx", "lea rbx, [rip + {to}]", "sub rdi, rbx",
            "mov ebx, 0", "push 2", "popfq"
        ],
        from = sym FROM,
        to = sym TO,
    }
    pub(super) const CASE: Case = Case {
        name: "strings-back",
        rule: "REP MOVSQ and MOVSD with RFLAGS.DF: from the end to the beginning, by the size of the item.",
        flags: CaseFlags::CONFORMANCE,
        prepare: clear,
        act: ACT,
        left: &Left {
            general: &[
                (General::Rbx, 0),
                (General::Rcx, 0),
                (General::Rsi, 0xFFFF_FFFF_FFFF_FFFC),
                (General::Rdi, 4),
            ],
            ..Left::NEW
        },
        results: &[
            Check { expected: 0, read: || TO[0].load(Relaxed) },
            Check { expected: 0x1312_1110, read: || TO[1].load(Relaxed) },
            Check { expected: 0x1F1E_1D1C_1B1A_1918, read: || TO[2].load(Relaxed) },
            Check { expected: 0x2726_2524_2322_2120, read: || TO[3].load(Relaxed) },
        ],
        ..Case::NEW
    };
}

mod overlapping {
    use super::*;
    act! {
        name: "plain.overlapping",
        set: ["lea rsi, [rip + {to}]", "lea rdi, [rsi + 1]"],
        armed: [],
        act: ["mov ecx, 7", "rep movsb", "mov ecx, 3", "inc rdi", "rep movsw", "sub rdi, rsi", "mov esi, 0", "push 2", "popfq"],
        to = sym TO,
    }
    pub(super) const CASE: Case = Case {
        name: "overlapping",
        rule: "REP MOVS onto the next element: each iteration reads what the one before has written.",
        flags: CaseFlags::CONFORMANCE,
        prepare: || {
            clear();
            TO[0].store(0x1716_1514_1312_1110, Relaxed);
            TO[1].store(0x1F1E_1D1C_1B1A_1918, Relaxed);
        },
        act: ACT,
        left: &Left { general: &[(General::Rcx, 0), (General::Rsi, 0), (General::Rdi, 2)], ..Left::NEW },
        results: &[
            Check { expected: 0x1010_1010_1010_1010, read: || TO[0].load(Relaxed) },
            Check { expected: 0x1F18_1018_1018_1018, read: || TO[1].load(Relaxed) },
        ],
        ..Case::NEW
    };
}

leaves! {
    cpuid, "cpuid", "plain.cpuid",
    "CPUID clears bits 63:32 of its four registers, and tells CR4.OSXSAVE.",
    armed: ["mov rdi, cr4", "mov rcx, -1", "mov rbx, -1", "mov rdx, -1", "mov rax, -0xFFFFFFFF"],
    // RBP gathers the upper halves; RSI is how bit 27 differs from CR4.OSXSAVE, RCX bit 27 while that is clear.
    act: [
        "cpuid", "mov rsi, rcx", "or rax, rbx", "or rax, rdx", "or rax, rcx", "shr rax, 32", "mov rbp, rax", "mov r8, rdi",
        "shr r8, 18", "shr rsi, 27", "xor esi, r8d", "and esi, 1", "mov r9, rdi", "btr r9, 18", "mov cr4, r9", "mov eax, 1",
        "mov ecx, 0", "cpuid", "mov cr4, rdi", "shr ecx, 27", "and ecx, 1", "mov eax, 0", "mov ebx, 0", "mov edx, 0", "mov edi, 0",
        "mov r8d, 0", "mov r9d, 0", "push 2", "popfq"
    ],
    general: [
        (General::Rax, 0), (General::Rbx, 0), (General::Rcx, 0), (General::Rdx, 0), (General::Rsi, 0), (General::Rdi, 0),
        (General::Rbp, 0), (General::R8, 0), (General::R9, 0)
    ], rflags: RFLAGS,
}

/// A case of STAC or CLAC, which raises nothing.
macro_rules! access_check {
    ($module:ident, $name:literal, $act:literal, $rule:literal, $before:literal, $instruction:literal, $after:expr) => {
        mod $module {
            use super::*;
            act! {
                name: $act, set: [], armed: [$before, "popfq"], act: [$instruction, "pushfq", "pop rbx", "push 2", "popfq"],
            }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: Needs::SMAP,
                flags: CaseFlags::CONFORMANCE,
                act: ACT,
                left: &Left { general: &[(General::Rbx, $after)], ..Left::NEW },
                ..Case::NEW
            };
        }
    };
}

access_check! { stac, "stac", "plain.stac", "STAC sets RFLAGS.AC, and nothing else.", "push 2", "stac", RFLAGS | AC }
access_check! { clac, "clac", "plain.clac", "CLAC clears RFLAGS.AC, and nothing else.", "push 0x40402", "clac", RFLAGS | DF }

// CR8 stays as it is: lowering it is an exit for the host. Nothing here depends on it, and no case comes after it.
leaves! {
    cr8, "cr8", "plain.cr8",
    "MOV to CR8 of 15, the highest priority, which reads back.",
    armed: ["mov ecx, 15"],
    act: ["mov cr8, rcx", "mov rbx, cr8"],
    general: [(General::Rbx, 15), (General::Rcx, 15)], rflags: RFLAGS,
}
