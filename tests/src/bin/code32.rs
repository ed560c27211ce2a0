//! Ring 0 in compatibility mode: 32-bit code that a far return has entered.
//!
//! Rule: descriptor-table instructions have operands of six bytes there; LGDT and LIDT with a 16-bit operand load a base of 24
//! bits. A far CALL or JMP may have its target in the instruction. IRETD within the ring pops neither ESP nor SS. MOV of a
//! control register has 32 bits. SWAPGS is #UD outside 64-bit mode. An event goes through the IDT to 64-bit code, and IRETQ
//! leads back (SDM vol. 2, "LGDT", "SGDT", "CALL", "JMP", "IRET", "SWAPGS", "SYSCALL", operation; vol. 3 ch. 7, "Exception
//! and interrupt handling in 64-bit mode").
//!
//! Not here: FRED, under which nothing enters such code.
//!
//! Known bugs that fail it: an emulator that takes the size of an operand from IA-32e mode in place of CS.L (emulator_get_dt and
//! read_descriptor of KVM).
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use guest::layout::{GDT, IDT};
use guest::prelude::*;
use tests::event::*;

guest::image! {
    name: "code32",
    rule: "In 32-bit code of ring 0 operands, far transfers and returns have their 32-bit form.",
    spec: "SDM vol. 2 LGDT, SGDT, CALL, JMP, IRET, SWAPGS; vol. 3 ch. 7",
    cases: [tables::CASE, direct::CASE, iretd::CASE, control::CASE, events::CASE, syscall::CASE],
}

/// Ring-0 code, 32-bit.
const CODE_32: u64 = 0x00CF_9A00_0000_FFFF;
/// What acts read and write.
static TABLES: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];

/// 32-bit code at 0x48.
fn prepare() {
    set_descriptor(0x48, CODE_32);
    route(6, 1, IST_FRAME);
}

/// A case whose act begins in 32-bit code; `$line` leads back to 64-bit code by its end.
macro_rules! code32 {
    (
        $module:ident, $name:literal, $act:literal, $rule:literal, flags: $flags:expr, prepare: $prepare:expr, act: [$($line:literal),*],
        events: $events:expr, general: [$($general:expr),*], results: $results:expr, $($operands:tt)*
    ) => {
        mod $module {
            use super::*;
            act! {
                name: $act,
                set: [],
                armed: ["push 0x48", concat!("push offset \"", $act, ".act\""), ".byte 0x48, 0xCB", ".code32"],
                act: [$($line,)* ".byte 0xEA", concat!(".long \"", $act, ".after\""), ".short 8", ".code64"],
                then: ["push 2", "popfq"],
                $($operands)*
            }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: Needs::IDT,
                flags: CaseFlags::TOUCHES_GDT.union($flags),
                prepare: $prepare,
                act: ACT,
                events: $events,
                left: &Left { general: &[$($general),*], ..Left::NEW },
                results: $results,
                // The far return comes after `Armed`.
                cancel: Cancel::No,
                ..Case::NEW
            };
        }
    };
}

code32! {
    tables, "tables", "code32.tables",
    "LGDT and LIDT of six bytes whose operand has 16 bits: the base's bits 31:24 are not loaded; SGDT and SIDT store six bytes.",
    flags: CaseFlags::CONFORMANCE,
    prepare: || {
        prepare();
        TABLES[0].store(0x5F | (GDT.start().value() | 0x5500_0000) << 16, Relaxed);
        TABLES[1].store(0x1FF | (IDT.start().value() | 0x5500_0000) << 16, Relaxed);
        TABLES[2].store(u64::MAX, Relaxed);
        TABLES[3].store(u64::MAX, Relaxed);
    },
    act: [
        "mov ebx, offset {tables}", ".byte 0x66", "lgdt ss:[ebx]", ".byte 0x66", "lidt ss:[ebx + 8]", "sgdt ss:[ebx + 16]",
        "sidt ss:[ebx + 24]", "mov ebx, 0"
    ],
    events: &[], general: [(General::Rbx, 0)],
    results: &[
        Check { expected: 0xFFFF_0000_0000_005F, read: || TABLES[2].load(Relaxed) ^ GDT.start().value() << 16 },
        Check { expected: 0xFFFF_0000_0000_01FF, read: || TABLES[3].load(Relaxed) ^ IDT.start().value() << 16 },
    ],
    tables = sym TABLES,
}
code32! {
    direct, "direct", "code32.direct",
    "A far CALL of 32 bits by its own bytes pushes CS and EIP of 4 bytes each; JMP of 16 bits leads into code with a base.",
    flags: CaseFlags::CONFORMANCE,
    prepare: || {
        prepare();
        // Code with a base 16 bytes below `then`'s first instruction but one, which leads on from there.
        set_descriptor(0x50, 0x0040_9A00_0000_01FF | (ACT.act.value() - 0x80) << 16);
        set_descriptor(0x58, CODE_32);
    },
    act: [
        // At offset 0x80 of the code at 0x50.
        "jmp 57f", ".org 0x20 + \"code32.direct.act\"", "mov ebp, cs", ".byte 0xEA", ".long 56f", ".short 0x48", "57:",
        "mov ebx, esp",
        // CALL 0x58:55.
        ".byte 0x9A", ".long 55f", ".short 0x58", "54:", ".byte 0x66, 0xEA, 0xA0, 0, 0x50, 0",
        "55:", "mov ecx, [esp]", "mov esi, [esp + 4]", "mov edi, cs", "sub ebx, esp",
        // SUB ECX, 54.
        ".byte 0x81, 0xE9", ".long 54b", "retf",
        "56:"
    ],
    events: &[],
    general: [
        (General::Rbx, 8), (General::Rcx, 0), (General::Rsi, 0x48), (General::Rdi, 0x58), (General::Rbp, 0x50)
    ],
    results: &[],
}

