//! ERETS and ERETU: what they bring back from a frame that software has built.
//!
//! Rule: RFLAGS are the frame's, RF, AC, NT and (for ERETS) IOPL included. SS bit 16 starts blocking by STI if IF is now
//! 1 and it was not blocking (ERETS only); with SS bit 17 and TF a single step is pending at once, with TF alone it
//! comes after the next instruction. Bits 63:32 of SS, event data, the last quadword and the error code are not looked
//! at (SDM vol. 2, "ERETS", "ERETU"; vol. 3 ch. 8, "FRED event returns").
//!
//! Known bugs that fail it: RF dropped by an emulated return, as IRETQ's in KVM once did; SS bits 16 and 17 ignored, so
//! that an interrupt comes in a shadow and a single step one instruction late.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::act_eretu;
use tests::act_event_return;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "restored",
    rule: "ERETS and ERETU bring back RFLAGS, and what bits 16 and 17 of the SS slot say.",
    spec: "SDM vol. 2 ERETS, ERETU; vol. 3 ch. 8 FRED event returns",
    cases: [
        everything::CASE,
        rf_on_breakpoint::CASE,
        breakpoint::CASE,
        sti_blocking::CASE,
        no_sti_blocking::CASE,
        step_at_once::CASE,
        step_later::CASE,
        rf_on_breakpoint_ring3::CASE,
        breakpoint_ring3::CASE,
        step_at_once_ring3::CASE,
        step_later_ring3::CASE,
        compatibility_mode::CASE,
    ],
}

/// In ring 3, at the instruction that ERETU returned to.
const RING3: Event = Event {
    rip: Rip::After,
    cs: USER_CS,
    rsp: Stack::User,
    ss: user_ss_slot(HARDWARE_EXCEPTION, 1),
    csl: 0,
    entry: 0,
    ..SINGLE_STEP
};

/// #UD there.
const UD3: Event =
    Event { rflags: RFLAGS | RF, vector: 6, ss: user_ss_slot(HARDWARE_EXCEPTION, 6), event_data: 0, ..RING3 };

fn break_at(address: u64) {
    set_dr0(address);
    set_dr7(DR7 | L0);
}

mod everything {
    use super::*;
    // Bits 63:32 of the SS slot are not looked at: here they say INT1 of length 15.
    act_event_return! {
        name: "restored.everything", by: ".byte 0xF2, 0x0F, 0x01, 0xCA", ss: "0x10", rflags: "0x57CD7", cs: "0x8",
        armed: ["mov dword ptr [rsp + 0x2C], 0xF7FF00FF"], then: []
    }
    pub(super) const CASE: Case = Case {
        name: "everything",
        rule: "RFLAGS with AC, NT, IOPL 3, RF and all status flags, bits 63:32 of SS set: all of RFLAGS is there.",
        needs: Needs::FRED,
        flags: CaseFlags::CONFORMANCE,
        act: ACT,
        left: &Left { rflags: RICH, ..Left::NEW },
        ..Case::NEW
    };
}

mod rf_on_breakpoint {
    use super::*;
    act_event_return! {
        name: "restored.rf-on-breakpoint", by: ".byte 0xF2, 0x0F, 0x01, 0xCA", ss: "0x10", rflags: "0x10002", cs: "0x8", armed: [], then: ["nop", "nop"]
    }
    pub(super) const CASE: Case = Case {
        name: "rf-on-breakpoint",
        rule: "RF in the frame, an execution breakpoint on the instruction returned to: no #DB.",
        needs: Needs::FRED,
        prepare: || break_at(ACT.after.value()),
        act: ACT,
        registers: Registers { dr7: DR7 | L0, ..RESTING },
        ..Case::NEW
    };
}

mod breakpoint {
    use super::*;
    act_event_return! {
        name: "restored.breakpoint", by: ".byte 0xF2, 0x0F, 0x01, 0xCA", ss: "0x10", rflags: "2", cs: "0x8", armed: [], then: ["nop", "nop"]
    }
    pub(super) const CASE: Case = Case {
        name: "breakpoint",
        rule: "RF clear in the frame, an execution breakpoint on the instruction returned to: #DB there.",
        needs: Needs::FRED,
        prepare: || break_at(ACT.after.value()),
        act: ACT,
        events: &[Event {
            rflags: RFLAGS,
            event_data: B0,
            handler: Some(|frame| frame.rflags |= RF),
            returns: Return::Frame,
            ..SINGLE_STEP
        }],
        registers: Registers { dr6: DR6 | B0, dr7: DR7 | L0, ..RESTING },
        ..Case::NEW
    };
}

mod sti_blocking {
    use super::*;
    act_event_return! {
        name: "restored.sti-blocking", by: ".byte 0xF2, 0x0F, 0x01, 0xCA", ss: "0x10010", rflags: "0x202", cs: "0x8", armed: [], then: ["ud2"]
    }
    pub(super) const CASE: Case = Case {
        name: "sti-blocking",
        rule: "SS bit 16 and IF in the frame: blocking by STI is in effect at the instruction returned to.",
        needs: Needs::FRED,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[Event {
            rip: Rip::After,
            rflags: RFLAGS | RF | IF,
            ss: ss_slot(HARDWARE_EXCEPTION, 6) | SS_STI,
            // Past the UD2.
            handler: Some(|frame| frame.rip += 2),
            returns: Return::Frame,
            ..UD
        }],
        left: &Left { rflags: RFLAGS | IF, ..Left::NEW },
        ..Case::NEW
    };
}

