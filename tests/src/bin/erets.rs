//! ERETS: what it refuses, and that it has changed nothing then.
//!
//! Rule: ERETS pops RIP, CS, RFLAGS, RSP and SS above an error code that it skips. It is #GP(0) if RIP is not
//! canonical; if CS less bits 18:16 is not the current selector; if a bit of RFLAGS is set that cannot be (15, VM,
//! 63:22 among them) or bit 1 is clear; if SS bits 31:0 less bits 18:16 are not the current selector. Nothing else of
//! the frame counts, SS bits 63:32 included. #UD without CR4.FRED (SDM vol. 2, "ERETS", operation). A refusal leaves
//! every register as it was, RSP and the stack level too.
//!
//! Known bugs that fail it: a processor or an emulator that commits RSP or the stack level before its last check; that
//! compares all of the SS slot, so that no frame of an event returns, or only its selector; that offers ERETS without
//! CR4.FRED, as an unknown prefix of another instruction.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::act_hand_built;
use tests::event::*;
use tests::hand_built::*;
use tests::manual::*;

guest::image! {
    name: "erets",
    rule: "ERETS refuses a frame that cannot be one, and has changed nothing then.",
    spec: "SDM vol. 2 ERETS; vol. 3 ch. 8 FRED return instructions",
    cases: [
        rip::CASE,
        cs::CASE,
        rflags::CASE,
        rflags_high::CASE,
        ss::CASE,
        ss_high::CASE,
        rest_ignored::CASE,
        level_kept::CASE,
        unmapped::CASE,
        not_canonical_rsp::CASE,
        without_fred::CASE,
    ],
}

/// #GP(0) of an ERETS with a hand-built frame.
const REFUSED: Event = Event { rsp: FRAME, ..GP };

/// The same, and after it the ERETS runs again.
const REFUSED_AGAIN: Event = Event { returns: Return::Frame, ..REFUSED };

mod rip {
    use super::*;
    act_hand_built! {
        name: "erets.rip", rip: ["movabs rcx, 0x0000800000000000", "push rcx"], cs: "8", rflags: "2", ss: "0x10",
        armed: [], act: [".byte 0xF2, 0x0F, 0x01, 0xCA"],
    }
    pub(super) const CASE: Case = Case {
        name: "rip",
        rule: "A RIP that is not canonical: #GP(0) at ERETS, which does not fault at its target.",
        needs: Needs::FRED,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[REFUSED],
        ..Case::NEW
    };
}

mod cs {
    use super::*;
    act_hand_built! {
        name: "erets.cs", rip: ["push offset \"erets.cs.after\""], cs: "0x0B", rflags: "2", ss: "0x10",
        armed: [], act: [".byte 0xF2, 0x0F, 0x01, 0xCA"],
    }
    pub(super) const CASE: Case = Case {
        name: "cs",
        rule: "A CS slot with another selector, bit 19, or bit 63: #GP(0) each time, until CS is right.",
        needs: Needs::FRED,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[
            Event { handler: Some(|frame| rewrite(frame, CS, 0x10)), ..REFUSED_AGAIN },
            Event { handler: Some(|frame| rewrite(frame, CS, 0x8_0008)), ..REFUSED_AGAIN },
            Event { handler: Some(|frame| rewrite(frame, CS, 0x8000_0000_0000_0008)), ..REFUSED_AGAIN },
            Event { handler: Some(|frame| rewrite(frame, CS, 0x08)), ..REFUSED_AGAIN },
        ],
        ..Case::NEW
    };
}

mod rflags {
    use super::*;
    act_hand_built! {
        name: "erets.rflags", rip: ["push offset \"erets.rflags.after\""], cs: "8", rflags: "0", ss: "0x10",
        armed: [], act: [".byte 0xF2, 0x0F, 0x01, 0xCA"],
    }
    pub(super) const CASE: Case = Case {
        name: "rflags",
        rule: "RFLAGS with bit 1 clear, or bit 15 or VM set: #GP(0) each time, until RFLAGS are right.",
        needs: Needs::FRED,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[
            Event { handler: Some(|frame| rewrite(frame, FLAGS, 0x8002)), ..REFUSED_AGAIN },
            Event { handler: Some(|frame| rewrite(frame, FLAGS, 0x2_0002)), ..REFUSED_AGAIN },
            Event { handler: Some(|frame| rewrite(frame, FLAGS, 0x2)), ..REFUSED_AGAIN },
        ],
        ..Case::NEW
    };
}

mod rflags_high {
    use super::*;
    act_hand_built! {
        name: "erets.rflags-high", rip: ["push offset \"erets.rflags-high.after\""], cs: "8", rflags: "0x400002",
        ss: "0x10", armed: [], act: [".byte 0xF2, 0x0F, 0x01, 0xCA"],
    }
    pub(super) const CASE: Case = Case {
        name: "rflags-high",
        rule: "RFLAGS with bit 22 or 63 set: #GP(0) each time; then with AC, NT, IOPL and arithmetic: back.",
        needs: Needs::FRED,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[
            Event { handler: Some(|frame| rewrite(frame, FLAGS, 0x8000_0000_0000_0002)), ..REFUSED_AGAIN },
            Event { handler: Some(|frame| rewrite(frame, FLAGS, 0x4_7CD7)), ..REFUSED_AGAIN },
        ],
        left: &Left { rflags: 0x4_7CD7, ..Left::NEW },
        ..Case::NEW
    };
}

