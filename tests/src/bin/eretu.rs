//! ERETU: what it refuses, and that it has changed nothing then.
//!
//! Rule: ERETU is #GP(0) if the stack level is not 0, before it pops anything; if CS bits 63:16 and RPL are not 0 and
//! 3; if RFLAGS have a bit that cannot be, or an IOPL; if SS bits 31:19 and RPL are not 0 and 3; and for 64-bit mode if
//! RIP is not canonical, else if it is beyond the limit of CS. Selectors other than those of IA32_STAR are loaded from their descriptors, with the faults of
//! IRET. #UD without CR4.FRED (SDM vol. 2, "ERETU", operation). A refusal leaves everything as it was.
//!
//! Known bugs that fail it: GS exchanged before the last check, so that the handler of the #GP has the user's base;
//! IRET's checks alone, which let a stack level and an IOPL pass.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::act_hand_built;
use tests::event::*;
use tests::hand_built::*;
use tests::manual::*;

guest::image! {
    name: "eretu",
    rule: "ERETU refuses what ring 3 must not have, and has changed nothing then.",
    spec: "SDM vol. 2 ERETU; vol. 3 ch. 8 FRED return instructions",
    cases: [
        level::CASE,
        cs::CASE,
        rflags::CASE,
        ss::CASE,
        rip::CASE,
        descriptors::CASE,
        stack_descriptors::CASE,
        without_fred::CASE,
        limit::CASE,
    ],
}

/// #GP(0) of an ERETU with a hand-built frame.
const REFUSED: Event = Event { rsp: FRAME, ..GP };

/// The same, and after it the ERETU runs again.
const REFUSED_AGAIN: Event = Event { returns: Return::Frame, ..REFUSED };

mod level {
    use super::*;
    act! {
        name: "eretu.level",
        set: [],
        armed: ["movabs rsp, 0x8000001A58"],
        act: [".byte 0xF3, 0x0F, 0x01, 0xCA"],
    }
    pub(super) const CASE: Case = Case {
        name: "level",
        rule: "ERETU on stack level 1: #GP(0) before it pops anything, here from a page that is not mapped.",
        needs: Needs::FRED,
        prepare: || {
            set_config(0x001);
            set_stack(2, FRAME_TOP);
        },
        act: ACT,
        events: &[Event { cs: cs_slot(1), rsp: Stack::At(UNMAPPED), csl: 2, ..GP }],
        ..Case::NEW
    };
}

mod cs {
    use super::*;
    act_hand_built! {
        name: "eretu.cs", rip: ["push 0x1000"], cs: "0x28", rflags: "2", ss: "0x23",
        armed: [], act: [".byte 0xF3, 0x0F, 0x01, 0xCA"],
    }
    pub(super) const CASE: Case = Case {
        name: "cs",
        rule: "A CS slot with RPL 0, a stack level, or bit 63: #GP(0) each time.",
        needs: Needs::FRED,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[
            Event { handler: Some(|frame| rewrite(frame, CS, 0x1_002B)), ..REFUSED_AGAIN },
            Event { handler: Some(|frame| rewrite(frame, CS, 0x8000_0000_0000_002B)), ..REFUSED_AGAIN },
            REFUSED,
        ],
        ..Case::NEW
    };
}

mod rflags {
    use super::*;
    act_hand_built! {
        name: "eretu.rflags", rip: ["push 0x1000"], cs: "0x2B", rflags: "0x1002", ss: "0x23",
        armed: [], act: [".byte 0xF3, 0x0F, 0x01, 0xCA"],
    }
    pub(super) const CASE: Case = Case {
        name: "rflags",
        rule: "RFLAGS with an IOPL, with VM, bit 22 or 63, or without bit 1: #GP(0) each time.",
        needs: Needs::FRED,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[
            Event { handler: Some(|frame| rewrite(frame, FLAGS, 0x2002)), ..REFUSED_AGAIN },
            Event { handler: Some(|frame| rewrite(frame, FLAGS, 0x2_0002)), ..REFUSED_AGAIN },
            Event { handler: Some(|frame| rewrite(frame, FLAGS, 0x40_0002)), ..REFUSED_AGAIN },
            Event { handler: Some(|frame| rewrite(frame, FLAGS, 0x8000_0000_0000_0002)), ..REFUSED_AGAIN },
            Event { handler: Some(|frame| rewrite(frame, FLAGS, 0)), ..REFUSED_AGAIN },
            REFUSED,
        ],
        ..Case::NEW
    };
}