mod step_at_once {
    use super::*;
    act_event_return! {
        name: "restored.step-at-once", by: ".byte 0xF2, 0x0F, 0x01, 0xCA", ss: "0x20010", rflags: "0x102", cs: "0x8", armed: [], then: ["nop"]
    }
    pub(super) const CASE: Case = Case {
        name: "step-at-once",
        rule: "SS bit 17 and TF in the frame: a single step before the instruction returned to.",
        needs: Needs::FRED,
        act: ACT,
        events: &[SINGLE_STEP],
        registers: Registers { dr6: DR6 | BS, ..RESTING },
        ..Case::NEW
    };
}

mod step_later {
    use super::*;
    act_event_return! {
        name: "restored.step-later", by: ".byte 0xF2, 0x0F, 0x01, 0xCA", ss: "0x10", rflags: "0x102", cs: "0x8", armed: [], then: ["nop"]
    }
    pub(super) const CASE: Case = Case {
        name: "step-later",
        rule: "TF in the frame without SS bit 17: the single step comes after the instruction returned to.",
        needs: Needs::FRED,
        act: ACT,
        events: &[Event { rip: Rip::Last, ..SINGLE_STEP }],
        registers: Registers { dr6: DR6 | BS, ..RESTING },
        ..Case::NEW
    };
}

mod no_sti_blocking {
    use super::*;
    act_event_return! {
        name: "restored.no-sti-blocking", by: ".byte 0xF2, 0x0F, 0x01, 0xCA", ss: "0x10010", rflags: "2", cs: "0x8",
        armed: [], then: ["ud2"]
    }
    pub(super) const CASE: Case = Case {
        name: "no-sti-blocking",
        rule: "SS bit 16 without IF in the frame: nothing is blocked.",
        needs: Needs::FRED,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[Event {
            rip: Rip::After,
            handler: Some(|frame| frame.rip += 2),
            returns: Return::Frame,
            ..UD
        }],
        ..Case::NEW
    };
}

mod rf_on_breakpoint_ring3 {
    use super::*;
    act_eretu! {
        name: "restored.rf-on-breakpoint-ring3", ss: "0x23", rflags: "0x10002", cs: "0x2B", armed: [], user: ["nop"]
    }
    pub(super) const CASE: Case = Case {
        name: "rf-on-breakpoint-ring3",
        rule: "ERETU with RF onto an execution breakpoint: no #DB; RF is clear one instruction later.",
        needs: Needs::FRED.union(Needs::USER),
        flags: CaseFlags::USER,
        prepare: || {
            route(6, 1, IST_FRAME);
            break_at(ACT.after.value());
        },
        act: ACT,
        events: &[Event { rip: Rip::Last, ..UD3 }],
        registers: Registers { dr7: DR7 | L0, ..RESTING },
        ..Case::NEW
    };
}

mod breakpoint_ring3 {
    use super::*;
    act_eretu! {
        name: "restored.breakpoint-ring3", ss: "0x23", rflags: "2", cs: "0x2B", armed: [], user: ["nop"]
    }
    pub(super) const CASE: Case = Case {
        name: "breakpoint-ring3",
        rule: "ERETU without RF onto an execution breakpoint: #DB there.",
        needs: Needs::FRED.union(Needs::USER),
        flags: CaseFlags::USER,
        prepare: || break_at(ACT.after.value()),
        act: ACT,
        events: &[Event { rflags: RFLAGS, event_data: B0, ..RING3 }],
        registers: Registers { dr6: DR6 | B0, dr7: DR7 | L0, ..RESTING },
        ..Case::NEW
    };
}

mod step_at_once_ring3 {
    use super::*;
    act_eretu! {
        name: "restored.step-at-once-ring3", ss: "0x20023", rflags: "0x102", cs: "0x2B", armed: [], user: ["nop"]
    }
    pub(super) const CASE: Case = Case {
        name: "step-at-once-ring3",
        rule: "ERETU with SS bit 17 and TF: a single step before the instruction returned to.",
        needs: Needs::FRED.union(Needs::USER),
        flags: CaseFlags::USER,
        act: ACT,
        events: &[RING3],
        registers: Registers { dr6: DR6 | BS, ..RESTING },
        ..Case::NEW
    };
}

mod step_later_ring3 {
    use super::*;
    act_eretu! {
        name: "restored.step-later-ring3", ss: "0x23", rflags: "0x102", cs: "0x2B", armed: [], user: ["nop"]
    }
    pub(super) const CASE: Case = Case {
        name: "step-later-ring3",
        rule: "ERETU with TF alone: the single step comes after the instruction returned to.",
        needs: Needs::FRED.union(Needs::USER),
        flags: CaseFlags::USER,
        act: ACT,
        events: &[Event { rip: Rip::Last, ..RING3 }],
        registers: Registers { dr6: DR6 | BS, ..RESTING },
        ..Case::NEW
    };
}

mod compatibility_mode {
    use super::*;
    act_eretu! {
        name: "restored.compatibility-mode", ss: "0x23", rflags: "0x54CD7", cs: "0x1B",
        // Bits 63:32 of RIP.
        armed: ["mov dword ptr [rsp + 12], 0x12345678"], user: [".code32", "nop"]
    }
    pub(super) const CASE: Case = Case {
        name: "compatibility-mode",
        rule: "ERETU to compatibility mode: bits 63:32 of RIP are dropped, RFLAGS are the frame's.",
        needs: Needs::FRED.union(Needs::USER),
        flags: CaseFlags::USER,
        act: ACT,
        events: &[Event {
            rip: Rip::Last,
            cs: 0x1B,
            rflags: USER_RICH | RF,
            ss: 0x0003_0006_0000_0023,
            ..UD3
        }],
        ..Case::NEW
    };
}
