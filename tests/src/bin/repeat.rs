//! Repeated string instructions that fault in one of their iterations.
//!
//! Rule: the registers are as of the last iteration that is done, RIP is the instruction's, RF is set, and no other flag. What the iterations before have written is there, and nothing after it; a
//! port is read or written once for each that is done (SDM vol. 2, "REP", "CMPS", "INS", "LODS", "MOVS", "OUTS", "SCAS", "STOS";
//! vol. 3 ch. 7, "Restarting a program after an exception").
//!
//! Known bugs that fail it: a hypervisor that does several iterations at a time, of which the first faults beyond the page
//! (emulator_pio_in of KVM reads ahead), or counts none of them; flags of a comparison that was not made.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "repeat",
    rule: "An iteration that faults has done nothing, and those before it are done; a comparison ends where it says.",
    spec: "SDM vol. 2 REP; vol. 3 ch. 7",
    cases: [
        compare::CASE, moved::CASE, stored::CASE, loaded::CASE, scanned::CASE, ended::CASE, input::CASE, output::CASE,
        restored::CASE,
    ],
}

mod compare {
    use super::*;
    act! {
        name: "repeat.compare",
        set: ["movabs rsi, 0x8000004FFF", "movabs rdi, 0x8000004100", "mov ecx, 3"],
        armed: ["push 0x46", "popfq"],
        act: ["repe cmpsb"],
    }
    pub(super) const CASE: Case = Case {
        name: "compare",
        rule: "REPE CMPSB over the end of a page: #PF in the second iteration, the first has counted, and no other flag is set.",
        prepare: || {
            paging::set_window(0xFF8, 0);
            paging::set_window(0x100, 0);
        },
        act: ACT,
        events: &[Event {
            event_data: 0x0000_0080_0000_5000,
            // ZF and PF are as before, and as the first iteration has left them.
            rflags: RFLAGS | RF | 0x44,
            idt_entry_rflags: RFLAGS | 0x44,
            general: &[
                (General::Rcx, 2),
                (General::Rsi, 0x0000_0080_0000_5000),
                (General::Rdi, 0x0000_0080_0000_4101),
            ],
            ..PF
        }],
        registers: Registers { cr2: 0x0000_0080_0000_5000, ..RESTING },
        // The first iteration comes after `Armed`.
        cancel: Cancel::No,
        ..Case::NEW
    };
}

mod restored {
    use super::*;
    act! {
        name: "repeat.restored",
        set: ["movabs rsi, 0x8000004FFF", "movabs rdi, 0x8000004100", "mov ecx, 3"],
        armed: ["push 0x83", "popfq"],
        act: ["repe cmpsb"],
    }
    pub(super) const CASE: Case = Case {
        name: "restored",
        rule: "The same on Intel's processor with CF and SF before, which the first iteration has cleared: #PF saves them set.",
        needs: Needs::INTEL,
        prepare: || {
            paging::set_window(0xFF8, 0);
            paging::set_window(0x100, 0);
        },
        act: ACT,
        events: &[Event {
            event_data: 0x0000_0080_0000_5000,
            rflags: RFLAGS | RF | 0x81,
            idt_entry_rflags: RFLAGS | 0x81,
            general: &[
                (General::Rcx, 2),
                (General::Rsi, 0x0000_0080_0000_5000),
                (General::Rdi, 0x0000_0080_0000_4101),
            ],
            ..PF
        }],
        registers: Registers { cr2: 0x0000_0080_0000_5000, ..RESTING },
        // The first iteration comes after `Armed`.
        cancel: Cancel::No,
        ..Case::NEW
    };
}

mod moved {
    use super::*;
    act! {
        name: "repeat.moved",
        set: ["movabs rsi, 0x8000004FF8", "movabs rdi, 0x8000004100", "mov ecx, 5"],
        armed: [],
        act: ["rep movsd"],
    }
    pub(super) const CASE: Case = Case {
        name: "moved",
        rule: "REP MOVSD whose source goes over the end of a page, its target not: #PF in the third iteration, two have moved.",
        prepare: || {
            paging::set_window(0xFF8, 0x5B5B_0002_5B5B_0001);
            paging::set_window(0x100, 0);
            paging::set_window(0x108, 0);
        },
        act: ACT,
        events: &[Event {
            event_data: 0x0000_0080_0000_5000,
            general: &[
                (General::Rcx, 3),
                (General::Rsi, 0x0000_0080_0000_5000),
                (General::Rdi, 0x0000_0080_0000_4108),
            ],
            ..PF
        }],
        registers: Registers { cr2: 0x0000_0080_0000_5000, ..RESTING },
        results: &[
            Check { expected: 0x5B5B_0002_5B5B_0001, read: || paging::window(0x100) },
            Check { expected: 0, read: || paging::window(0x108) },
        ],
        cancel: Cancel::No,
        ..Case::NEW
    };
}

