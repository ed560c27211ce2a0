//! #GP, #NP and #SS: faults whose error code is 0 or names a selector.
//!
//! Rule: a segment load that fails pushes the selector with its RPL bits cleared as error code
//! (bit 0, EXT, would say that an external event was the cause; bit 1 that the selector is a
//! gate's of the IDT; bit 2 that it is one of the LDT); other #GPs push 0 (SDM vol. 3 ch. 6,
//! "Error Code", interrupts 11, 12 and 13), that of an instruction of more than 15 bytes too. The slot has 64 bits and its upper ones are 0. There
//! is no event data.
//!
//! Known bugs this tells apart from it: an error code lost or cut when the event is requeued or
//! moved to another machine, RF lost in the same way; event data of another event in the frame.
#![no_std]
#![no_main]

use guest::case::{Cancel, Case};
use guest::judge::disturbed::RESTING;
use guest::judge::event::{Event, Stack};
use guest::protocol::need::Needs;
use guest::protocol::note::CaseFlags;
use guest::routes::{IST_FRAME, route};
use guest::{act, act_ring3};

guest::image! {
    name: "gp",
    rule: "The error code of #GP, #NP and #SS is 0 or the selector at fault, whole; no event data.",
    spec: "SDM vol. 3 ch. 6 Error Code, interrupts 11, 12, 13",
    cases: [
        not_canonical::CASE,
        beyond_gdt::CASE,
        no_ldt::CASE,
        not_present::CASE,
        stack_not_present::CASE,
        hlt_ring3::CASE,
        too_long::CASE,
    ],
}

/// #GP(0) in ring 0.
const GENERAL_PROTECTION: Event = Event {
    vector: 13,
    error_code: 0x0,
    cs: 0x0000_0000_0000_0008,
    rflags: 0x0001_0002,
    rsp: Stack::Act,
    ss: 0x0203_000D_0000_0010,
    event_data: 0,
    csl: 1,
    entry: 0x100,
    idt_frame_bytes: 48,
    ..Event::FAULT
};

mod not_canonical {
    use super::*;
    act! {
        name: "gp.not-canonical",
        set: ["movabs rdi, 0x8000000000001000"],
        armed: [],
        act: ["mov rbx, [rdi]"],
    }
    pub(super) const CASE: Case = Case {
        name: "not-canonical",
        rule: "A read at an address that is not canonical: #GP(0); CR2 stays.",
        needs: Needs::empty(),
        flags: CaseFlags::empty(),
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[GENERAL_PROTECTION],
        in_handler: false,
        registers: RESTING,
        results: &[],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
    };
}

mod beyond_gdt {
    use super::*;
    act! { name: "gp.beyond-gdt", set: ["mov ecx, 0xFFF8"], armed: [], act: ["mov ds, ecx"], }
    pub(super) const CASE: Case = Case {
        name: "beyond-gdt",
        rule: "A selector beyond the GDT's limit: #GP(0xFFF8), all sixteen bits.",
        act: ACT,
        events: &[Event { error_code: 0xFFF8, ..GENERAL_PROTECTION }],
        ..not_canonical::CASE
    };
}

mod no_ldt {
    use super::*;
    act! { name: "gp.no-ldt", set: ["mov ecx, 0x1237"], armed: [], act: ["mov es, ecx"], }
    pub(super) const CASE: Case = Case {
        name: "no-ldt",
        rule: "A selector of the LDT, with RPL 3 and without an LDT: #GP(0x1234).",
        act: ACT,
        events: &[Event { error_code: 0x1234, ..GENERAL_PROTECTION }],
        ..not_canonical::CASE
    };
}

mod not_present {
    use super::*;
    act! { name: "gp.not-present", set: ["mov ecx, 0x40"], armed: [], act: ["mov ds, ecx"], }
    pub(super) const CASE: Case = Case {
        name: "not-present",
        rule: "A data segment that is not present: #NP(0x40).",
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || route(11, 1, IST_FRAME),
        act: ACT,
        events: &[Event { vector: 11, error_code: 0x40, ss: 0x0203_000B_0000_0010, ..GENERAL_PROTECTION }],
        ..not_canonical::CASE
    };
}

mod stack_not_present {
    use super::*;
    act! { name: "gp.stack-not-present", set: ["mov ecx, 0x40"], armed: [], act: ["mov ss, ecx"], }
    pub(super) const CASE: Case = Case {
        name: "stack-not-present",
        rule: "A stack segment that is not present: #SS(0x40), and SS stays.",
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || route(12, 1, IST_FRAME),
        act: ACT,
        events: &[Event { vector: 12, error_code: 0x40, ss: 0x0203_000C_0000_0010, ..GENERAL_PROTECTION }],
        ..not_canonical::CASE
    };
}

mod hlt_ring3 {
    use super::*;
    act_ring3! { name: "gp.hlt-ring3", set: [], act: ["hlt"], }
    pub(super) const CASE: Case = Case {
        name: "hlt-ring3",
        rule: "HLT in ring 3: #GP(0), ring-3 entry point, stack level 0.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        act: ACT,
        events: &[Event {
            cs: 0x0000_0000_0000_002B,
            rsp: Stack::User,
            ss: 0x0203_000D_0000_0023,
            csl: 0,
            entry: 0x0,
            ..GENERAL_PROTECTION
        }],
        // `Armed` is rung in ring 0.
        cancel: Cancel::No,
        ..not_canonical::CASE
    };
}

mod too_long {
    use super::*;
    act! {
        name: "gp.too-long",
        set: [],
        armed: [],
        // INT 0x1F behind 14 prefixes: 16 bytes.
        act: [".fill 14, 1, 0x66", ".byte 0xCD, 0x1F"],
    }
    pub(super) const CASE: Case = Case {
        name: "too-long",
        rule: "An instruction of 16 bytes: #GP(0), whatever it would have been.",
        act: ACT,
        ..not_canonical::CASE
    };
}
