//! Data breakpoints: every length and kind, and which accesses meet them.
//!
//! Rule: a data breakpoint is met if any byte of an access lies in its range, and traps when the instruction, or the
//! iteration, has completed (SDM vol. 3, "Data memory and I/O breakpoint exception conditions", "Breakpoint field
//! recognition"). R/W 01 is met by writes alone, 11 by reads too. Every breakpoint that is met shows in DR6 and in the
//! event data, with BS if TF was set. An instruction that faults has met none.
//!
//! Known bugs that fail it: LEN 10, which is 8 bytes, taken for undefined; only the first byte of an access compared;
//! DR3 forgotten by a loop that stops early; a breakpoint of ring 0 only; an emulator that knows no data breakpoint
//! (x86_emulate_instruction of KVM), or looks when all iterations are done.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "watch",
    rule: "A data breakpoint traps after each access that touches a byte of its range, and after no other.",
    spec: "SDM vol. 3 ch. 19 breakpoint field recognition, data breakpoints",
    cases: [
        write_1::CASE,
        write_2_beside::CASE,
        write_4_straddled::CASE,
        read_8::CASE,
        read_unwatched::CASE,
        breakpoint_3::CASE,
        two::CASE,
        two_and_step::CASE,
        iteration::CASE,
        fault::CASE,
        ring3::CASE,
    ],
}

/// What is watched, on a page that is mapped.
const WATCHED: u64 = 0x0000_0080_0000_4808;

/// DR7.R/W0 and LEN0: a write of 1 byte.
const WRITE_1: u64 = 0b0001 << 16;
/// A write of 2 bytes.
const WRITE_2: u64 = 0b0101 << 16;
/// A write of 4 bytes.
const WRITE_4: u64 = 0b1101 << 16;
/// A read or write of 8 bytes.
const ACCESS_8: u64 = 0b1011 << 16;
/// DR7.L3, R/W3 and LEN3: a write of 8 bytes.
const L3_WRITE_8: u64 = 0b1001 << 28 | 1 << 6;
/// Breakpoint 3.
const B3: u64 = 1 << 3;

/// The trap of breakpoint 0.
const TRAP: Event = Event { rflags: RFLAGS, event_data: B0, ..SINGLE_STEP };

/// Breakpoint 0 on [`WATCHED`].
fn watch(dr7: u64) {
    set_dr0(WATCHED);
    set_dr7(dr7);
}

mod write_1 {
    use super::*;
    act! {
        name: "watch.write-1",
        set: ["movabs rdi, 0x8000004808"],
        armed: [],
        act: ["mov [rdi - 8], rbx", "mov [rdi + 1], rbx", "mov [rdi], bl"],
    }
    pub(super) const CASE: Case = Case {
        name: "write-1",
        rule: "1 byte: no trap for the 8 bytes below and the 8 above, one for the byte.",
        prepare: || watch(DR7 | L0 | WRITE_1),
        act: ACT,
        events: &[TRAP],
        registers: Registers { dr6: DR6 | B0, dr7: DR7 | L0 | WRITE_1, ..RESTING },
        ..Case::NEW
    };
}

mod write_2_beside {
    use super::*;
    act! {
        name: "watch.write-2-beside",
        set: ["movabs rdi, 0x8000004808"],
        armed: [],
        act: ["mov [rdi - 1], bl", "mov [rdi + 2], bl", "mov [rdi + 1], bl"],
    }
    pub(super) const CASE: Case = Case {
        name: "write-2-beside",
        rule: "2 bytes: no trap for the byte below and the byte above, one for the second byte.",
        prepare: || watch(DR7 | L0 | WRITE_2),
        act: ACT,
        events: &[TRAP],
        registers: Registers { dr6: DR6 | B0, dr7: DR7 | L0 | WRITE_2, ..RESTING },
        ..Case::NEW
    };
}