/// A REP of five doublewords from the last two of the page: #PF in the third iteration.
macro_rules! repeats {
    ($module:ident, $name:literal, $act:literal, $rule:literal, $register:literal, $instruction:literal, $event:expr, [$($check:expr),*]) => {
        mod $module {
            use super::*;
            act! {
                name: $act,
                set: [concat!("movabs ", $register, ", 0x8000004FF8"), "mov ecx, 5"],
                armed: ["mov eax, 0x5AFE", "mov edx, 0x6D78"],
                act: [$instruction],
            }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                prepare: || paging::set_window(0xFF8, 0x0000_5AFC_0000_5AFC),
                act: ACT,
                events: &[$event],
                registers: Registers { cr2: 0x0000_0080_0000_5000, ..RESTING },
                results: &[$($check),*],
                ..Case::NEW
            };
        }
    };
}
/// Three are left.
const THIRD: Event = Event { event_data: 0x0000_0080_0000_5000, ..PF };

repeats! {
    stored, "stored", "repeat.stored", "REP STOSD over the end of a page: #PF in the third iteration, two are stored.",
    "rdi", "rep stosd",
    Event {
        error_code: PFERR_WRITE,
        general: &[(General::Rax, 0x5AFE), (General::Rdx, 0x6D78), (General::Rcx, 3), (General::Rdi, 0x0000_0080_0000_5000)],
        ..THIRD
    },
    [Check { expected: 0x5AFE_0000_5AFE, read: || paging::window(0xFF8) }]
}
repeats! {
    loaded, "loaded", "repeat.loaded", "REP LODSD over the end of a page: #PF in the third iteration, EAX is the second.",
    "rsi", "rep lodsd",
    Event {
        general: &[(General::Rax, 0x5AFC), (General::Rdx, 0x6D78), (General::Rcx, 3), (General::Rsi, 0x0000_0080_0000_5000)],
        ..THIRD
    },
    []
}
repeats! {
    scanned, "scanned", "repeat.scanned",
    "REPNE SCASD over the end of a page: #PF in the third iteration, and two are compared.",
    "rdi", "repne scasd",
    // 0x5AFE - 0x5AFC sets no flag, so that it is the same whether the flags are those from before the instruction or not.
    Event {
        general: &[(General::Rax, 0x5AFE), (General::Rdx, 0x6D78), (General::Rcx, 3), (General::Rdi, 0x0000_0080_0000_5000)],
        ..THIRD
    },
    []
}
repeats! {
    input, "input", "repeat.input",
    "REP INSD from a port at which nothing is, over the end of a page: #PF in the third iteration, two are stored.",
    "rdi", "rep insd",
    Event {
        error_code: PFERR_WRITE,
        general: &[
            (General::Rax, 0x5AFE), (General::Rdx, 0x6D78), (General::Rcx, 3), (General::Rdi, 0x0000_0080_0000_5000),
        ],
        ..THIRD
    },
    [Check { expected: u64::MAX, read: || paging::window(0xFF8) }]
}
repeats! {
    output, "output", "repeat.output",
    "REP OUTSD to a port at which nothing is, over the end of a page: #PF in the third iteration.",
    "rsi", "rep outsd",
    Event {
        general: &[
            (General::Rax, 0x5AFE), (General::Rdx, 0x6D78), (General::Rcx, 3), (General::Rsi, 0x0000_0080_0000_5000),
        ],
        ..THIRD
    },
    []
}

mod ended {
    use super::*;
    act! {
        name: "repeat.ended",
        set: ["movabs rdi, 0x8000004100", "movabs rsi, 0x8000004200"],
        armed: ["mov eax, 0x33"],
        act: [
            "mov ecx, 5", "repne scasb", "mov r8, rcx", "mov eax, 0x44", "mov ecx, 5", "repe scasb", "mov r9, rcx",
            "mov ecx, 5", "repe cmpsb", "mov r10, rcx", "mov ecx, 5", "repne cmpsb", "mov r11, rcx", "push 2", "popfq"
        ],
    }
    pub(super) const CASE: Case = Case {
        name: "ended",
        rule: "REPNE SCASB and CMPSB end at the byte that is equal, REPE SCASB and CMPSB at the one that is not, RCX counts it.",
        flags: CaseFlags::CONFORMANCE,
        prepare: || {
            paging::set_window(0x100, 0x8877_6655_4433_2211);
            paging::set_window(0x108, 0xCC00);
            paging::set_window(0x200, 0xCC_AA99_7766);
        },
        act: ACT,
        left: &Left {
            general: &[
                (General::Rax, 0x44),
                (General::Rcx, 3),
                (General::Rsi, 0x0000_0080_0000_4205),
                (General::Rdi, 0x0000_0080_0000_410A),
                (General::R8, 2),
                (General::R9, 3),
                (General::R10, 2),
                (General::R11, 3),
            ],
            ..Left::NEW
        },
        ..Case::NEW
    };
}
