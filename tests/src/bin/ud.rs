//! #UD and #DE: faults without error code and without event data.
//!
//! Rule: the frame's first quadword is 0 under FRED and missing under the IDT, event data is 0, RF
//! is set in the saved RFLAGS (SDM vol. 3 ch. 6, interrupts 0 and 6; ch. 8, "FRED stack frame").
//! SWAPGS is #UD with CR4.FRED = 1 (SDM vol. 2, "SWAPGS").
//!
//! Known bugs this tells apart from it: an error code or event data where there is none, left over
//! or invented; RF lost, when the event is moved to another machine while it is pending.
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
    name: "ud",
    rule: "Faults without error code: 0 in its slot, no event data, RF set.",
    spec: "SDM vol. 3 ch. 6 interrupts 0, 6; ch. 8 FRED stack frame",
    cases: [ud2::CASE, ud2_ring3::CASE, swapgs::CASE, divide::CASE, divide_ring3::CASE, lkgs_ring3::CASE],
}

/// #UD in ring 0.
const UNDEFINED: Event = Event {
    vector: 6,
    error_code: 0,
    cs: 0x0000_0000_0000_0008,
    rflags: 0x0001_0002,
    rsp: Stack::Act,
    ss: 0x0203_0006_0000_0010,
    event_data: 0,
    csl: 1,
    entry: 0x100,
    idt_frame_bytes: 40,
    ..Event::FAULT
};

/// From ring 3, on level 0 and its stack.
const RING3: Event = Event { cs: 0x0000_0000_0000_002B, rsp: Stack::User, csl: 0, entry: 0x0, ..UNDEFINED };

mod ud2 {
    use super::*;
    act! { name: "ud.ud2", set: [], armed: [], act: ["ud2"], }
    pub(super) const CASE: Case = Case {
        name: "ud2",
        rule: "UD2: #UD.",
        needs: Needs::empty(),
        flags: CaseFlags::empty(),
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[UNDEFINED],
        in_handler: false,
        registers: RESTING,
        results: &[],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
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
        act: ACT,
        events: &[Event { ss: 0x0203_0006_0000_0023, ..RING3 }],
        // `Armed` is rung in ring 0.
        cancel: Cancel::No,
        ..ud2::CASE
    };
}

mod swapgs {
    use super::*;
    act! { name: "ud.swapgs", set: [], armed: [], act: ["swapgs"], }
    pub(super) const CASE: Case = Case {
        name: "swapgs",
        rule: "SWAPGS under FRED: #UD, and the GS bases stay.",
        needs: Needs::FRED,
        act: ACT,
        ..ud2::CASE
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
        events: &[Event { vector: 0, ss: 0x0203_0000_0000_0010, ..UNDEFINED }],
        ..ud2::CASE
    };
}

mod divide_ring3 {
    use super::*;
    act_ring3! {
        name: "ud.divide-ring3",
        set: [],
        act: ["div byte ptr [rip + {zero}]"],
        zero = sym guest::layout::USER_STACK,
    }
    pub(super) const CASE: Case = Case {
        name: "divide-ring3",
        rule: "A division by 0 in memory, in ring 3: #DE, the GS bases swapped.",
        prepare: divide::CASE.prepare,
        act: ACT,
        events: &[Event { vector: 0, ss: 0x0203_0000_0000_0023, ..RING3 }],
        ..ud2_ring3::CASE
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
        act: ACT,
        ..ud2_ring3::CASE
    };
}
