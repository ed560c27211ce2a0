//! #GP, #NP and #SS: faults whose error code is 0 or names a selector.
//!
//! Rule: a segment load that fails pushes the selector with its RPL bits cleared as error code
//! (bit 0, EXT, would say that an external event was the cause; bit 1 that the selector is a
//! gate's of the IDT; bit 2 that it is one of the LDT); other #GPs push 0 (SDM vol. 3 ch. 7,
//! "Error Code", interrupts 11, 12 and 13), that of an instruction of more than 15 bytes too. The slot has 64 bits and its upper ones are 0. There
//! is no event data.
//!
//! Known bugs that fail it: an error code lost or cut when the event is requeued or
//! migrated, RF lost in the same way; event data of another event in the frame.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "gp",
    rule: "The error code of #GP, #NP and #SS is 0 or the selector at fault, whole; no event data.",
    spec: "SDM vol. 3 ch. 7 Error Code, interrupts 11, 12, 13",
    cases: [
        not_canonical::CASE,
        beyond_gdt::CASE,
        no_ldt::CASE,
        not_present::CASE,
        stack_not_present::CASE,
        hlt_ring3::CASE,
        too_long::CASE,
        rpl::CASE,
        cpl_ring3::CASE,
    ],
}

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
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[GP],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod beyond_gdt {
    use super::*;
    act! { name: "gp.beyond-gdt", set: ["mov ecx, 0xFFF8"], armed: [], act: ["mov ds, ecx"], }
    pub(super) const CASE: Case = Case {
        name: "beyond-gdt",
        rule: "A selector beyond the GDT's limit: #GP(0xFFF8), all sixteen bits.",
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[Event { error_code: 0xFFF8, ..GP }],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod no_ldt {
    use super::*;
    act! { name: "gp.no-ldt", set: ["mov ecx, 0x1237"], armed: [], act: ["mov es, ecx"], }
    pub(super) const CASE: Case = Case {
        name: "no-ldt",
        rule: "A selector of the LDT, with RPL 3 and without an LDT: #GP(0x1234).",
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[Event { error_code: 0x1234, ..GP }],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
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
        events: &[Event { vector: 11, error_code: 0x40, ss: ss_slot(HARDWARE_EXCEPTION, 11), ..GP }],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
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
        events: &[Event { vector: 12, error_code: 0x40, ss: ss_slot(HARDWARE_EXCEPTION, 12), ..GP }],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
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
        prepare: || route(13, 1, IST_FRAME),
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

mod too_long {
    use super::*;
    act! {
        name: "gp.too-long",
        set: [],
        armed: [],
        // INT 0x1F after 14 prefixes: 16 bytes.
        act: [".fill 14, 1, 0x66", ".byte 0xCD, 0x1F"],
    }
    pub(super) const CASE: Case = Case {
        name: "too-long",
        rule: "An instruction of 16 bytes: #GP(0), whatever it would have been.",
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[GP],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod rpl {
    use super::*;
    act! { name: "gp.rpl", set: ["mov ecx, 0x13"], armed: [], act: ["mov ds, ecx"], }
    pub(super) const CASE: Case = Case {
        name: "rpl",
        rule: "MOV DS of ring-0 data by a selector with RPL 3, in ring 0: #GP(0x10), without the RPL.",
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[Event { error_code: 0x10, ..GP }],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod cpl_ring3 {
    use super::*;
    act_ring3! { name: "gp.cpl-ring3", set: ["mov ecx, 0x10"], act: ["mov ds, ecx"], }
    pub(super) const CASE: Case = Case {
        name: "cpl-ring3",
        rule: "MOV DS of ring-0 data by a selector with RPL 0, in ring 3: #GP(0x10).",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[Event {
            error_code: 0x10,
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