mod write_4_straddled {
    use super::*;
    act! {
        name: "watch.write-4-straddled",
        set: ["movabs rdi, 0x8000004808"],
        armed: [],
        act: ["mov [rdi + 4], rbx", "mov [rdi - 7], rbx"],
    }
    pub(super) const CASE: Case = Case {
        name: "write-4-straddled",
        rule: "4 bytes: a trap for an unaligned write of 8 whose last byte is the first of them.",
        prepare: || watch(DR7 | L0 | WRITE_4),
        act: ACT,
        events: &[TRAP],
        registers: Registers { dr6: DR6 | B0, dr7: DR7 | L0 | WRITE_4, ..RESTING },
        ..Case::NEW
    };
}

mod read_8 {
    use super::*;
    act! { name: "watch.read-8", set: ["movabs rdi, 0x8000004C08"], armed: [], act: ["mov bl, [rdi + 7]"], }
    pub(super) const CASE: Case = Case {
        name: "read-8",
        rule: "8 bytes, R/W 11: a trap for a read of the last one, which is done by then.",
        // Nothing writes there: it reads 0.
        prepare: || {
            set_dr0(0x0000_0080_0000_4C08);
            set_dr7(DR7 | L0 | ACCESS_8);
        },
        act: ACT,
        events: &[Event { general: &[(General::Rbx, 0x9A03_7603_5203_3100)], ..TRAP }],
        registers: Registers { dr6: DR6 | B0, dr7: DR7 | L0 | ACCESS_8, ..RESTING },
        ..Case::NEW
    };
}

mod read_unwatched {
    use super::*;
    act! {
        name: "watch.read-unwatched",
        set: ["movabs rdi, 0x8000004A08"],
        armed: [],
        act: ["mov rcx, [rdi]", "mov [rdi], rcx"],
    }
    pub(super) const CASE: Case = Case {
        name: "read-unwatched",
        rule: "R/W 01: no trap for a read, one for the write after it.",
        // Nothing else is written there: it reads 0.
        prepare: || {
            set_dr0(0x0000_0080_0000_4A08);
            set_dr7(DR7 | L0 | WRITE_8);
        },
        act: ACT,
        events: &[Event { general: &[(General::Rcx, 0)], ..TRAP }],
        registers: Registers { dr6: DR6 | B0, dr7: DR7 | L0 | WRITE_8, ..RESTING },
        ..Case::NEW
    };
}

mod breakpoint_3 {
    use super::*;
    act! { name: "watch.breakpoint-3", set: ["movabs rdi, 0x8000004808"], armed: [], act: ["mov [rdi], rbx"], }
    pub(super) const CASE: Case = Case {
        name: "breakpoint-3",
        rule: "DR3: event data and DR6 have B3.",
        prepare: || {
            set_dr3(WATCHED);
            set_dr7(DR7 | L3_WRITE_8);
        },
        act: ACT,
        events: &[Event { event_data: B3, ..TRAP }],
        registers: Registers { dr6: DR6 | B3, dr7: DR7 | L3_WRITE_8, ..RESTING },
        cancel: Cancel::Payload { payload: B3, rflags: 0 },
        ..Case::NEW
    };
}

mod two {
    use super::*;
    act! { name: "watch.two", set: ["movabs rdi, 0x8000004808"], armed: [], act: ["mov [rdi], rbx"], }
    pub(super) const CASE: Case = Case {
        name: "two",
        rule: "Two breakpoints met by one write: one trap with B0 and B3.",
        prepare: || {
            set_dr3(WATCHED);
            watch(DR7 | L0 | WRITE_1 | L3_WRITE_8);
        },
        act: ACT,
        events: &[Event { event_data: B0 | B3, ..TRAP }],
        registers: Registers { dr6: DR6 | B0 | B3, dr7: DR7 | L0 | WRITE_1 | L3_WRITE_8, ..RESTING },
        cancel: Cancel::Payload { payload: B0 | B3, rflags: 0 },
        ..Case::NEW
    };
}

