//! More instructions that a hypervisor may have to execute itself: descriptor tables, comparisons of strings, time, caches.
//!
//! Rule: SGDT and SIDT store what LGDT and LIDT load, a limit of 16 bits and a base of 64. LODS, SCAS and CMPS read and compare
//! with the operand's size; REPNE and REPE end with ZF. ENTER and LEAVE build a frame at RBP. RDTSC never goes back, and is
//! #GP(0) in ring 3 with CR4.TSD. CLFLUSH reads as a load does; a prefetch never faults. A selector of 4 is the first descriptor
//! of the LDT, not null (SDM vol. 2, their operation sections; vol. 3 ch. 3, "Segment Selectors").
//!
//! Known bugs that fail it: the host's tables where ring 3 executes SGDT itself; ring 3's RDTSC allowed in spite of CR4.TSD;
//! an emulator that takes the first descriptor of the LDT for a null selector (__load_segment_descriptor of KVM's tests
//! bits 15:2).
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use guest::layout::{GDT, IDT};
use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "plainx",
    rule: "Descriptor tables, strings, frames, the time-stamp counter and caches: what the instructions read and write.",
    spec: "SDM vol. 2 SGDT, LGDT, LODS, SCAS, CMPS, ENTER, RDTSC, CLFLUSH",
    cases: [
        tables::CASE, strings::CASE, enter::CASE, time::CASE, time_ring3::CASE, time_ring0::CASE, flush::CASE, caches::CASE, ldt::CASE, ldt_segment::CASE, rewritten::CASE,
    ],
}

/// What string instructions read.
static FROM: [AtomicU64; 2] = [AtomicU64::new(0x1716_1514_1312_1110), AtomicU64::new(0x1F1E_1D1C_1B1A_1918)];
/// What acts write, and compare with.
static TO: [AtomicU64; 6] = [const { AtomicU64::new(0) }; _];

mod tables {
    use super::*;
    act! {
        name: "plainx.tables",
        set: ["lea rdi, [rip + {to}]", "mov ebx, -1"],
        armed: [],
        act: [
            "sgdt [rdi + 6]", "sidt [rdi + 22]", "lidt [rdi + 22]", "sub word ptr [rdi + 6], 8", "lgdt [rdi + 6]",
            "sgdt [rdi + 38]", "add word ptr [rdi + 6], 8", "lgdt [rdi + 6]", "mov ecx, 0", "lldt cx", "sldt ebx", "push 2",
            "popfq"
        ],
        to = sym TO,
    }
    pub(super) const CASE: Case = Case {
        name: "tables",
        rule: "SGDT, SIDT and SLDT store limit and base of the tables in use; LGDT with another limit, and SGDT reads that.",
        flags: CaseFlags::CONFORMANCE,
        act: ACT,
        left: &Left { general: &[(General::Rbx, 0), (General::Rcx, 0)], ..Left::NEW },
        results: &[
            // Twelve descriptors, and 32 gates.
            Check { expected: 0x5F, read: || TO[0].load(Relaxed) >> 48 },
            Check { expected: 0, read: || TO[1].load(Relaxed) ^ GDT.start().value() },
            Check { expected: 0x1FF, read: || TO[2].load(Relaxed) >> 48 },
            Check { expected: 0, read: || TO[3].load(Relaxed) ^ IDT.start().value() },
            Check { expected: 0x57, read: || TO[4].load(Relaxed) >> 48 },
            Check { expected: 0, read: || TO[5].load(Relaxed) ^ GDT.start().value() },
        ],
        ..Case::NEW
    };
}