mod ss {
    use super::*;
    act_hand_built! {
        name: "eretu.ss", rip: ["push 0x1000"], cs: "0x2B", rflags: "2", ss: "0x20",
        armed: [], act: [".byte 0xF3, 0x0F, 0x01, 0xCA"],
    }
    pub(super) const CASE: Case = Case {
        name: "ss",
        rule: "An SS slot with RPL 0 or 1, or bit 19 or 31: #GP(0) each time.",
        needs: Needs::FRED,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[
            Event { handler: Some(|frame| rewrite(frame, SS, 0x21)), ..REFUSED_AGAIN },
            Event { handler: Some(|frame| rewrite(frame, SS, 0x8_0023)), ..REFUSED_AGAIN },
            Event { handler: Some(|frame| rewrite(frame, SS, 0x8000_0023)), ..REFUSED_AGAIN },
            REFUSED,
        ],
        ..Case::NEW
    };
}

mod rip {
    use super::*;
    act_hand_built! {
        name: "eretu.rip", rip: ["movabs rcx, 0x0000800000000000", "push rcx"], cs: "0x2B", rflags: "2", ss: "0x23",
        armed: [], act: [".byte 0xF3, 0x0F, 0x01, 0xCA"],
    }
    pub(super) const CASE: Case = Case {
        name: "rip",
        rule: "A RIP that is not canonical, for 64-bit mode: #GP(0) at ERETU, in ring 0.",
        needs: Needs::FRED,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[REFUSED],
        ..Case::NEW
    };
}

mod descriptors {
    use super::*;
    act_hand_built! {
        name: "eretu.descriptors", rip: ["push 0x1000"], cs: "3", rflags: "2", ss: "0x23",
        armed: [], act: [".byte 0xF3, 0x0F, 0x01, 0xCA"],
    }
    pub(super) const CASE: Case = Case {
        name: "descriptors",
        rule: "A CS that is null: #GP(0); ring 0's code, data, or beyond the GDT: #GP with the selector.",
        needs: Needs::FRED,
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[
            Event { handler: Some(|frame| rewrite(frame, CS, 0x0B)), ..REFUSED_AGAIN },
            Event { error_code: 0x08, handler: Some(|frame| rewrite(frame, CS, 0x23)), ..REFUSED_AGAIN },
            Event { error_code: 0x20, handler: Some(|frame| rewrite(frame, CS, 0xFFFB)), ..REFUSED_AGAIN },
            Event { error_code: 0xFFF8, ..REFUSED },
        ],
        ..Case::NEW
    };
}

mod stack_descriptors {
    use super::*;
    act_hand_built! {
        name: "eretu.stack-descriptors", rip: ["push 0x1000"], cs: "0x2B", rflags: "2", ss: "3",
        armed: [], act: [".byte 0xF3, 0x0F, 0x01, 0xCA"],
    }
    pub(super) const CASE: Case = Case {
        name: "stack-descriptors",
        rule: "An SS that is null: #GP(0); code, ring 0's data, or beyond the GDT: #GP with the selector.",
        needs: Needs::FRED,
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[
            Event { handler: Some(|frame| rewrite(frame, SS, 0x2B)), ..REFUSED_AGAIN },
            Event { error_code: 0x28, handler: Some(|frame| rewrite(frame, SS, 0x13)), ..REFUSED_AGAIN },
            Event { error_code: 0x10, handler: Some(|frame| rewrite(frame, SS, 0xFFFB)), ..REFUSED_AGAIN },
            Event { error_code: 0xFFF8, ..REFUSED },
        ],
        ..Case::NEW
    };
}

mod without_fred {
    use super::*;
    act_hand_built! {
        name: "eretu.without-fred", rip: ["movabs rcx, 0x8000000000000000", "push rcx"], cs: "0x2B", rflags: "2",
        ss: "0x23", armed: [], act: [".byte 0xF3, 0x0F, 0x01, 0xCA"],
    }
    pub(super) const CASE: Case = Case {
        name: "without-fred",
        rule: "ERETU without CR4.FRED: #UD. With it: #GP(0), for the frame's RIP is not canonical.",
        prepare: || {
            route(6, 1, IST_FRAME);
            route(13, 1, IST_FRAME);
        },
        act: ACT,
        events: &[REFUSED],
        idt: Some(&Idt { events: &[Event { rsp: FRAME, ..UD }], left: Left::NEW }),
        ..Case::NEW
    };
}

mod limit {
    use super::*;
    act_hand_built! {
        name: "eretu.limit", rip: ["push 0x2000"], cs: "0x4B", rflags: "2", ss: "0x23",
        armed: [], act: [".byte 0xF3, 0x0F, 0x01, 0xCA"],
    }
    pub(super) const CASE: Case = Case {
        name: "limit",
        rule: "A RIP beyond the limit of the code segment of compatibility mode: #GP(0) at ERETU, in ring 0.",
        needs: Needs::FRED,
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || {
            set_descriptor(0x48, 0x0040_FB00_0000_1FFF);
            route(13, 1, IST_FRAME);
        },
        act: ACT,
        events: &[REFUSED],
        ..Case::NEW
    };
}
