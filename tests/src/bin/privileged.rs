//! What ring 3 must not do: return from events, exchange GS, halt, reach model-specific and debug registers.
//!
//! Rule: ERETS, ERETU and LKGS above CPL 0 are #UD. SWAPGS and SYSRET are #UD with FRED, whatever the CPL, and #GP(0)
//! above CPL 0 without it; HLT, RDMSR and MOV from a debug register are #GP(0) always. IRETQ within ring 3 works (SDM
//! vol. 2, their operation sections). No register changes.
//!
//! Known bugs that fail it: an emulator that does not know CR4.FRED, and answers SWAPGS and SYSRET with the #GP(0) of
//! the CPL check; an intercept that executes the instruction before it looks at the CPL.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "privileged",
    rule: "Ring 3 gets #UD or #GP(0) for what is ring 0's, and which of them FRED decides.",
    spec: "SDM vol. 2 ERETS, ERETU, SWAPGS, SYSRET, LKGS, HLT, RDMSR, MOV",
    cases: [
        erets::CASE,
        eretu::CASE,
        lkgs::CASE,
        swapgs::CASE,
        sysret::CASE,
        hlt::CASE,
        rdmsr::CASE,
        mov_from_dr::CASE,
        iretq::CASE,
    ],
}

/// #UD in ring 3.
const USER_UD: Event =
    Event { cs: USER_CS, rsp: Stack::User, ss: user_ss_slot(HARDWARE_EXCEPTION, 6), csl: 0, entry: 0, ..UD };

/// #GP(0) in ring 3.
const USER_GP: Event =
    Event { vector: 13, ss: user_ss_slot(HARDWARE_EXCEPTION, 13), idt_frame_bytes: 48, ..USER_UD };

mod erets {
    use super::*;
    act_ring3! { name: "privileged.erets", set: [], act: [".byte 0xF2, 0x0F, 0x01, 0xCA"], }
    pub(super) const CASE: Case = Case {
        name: "erets",
        rule: "ERETS in ring 3: #UD, with and without FRED, whatever is on the stack.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[USER_UD],
        ..Case::NEW
    };
}

mod eretu {
    use super::*;
    act_ring3! { name: "privileged.eretu", set: [], act: [".byte 0xF3, 0x0F, 0x01, 0xCA"], }
    pub(super) const CASE: Case = Case {
        name: "eretu",
        rule: "ERETU in ring 3: #UD, with and without FRED.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[USER_UD],
        ..Case::NEW
    };
}

mod lkgs {
    use super::*;
    act_ring3! { name: "privileged.lkgs", set: [], act: [".byte 0xF2, 0x0F, 0x00, 0xF0"], }
    pub(super) const CASE: Case = Case {
        name: "lkgs",
        rule: "LKGS in ring 3: #UD.",
        needs: Needs::USER.union(Needs::FRED),
        flags: CaseFlags::USER,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[USER_UD],
        ..Case::NEW
    };
}

mod swapgs {
    use super::*;
    act_ring3! { name: "privileged.swapgs", set: [], act: ["swapgs"], }
    pub(super) const CASE: Case = Case {
        name: "swapgs",
        rule: "SWAPGS in ring 3: #UD with FRED, before the #GP(0) of the CPL, which comes without it.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || {
            route(6, 1, IST_FRAME);
            route(13, 1, IST_FRAME);
        },
        act: ACT,
        events: &[USER_UD],
        idt: Some(&Idt { events: &[USER_GP], left: Left::NEW }),
        ..Case::NEW
    };
}

mod sysret {
    use super::*;
    act_ring3! { name: "privileged.sysret", set: [], act: ["sysretq"], }
    pub(super) const CASE: Case = Case {
        name: "sysret",
        rule: "SYSRET in ring 3: #UD with FRED, before the #GP(0) of the CPL, which comes without it.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || {
            route(6, 1, IST_FRAME);
            route(13, 1, IST_FRAME);
        },
        act: ACT,
        events: &[USER_UD],
        idt: Some(&Idt { events: &[USER_GP], left: Left::NEW }),
        ..Case::NEW
    };
}

mod hlt {
    use super::*;
    act_ring3! { name: "privileged.hlt", set: [], act: ["hlt"], }
    pub(super) const CASE: Case = Case {
        name: "hlt",
        rule: "HLT in ring 3: #GP(0), no halt.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[USER_GP],
        ..Case::NEW
    };
}

mod rdmsr {
    use super::*;
    act_ring3! { name: "privileged.rdmsr", set: [], act: ["rdmsr"], }
    pub(super) const CASE: Case = Case {
        name: "rdmsr",
        rule: "RDMSR in ring 3: #GP(0), EDX:EAX as they were.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[USER_GP],
        ..Case::NEW
    };
}

mod mov_from_dr {
    use super::*;
    act_ring3! { name: "privileged.mov-from-dr", set: [], act: ["mov rbx, dr0"], }
    pub(super) const CASE: Case = Case {
        name: "mov-from-dr",
        rule: "MOV from DR0 in ring 3: #GP(0), and no #DB.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[USER_GP],
        ..Case::NEW
    };
}

mod iretq {
    use super::*;
    act_ring3! {
        name: "privileged.iretq", set: [],
        act: [
            "push 0x23", "push rsp", "add qword ptr [rsp], 8", "push 2", "push 0x2B",
            "push offset \"privileged.iretq.after\"", "iretq"
        ],
    }
    pub(super) const CASE: Case = Case {
        name: "iretq",
        rule: "IRETQ within ring 3 works with FRED too: the #UD after it.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[Event { rip: Rip::After, ..USER_UD }],
        ..Case::NEW
    };
}