mod iretd {
    use super::*;
    act! {
        name: "code32.iretd",
        set: [],
        armed: ["push 0x48", "push offset \"code32.iretd.act\"", ".byte 0x48, 0xCB", ".code32"],
        act: [
            "mov ebx, esp", "push 0x44CD7", "push 8", ".byte 0x68", ".long \"code32.iretd.after\"", "iretd", ".code64"
        ],
        then: ["pushfq", "pop rcx", "sub rbx, rsp", "mov esi, ss", "push 2", "popfq"],
    }
    pub(super) const CASE: Case = Case {
        name: "iretd",
        rule: "IRETD to 64-bit code of the same ring: RFLAGS are loaded, ESP is above three doublewords, SS stays.",
        needs: Needs::IDT,
        flags: CaseFlags::TOUCHES_GDT.union(CaseFlags::CONFORMANCE),
        prepare,
        act: ACT,
        left: &Left {
            general: &[(General::Rbx, 0), (General::Rcx, 0x4_4CD7), (General::Rsi, 0x10)],
            ..Left::NEW
        },
        ..Case::NEW
    };
}

code32! {
    control, "control", "code32.control",
    "MOV from CR0, CR4 and DR7 of 32 bits, which clears the upper half; what CR0 had, written by MOV, stays.",
    flags: CaseFlags::CONFORMANCE,
    prepare: prepare,
    act: [
        "mov ebx, cr0", "mov cr0, ebx", "mov ecx, cr0", "sub ebx, ecx", "mov ecx, dr7", "mov edi, 0x1234",
        "mov dr0, edi", "mov ebp, dr0", "mov edi, 0", "mov dr0, edi"
    ],
    events: &[],
    general: [
        (General::Rbx, 0), (General::Rcx, 0x400), (General::Rdi, 0), (General::Rbp, 0x1234)
    ],
    results: &[],
}

code32! {
    events, "events", "code32.events",
    "UD2 and SWAPGS in 32-bit code of ring 0: #UD both times, by a frame of five quadwords, from which IRETQ leads back.",
    flags: CaseFlags::empty(),
    prepare: prepare,
    // 2 and 3 bytes.
    act: ["ud2", "swapgs", "nop"],
    events: &[
        Event { cs: 0x48, handler: Some(skip::<2>), returns: Return::Frame, ..UD },
        Event { cs: 0x48, rip: Rip::Plus(2), handler: Some(skip::<3>), returns: Return::Frame, ..UD },
    ],
    general: [], results: &[],
}

mod syscall {
    use super::*;
    act! {
        name: "code32.syscall",
        set: [
            "push rax", "push rdx", "lea rax, [rip + 55f]", "xor edx, edx", "mov ecx, 0xC0000082", "wrmsr", "pop rdx", "pop rax"
        ],
        armed: [],
        act: [
            "syscall", "55:", "mov ebp, cs", "mov r8d, ss", "push 0x48", ".byte 0x68", ".long 56f", ".byte 0x48, 0xCB", "56:", ".code32", "mov ebx, esp",
            "push 0x11223344", "mov ecx, ss:[ebx - 4]", "pop esi", "mov ebx, 0", ".byte 0xEA",
            ".long \"code32.syscall.after\"", ".short 8", ".code64"
        ],
        then: ["mov edi, 0x10", "mov ss, edi", "mov r11d, 0", "push 2", "popfq"],
    }
    pub(super) const CASE: Case = Case {
        name: "syscall",
        rule: "SYSCALL loads 64-bit code and a flat stack of 32 bits, whatever the descriptors: PUSH in 32-bit code uses ESP.",
        needs: Needs::IDT,
        flags: CaseFlags::TOUCHES_GDT.union(CaseFlags::CONFORMANCE),
        prepare: || {
            prepare();
            set_descriptor(0x50, 0);
            // IA32_STAR.
            write_msr(0xC000_0081, 0x001B_0048_0000_0000);
        },
        act: ACT,
        left: &Left {
            general: &[
                (General::Rbx, 0),
                (General::Rcx, 0x1122_3344),
                (General::Rsi, 0x1122_3344),
                (General::Rdi, 0x10),
                (General::Rbp, 0x48),
                (General::R8, 0x50),
                (General::R11, 0),
            ],
            ..Left::NEW
        },
        ..Case::NEW
    };
}