mod strings {
    use super::*;
    act! {
        name: "plainx.strings",
        set: [],
        armed: ["lea rsi, [rip + {from}]", "mov eax, 0"],
        act: [
            "lodsb", "mov rbx, rax", "lodsw", "mov rbp, rax", "lodsd", "mov r8, rax", "lodsq", "mov r9, rax",
            "lea rdi, [rip + {from}]", "mov eax, 0x13", "mov ecx, 8", "repne scasb", "mov r10, rcx", "mov eax, 0x17161514",
            "scasd", "sete al", "movzx r11d, al",
            "lea rsi, [rip + {from}]", "lea rdi, [rip + {to}]", "mov ecx, 8", "repe cmpsb", "mov r12, rcx",
            "lea rcx, [rip + {to}]", "sub rdi, rcx", "lea rcx, [rip + {from}]", "sub rsi, rcx", "mov ecx, 0", "mov eax, 0",
            "push 2", "popfq"
        ],
        from = sym FROM,
        to = sym TO,
    }
    pub(super) const CASE: Case = Case {
        name: "strings",
        rule: "LODS of every size, REPNE SCASB up to a match, SCASD, REPE CMPSB up to a difference: the counts are right.",
        flags: CaseFlags::CONFORMANCE,
        prepare: || TO[0].store(0x17FF_1514_1312_1110, Relaxed),
        act: ACT,
        left: &Left {
            general: &[
                (General::Rax, 0),
                (General::Rbx, 0x10),
                (General::Rcx, 0),
                (General::Rbp, 0x1211),
                (General::R8, 0x1615_1413),
                (General::R9, 0x1E1D_1C1B_1A19_1817),
                (General::R10, 4),
                (General::R11, 1),
                (General::R12, 1),
                (General::Rsi, 7),
                (General::Rdi, 7),
            ],
            ..Left::NEW
        },
        ..Case::NEW
    };
}

mod enter {
    use super::*;
    act! {
        name: "plainx.enter", set: [], armed: [],
        act: ["enter 0x20, 1", "mov rbx, rsp", "sub rbx, rbp", "mov rcx, [rbp - 8]", "sub rcx, rbp", "leave", "push 2", "popfq"],
    }
    pub(super) const CASE: Case = Case {
        name: "enter",
        rule: "ENTER of 32 bytes at level 1, and LEAVE: RSP is 40 bytes below the frame, which lies there; RBP is back.",
        flags: CaseFlags::CONFORMANCE,
        act: ACT,
        left: &Left { general: &[(General::Rbx, 0xFFFF_FFFF_FFFF_FFD8), (General::Rcx, 0)], ..Left::NEW },
        ..Case::NEW
    };
}

mod time {
    use super::*;
    act! {
        name: "plainx.time", set: [], armed: [],
        act: [
            "mov rax, -1", "mov rdx, rax", "rdtsc", "mov rcx, rax", "or rcx, rdx", "shr rcx, 32", "shl rdx, 32", "or rax, rdx",
            "mov rbx, rax", "rdtsc", "shl rdx, 32", "or rax, rdx", "cmp rbx, rax", "mov ebx, 0", "setbe bl", "mov eax, 0", "mov edx, 0", "push 2", "popfq"
        ],
    }
    pub(super) const CASE: Case = Case {
        name: "time",
        rule: "RDTSC twice: bits 63:32 of both registers are 0, and the second is not less than the first.",
        flags: CaseFlags::CONFORMANCE,
        act: ACT,
        left: &Left {
            general: &[(General::Rax, 0), (General::Rbx, 1), (General::Rcx, 0), (General::Rdx, 0)],
            ..Left::NEW
        },
        ..Case::NEW
    };
}

mod time_ring3 {
    use super::*;
    act_ring3! { name: "plainx.time-ring3", set: [], act: ["rdtsc"], }
    pub(super) const CASE: Case = Case {
        name: "time-ring3",
        rule: "RDTSC in ring 3 with CR4.TSD: #GP(0), EDX:EAX stay.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || {
            // CR4.TSD.
            set_control(|cr0| cr0, 1 << 2);
            route(13, 1, IST_FRAME);
        },
        act: ACT,
        events: &[Event {
            cs: USER_CS,
            rsp: Stack::User,
            ss: user_ss_slot(HARDWARE_EXCEPTION, 13),
            csl: 0,
            entry: 0,
            ..GP
        }],
        ..Case::NEW
    };
}

mod time_ring0 {
    use super::*;
    // What the TSC is nobody says.
    act! {
        name: "plainx.time-ring0",
        set: [],
        armed: [],
        act: ["rdtsc", "mov eax, 7", "mov edx, 7"],
    }
    pub(super) const CASE: Case = Case {
        name: "time-ring0",
        rule: "RDTSC in ring 0 with CR4.TSD: it reads the time.",
        flags: CaseFlags::CONFORMANCE,
        prepare: || set_control(|cr0| cr0, 1 << 2),
        act: ACT,
        events: &[],
        left: &Left { general: &[(General::Rax, 7), (General::Rdx, 7)], ..Left::NEW },
        ..Case::NEW
    };
}

