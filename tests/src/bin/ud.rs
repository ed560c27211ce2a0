//! #UD and #DE: faults without error code and without event data.
//!
//! Rule: the frame's first quadword is 0 under FRED and missing under the IDT, event data is 0, RF
//! is set in the saved RFLAGS (SDM vol. 3 ch. 7, interrupts 0 and 6; ch. 8, "FRED stack frame").
//! SWAPGS is #UD with CR4.FRED = 1, SYSCALL on Intel's processors outside 64-bit mode (SDM vol. 2, "SWAPGS", "SYSCALL").
//!
//! Known bugs that fail it: an error code or event data where there is none, left over
//! or invented; RF lost, when the event is migrated while it is pending.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "ud",
    rule: "Faults without error code: 0 in its slot, no event data, RF set.",
    spec: "SDM vol. 3 ch. 7 interrupts 0, 6; ch. 8 FRED stack frame",
    cases: [ud2::CASE, ud2_ring3::CASE, swapgs::CASE, divide::CASE, divide_ring3::CASE, lkgs_ring3::CASE, syscall_compat::CASE],
}

/// From ring 3, on level 0 and its stack.
const RING3: Event = Event { cs: USER_CS, rsp: Stack::User, csl: 0, entry: 0, ..UD };

mod ud2 {
    use super::*;
    act! { name: "ud.ud2", set: [], armed: [], act: ["ud2"], }
    pub(super) const CASE: Case = Case {
        name: "ud2",
        rule: "UD2: #UD.",
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[UD],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod ud2_ring3 {
    use super::*;
    act_ring3! { name: "ud.ud2-ring3", set: [], act: ["ud2"], }
    pub(super) const CASE: Case = Case {
        name: "ud2-ring3",
        rule: "UD2 in ring 3: #UD, ring-3 entry point, stack level 0.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[Event { ss: user_ss_slot(HARDWARE_EXCEPTION, 6), ..RING3 }],
        ..Case::NEW
    };
}

mod swapgs {
    use super::*;
    act! { name: "ud.swapgs", set: [], armed: [], act: ["swapgs"], }
    pub(super) const CASE: Case = Case {
        name: "swapgs",
        rule: "SWAPGS under FRED: #UD, and the GS bases stay.",
        needs: Needs::FRED,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[UD],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod divide {
    use super::*;
    act! { name: "ud.divide", set: ["xor ecx, ecx"], armed: [], act: ["div ecx"], }
    pub(super) const CASE: Case = Case {
        name: "divide",
        rule: "A division by 0: #DE, vector 0.",
        prepare: || route(0, 1, IST_FRAME),
        act: ACT,
        events: &[Event { vector: 0, ss: ss_slot(HARDWARE_EXCEPTION, 0), ..UD }],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod divide_ring3 {
    use super::*;
    act_ring3! {
        name: "ud.divide-ring3",
        set: [],
        act: ["div byte ptr [rip + {zero}]"],
        zero = sym USER_STACK,
    }
    pub(super) const CASE: Case = Case {
        name: "divide-ring3",
        rule: "A division by 0 in memory, in ring 3: #DE, the GS bases swapped.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || route(0, 1, IST_FRAME),
        act: ACT,
        events: &[Event { vector: 0, ss: user_ss_slot(HARDWARE_EXCEPTION, 0), ..RING3 }],
        ..Case::NEW
    };
}

mod lkgs_ring3 {
    use super::*;
    act_ring3! { name: "ud.lkgs-ring3", set: [], act: [".byte 0xF2, 0x0F, 0x00, 0xF0"], }
    pub(super) const CASE: Case = Case {
        name: "lkgs-ring3",
        rule: "LKGS AX in ring 3: #UD, not #GP.",
        // FRED brings LKGS along.
        needs: Needs::FRED.union(Needs::USER),
        flags: CaseFlags::USER,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[Event { ss: user_ss_slot(HARDWARE_EXCEPTION, 6), ..RING3 }],
        ..Case::NEW
    };
}

mod syscall_compat {
    use super::*;
    act_ring3! { name: "ud.syscall-compat", cs: "0x1B", ss: "0x23", rflags: "2", set: [], act: [".code32", "syscall"], }
    pub(super) const CASE: Case = Case {
        name: "syscall-compat",
        rule: "SYSCALL in compatibility mode: #UD, with and without FRED. (AMD's processors have it there.)",
        needs: Needs::USER.union(Needs::INTEL),
        flags: CaseFlags::USER,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        // Bit 57 is 0.
        events: &[Event { cs: 0x1B, ss: 0x0003_0006_0000_0023, ..RING3 }],
        ..Case::NEW
    };
}