mod two_and_step {
    use super::*;
    act! {
        name: "watch.two-and-step",
        set: ["movabs rdi, 0x8000004808"],
        armed: ["push 0x102", "popfq"],
        act: ["mov [rdi], rbx"],
    }
    pub(super) const CASE: Case = Case {
        name: "two-and-step",
        rule: "Two breakpoints and TF: one trap with B0, B3 and BS.",
        prepare: || {
            set_dr3(WATCHED);
            watch(DR7 | L0 | WRITE_1 | L3_WRITE_8);
        },
        act: ACT,
        events: &[Event { event_data: B0 | B3 | BS, ..SINGLE_STEP }],
        registers: Registers { dr6: DR6 | B0 | B3 | BS, dr7: DR7 | L0 | WRITE_1 | L3_WRITE_8, ..RESTING },
        cancel: Cancel::Payload { payload: B0 | B3 | BS, rflags: TF },
        ..Case::NEW
    };
}

mod iteration {
    use super::*;
    act! {
        name: "watch.iteration",
        set: ["movabs rsi, 0x8000004900", "movabs rdi, 0x8000004809", "mov ecx, 3"],
        armed: ["std"],
        act: ["rep movsb"],
    }
    pub(super) const CASE: Case = Case {
        name: "iteration",
        rule: "REP MOVSB whose second of three iterations meets it: a trap after that one, RCX is 1.",
        // Downwards: upwards a processor may do several iterations at once.
        prepare: || watch(DR7 | L0 | WRITE_1),
        act: ACT,
        events: &[Event {
            rip: Rip::Act,
            rflags: RFLAGS | RF | 0x400,
            rflags_open: RF,
            idt_entry_rflags: 0x402,
            general: &[
                (General::Rcx, 1),
                (General::Rsi, 0x0000_0080_0000_48FE),
                (General::Rdi, 0x0000_0080_0000_4807),
            ],
            ..TRAP
        }],
        registers: Registers { dr6: DR6 | B0, dr7: DR7 | L0 | WRITE_1, ..RESTING },
        ..Case::NEW
    };
}

mod fault {
    use super::*;
    act! {
        name: "watch.fault",
        set: ["movabs rdi, 0x8000004FFC"],
        armed: [],
        act: ["mov [rdi], rbx"],
    }
    pub(super) const CASE: Case = Case {
        name: "fault",
        rule: "A write that touches the range and faults on the next page: #PF alone, DR6 as it was.",
        prepare: || {
            set_dr0(0x0000_0080_0000_4FFC);
            set_dr7(DR7 | L0 | WRITE_4);
        },
        act: ACT,
        events: &[Event { error_code: PFERR_WRITE, event_data: 0x0000_0080_0000_5000, ..PF }],
        registers: Registers { cr2: 0x0000_0080_0000_5000, dr7: DR7 | L0 | WRITE_4, ..RESTING },
        cancel: Cancel::Payload { payload: 0x0000_0080_0000_5000, rflags: 0 },
        ..Case::NEW
    };
}

mod ring3 {
    use super::*;
    act_ring3! { name: "watch.ring3", set: [], act: ["mov [rsp - 8], rbx"], }
    pub(super) const CASE: Case = Case {
        name: "ring3",
        rule: "A write in ring 3, below its stack pointer: the trap comes from ring 3.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || {
            set_dr0(USER_STACK.end().value() - 0x30);
            set_dr7(DR7 | L0 | WRITE_8);
        },
        act: ACT,
        events: &[Event {
            cs: USER_CS,
            rsp: Stack::User,
            ss: user_ss_slot(HARDWARE_EXCEPTION, 1),
            csl: 0,
            entry: 0,
            ..TRAP
        }],
        registers: Registers { dr6: DR6 | B0, dr7: DR7 | L0 | WRITE_8, ..RESTING },
        ..Case::NEW
    };
}