mod flush {
    use super::*;
    act! { name: "plainx.flush", set: ["movabs rdi, 0x8000001A58"], armed: [], act: ["clflush [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "flush",
        rule: "CLFLUSH of an unmapped page: #PF, 0x0, a read.",
        act: ACT,
        events: &[Event { event_data: UNMAPPED, ..PF }],
        registers: Registers { cr2: UNMAPPED, ..RESTING },
        ..Case::NEW
    };
}

mod caches {
    use super::*;
    act! {
        name: "plainx.caches",
        set: ["movabs rdi, 0x8000001A58"],
        armed: [],
        act: ["prefetcht0 [rdi]", "prefetchnta [rdi]", "mfence", "lfence", "sfence", "pause", "wbinvd", "clflush [rip]"],
    }
    pub(super) const CASE: Case = Case {
        name: "caches",
        rule: "Prefetches of an unmapped page, fences, WBINVD, and CLFLUSH of a mapped one: nothing is raised.",
        flags: CaseFlags::CONFORMANCE,
        act: ACT,
        ..Case::NEW
    };
}

/// An LDT of two descriptors, code at 4 and data with a base at 0x0C.
fn prepare_ldt() {
    set_descriptor(0x48, 0x0000_8200_4110_000F);
    set_descriptor(0x50, 0x80);
    paging::set_window(0x110, CODE);
    paging::set_window(0x118, 0x12CF_9234_5678_FFFF);
}
/// Ring-0 code, 64-bit.
const CODE: u64 = 0x00AF_9A00_0000_FFFF;

mod ldt {
    use super::*;
    act! {
        name: "plainx.ldt",
        set: ["movabs rdi, 0x8000004108", "mov ecx, 0x48", "lldt cx"],
        armed: [],
        act: ["call fword ptr [rdi]", "mov ecx, 0", "lldt cx", "jmp act_leave"],
        then: ["mov ebx, cs", ".byte 0xCB"],
    }
    pub(super) const CASE: Case = Case {
        name: "ldt",
        rule: "A far CALL to the first descriptor of the LDT, selector 4: CS is 4, the descriptor is marked accessed.",
        flags: CaseFlags::CONFORMANCE,
        prepare: || {
            prepare_ldt();
            paging::set_window(0x108, ACT.after.value() | 4 << 32);
        },
        act: ACT,
        left: &Left { general: &[(General::Rbx, 4), (General::Rcx, 0)], ..Left::NEW },
        results: &[Check { expected: CODE | 1 << 40, read: || paging::window(0x110) }],
        ..Case::NEW
    };
}

mod ldt_segment {
    use super::*;
    act! {
        name: "plainx.ldt-segment",
        set: ["mov ecx, 0x48", "lldt cx"],
        armed: [],
        act: ["mov ecx, 4", "mov es, ecx", "mov ebx, es", "mov ecx, 0", "mov es, ecx", "lldt cx"],
    }
    pub(super) const CASE: Case = Case {
        name: "ldt-segment",
        rule: "MOV ES of selector 4, readable code of the LDT: it is taken, and marked accessed.",
        flags: CaseFlags::CONFORMANCE,
        prepare: prepare_ldt,
        act: ACT,
        left: &Left { general: &[(General::Rbx, 4), (General::Rcx, 0)], ..Left::NEW },
        results: &[Check { expected: CODE | 1 << 40, read: || paging::window(0x110) }],
        ..Case::NEW
    };
}

mod rewritten {
    use super::*;
    act! {
        name: "plainx.rewritten",
        set: ["movabs rdi, 0x18000000300"],
        armed: [],
        // RET; then MOV BL, 7 and RET; then another immediate.
        act: [
            "mov byte ptr [rdi], 0xC3", "call rdi", "mov ebx, 0", "mov dword ptr [rdi], 0xC307B3", "call rdi", "mov ecx, ebx",
            "mov byte ptr [rdi + 1], 9", "call rdi"
        ],
    }
    pub(super) const CASE: Case = Case {
        name: "rewritten",
        rule: "Code that was executed is rewritten, and executed as it is then.",
        flags: CaseFlags::CONFORMANCE,
        prepare: || paging::set_own([P | W | U | A, P | W | U | A, P | W | U | A, P | W]),
        act: ACT,
        left: &Left { general: &[(General::Rbx, 9), (General::Rcx, 7)], ..Left::NEW },
        ..Case::NEW
    };
}