mod ss {
    use super::*;
    act_hand_built! {
        name: "erets.ss", rip: ["push offset \"erets.ss.after\""], cs: "8", rflags: "2", ss: "0x23",
        armed: [], act: [".byte 0xF2, 0x0F, 0x01, 0xCA"],
    }
    pub(super) const CASE: Case = Case {
        name: "ss",
        rule: "An SS slot with another selector, or a null one: #GP(0) each time, until SS is right.",
        needs: Needs::FRED,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[
            Event { handler: Some(|frame| rewrite(frame, SS, 0x13)), ..REFUSED_AGAIN },
            Event { handler: Some(|frame| rewrite(frame, SS, 0)), ..REFUSED_AGAIN },
            Event { handler: Some(|frame| rewrite(frame, SS, 0x10)), ..REFUSED_AGAIN },
        ],
        ..Case::NEW
    };
}

mod ss_high {
    use super::*;
    act_hand_built! {
        name: "erets.ss-high", rip: ["push offset \"erets.ss-high.after\""], cs: "8", rflags: "2", ss: "0x80010",
        armed: [], act: [".byte 0xF2, 0x0F, 0x01, 0xCA"],
    }
    pub(super) const CASE: Case = Case {
        name: "ss-high",
        rule: "An SS slot with bit 19 or 31 set: #GP(0) each time; all of bits 63:32 set: it returns.",
        needs: Needs::FRED,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[
            Event { handler: Some(|frame| rewrite(frame, SS, 0x8000_0010)), ..REFUSED_AGAIN },
            Event { handler: Some(|frame| rewrite(frame, SS, 0xFFFF_FFFF_0000_0010)), ..REFUSED_AGAIN },
        ],
        ..Case::NEW
    };
}

mod rest_ignored {
    use super::*;
    act_hand_built! {
        name: "erets.rest-ignored", rip: ["push offset \"erets.rest-ignored.act\""], cs: "8", rflags: "0x47CD7",
        ss: "0x10",
        // SS bits 63:32.
        armed: ["mov dword ptr [rsp + 44], 0xF6FF00FF", ".byte 0xF2, 0x0F, 0x01, 0xCA"], act: ["ud2"],
    }
    pub(super) const CASE: Case = Case {
        name: "rest-ignored",
        rule: "ERETS from a frame with any error code, type, vector and length: the #UD after it has its own.",
        needs: Needs::FRED,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[Event { rflags: RICH | RF, ..UD }],
        ..Case::NEW
    };
}

mod level_kept {
    use super::*;
    act_hand_built! {
        name: "erets.level-kept", rip: ["movabs rcx, 0x8000000000000000", "push rcx"], cs: "8", rflags: "2", ss: "0x10",
        armed: [], act: [".byte 0xF2, 0x0F, 0x01, 0xCA"],
    }
    pub(super) const CASE: Case = Case {
        name: "level-kept",
        rule: "A refused ERETS that would have lowered the stack level: the level is as before, SL 1.",
        needs: Needs::FRED,
        prepare: || {
            set_config(0x001);
            set_stack(2, FRAME_TOP);
        },
        act: ACT,
        events: &[Event { cs: cs_slot(1), csl: 2, ..REFUSED }],
        ..Case::NEW
    };
}

mod unmapped {
    use super::*;
    act! {
        name: "erets.unmapped",
        set: [],
        armed: ["movabs rsp, 0x8000001A58"],
        act: [".byte 0xF2, 0x0F, 0x01, 0xCA"],
    }
    pub(super) const CASE: Case = Case {
        name: "unmapped",
        rule: "A frame that is not mapped: #PF, a read above the error code, RSP as it was.",
        needs: Needs::FRED,
        act: ACT,
        // The order of the five reads is not defined.
        events: &[Event { rsp: Stack::At(UNMAPPED), event_data: UNMAPPED + 8, event_data_span: 0x20, ..PF }],
        registers: Registers { cr2: UNMAPPED + 8, cr2_span: 0x20, ..RESTING },
        ..Case::NEW
    };
}

mod not_canonical_rsp {
    use super::*;
    act! {
        name: "erets.not-canonical-rsp",
        set: [],
        armed: ["movabs rsp, 0x8000000000000100"],
        act: [".byte 0xF2, 0x0F, 0x01, 0xCA"],
    }
    pub(super) const CASE: Case = Case {
        name: "not-canonical-rsp",
        rule: "A stack pointer that is not canonical: #SS(0) at ERETS, RSP as it was.",
        needs: Needs::FRED,
        prepare: || route(12, 1, IST_FRAME),
        act: ACT,
        events: &[Event {
            vector: 12,
            rsp: Stack::At(0x8000_0000_0000_0100),
            ss: ss_slot(HARDWARE_EXCEPTION, 12),
            ..GP
        }],
        ..Case::NEW
    };
}

mod without_fred {
    use super::*;
    act_hand_built! {
        name: "erets.without-fred", rip: ["push offset \"erets.without-fred.after\""], cs: "8", rflags: "2", ss: "0x10",
        armed: [], act: [".byte 0xF2, 0x0F, 0x01, 0xCA"],
    }
    pub(super) const CASE: Case = Case {
        name: "without-fred",
        rule: "ERETS without CR4.FRED: #UD. With it: back to the next instruction.",
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        idt: Some(&Idt { events: &[Event { rsp: FRAME, ..UD }], left: Left::NEW }),
        ..Case::NEW
    };
}
