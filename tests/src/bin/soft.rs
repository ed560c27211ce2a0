//! Events that instructions ask for: INT1, INT3, INT n, and INTO, which is none in 64-bit mode.
//!
//! Rule: the event is a trap, delivered once, with RIP after the instruction. Under FRED the frame
//! tells the three kinds apart by event type: 5 for INT1 (F1), 6 for INT3 (CC), 4 for INT n (CD),
//! whatever n is; it has the instruction's length, prefixes included, and bit 17 for INT n alone
//! (SDM vol. 3 ch. 8, "FRED stack frame" and "Determining the new stack level": INT n asks for
//! level 0). None has an error code or event data, not even INT 14. INTO is #UD.
//!
//! Known bugs that fail it: INT1 queued again as an ordinary #DB, type 3 with length 0
//! and RIP at it; INT n with vector 1, 3 or 4 taken for INT1, INT3 or INTO; the length lost or
//! guessed from the type when a delivery is interrupted; the event delivered twice, or RIP wrong,
//! because the instruction runs again after a migration that has carried the event as well; the
//! event lost, because neither has happened.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "soft",
    rule: "INT1, INT3 and INT n: a trap, once, with the event type and the length of the instruction.",
    spec: "SDM vol. 3 ch. 8 FRED stack frame; vol. 2 INT n",
    cases: [
        int3::CASE,
        int1::CASE,
        int_n::CASE,
        int_n_prefixed::CASE,
        int_1::CASE,
        int_3::CASE,
        int_4::CASE,
        int_14::CASE,
        int_0x80::CASE,
        into::CASE,
        int3_ring3::CASE,
        int1_ring3::CASE,
        int_n_ring3::CASE,
    ],
}

/// INT3 in ring 0.
const INT3: Event = Event {
    vector: 3,
    rip: Rip::After,
    rflags: RFLAGS,
    ss: ss_slot(SOFTWARE_EXCEPTION, 3) | ss_length(1),
    ..Event::NEW
};

/// INT 31 in ring 0: stack level 0 is the current one, so that the frame lands below RSP.
const INT_N: Event = Event {
    vector: 31,
    rsp: Stack::Frame(0x28),
    ss: ss_slot(SOFTWARE_INTERRUPT, 31) | SS_SOFTWARE | ss_length(2),
    csl: 0,
    fred_top: Top::Frame(0x40),
    ..INT3
};

/// From ring 3, on level 0 and its stack.
const RING3: Event = Event { cs: USER_CS, rsp: Stack::User, csl: 0, entry: 0, ..INT3 };

/// An act in ring 0 whose stack is the frame page, which nothing else uses.
macro_rules! act_on_frame_page {
    (name: $name:literal, act: [$($act:expr),*]) => {
        act! {
            name: $name,
            set: [],
            armed: ["movabs rsp, {rsp}"],
            act: [$($act),*],
            rsp = const FRAME_STACK + 0xFD8,
        }
    };
}

mod int3 {
    use super::*;
    act! { name: "soft.int3", set: [], armed: [], act: [".byte 0xCC"], }
    pub(super) const CASE: Case = Case {
        name: "int3",
        rule: "INT3: type 6, vector 3, length 1, RIP after it.",
        prepare: || route(3, 1, IST_FRAME),
        act: ACT,
        events: &[INT3],
        // A host cannot queue an event that an instruction asks for.
        cancel: Cancel::No,
        ..Case::NEW
    };
}

mod int1 {
    use super::*;
    act! { name: "soft.int1", set: [], armed: [], act: [".byte 0xF1"], }
    pub(super) const CASE: Case = Case {
        name: "int1",
        rule: "INT1: type 5, vector 1, length 1, RIP after it; event data 0, no bit of DR6 set.",
        act: ACT,
        events: &[Event { vector: 1, ss: ss_slot(PRIVILEGED_SOFTWARE_EXCEPTION, 1) | ss_length(1), ..INT3 }],
        // INT1 sets no bit of DR6; whether it clears B0-B3, as a #DB may, no manual says.
        registers: Registers { dr6_open: 0xF, ..RESTING },
        ..Case::NEW
    };
}

mod int_n {
    use super::*;
    act_on_frame_page! { name: "soft.int-n", act: [".byte 0xCD, 0x1F"] }
    pub(super) const CASE: Case = Case {
        name: "int-n",
        rule: "INT 31: type 4, length 2, software bit, stack level 0 whatever STKLVLS says.",
        prepare: || route(31, 3, IST_FRAME),
        act: ACT,
        events: &[INT_N],
        ..Case::NEW
    };
}

mod int_n_prefixed {
    use super::*;
    act_on_frame_page! { name: "soft.int-n-prefixed", act: [".byte 0x66, 0x66, 0xCD, 0x1F"] }
    pub(super) const CASE: Case = Case {
        name: "int-n-prefixed",
        rule: "INT 31 with two prefixes: length 4.",
        prepare: || route(31, 3, IST_FRAME),
        act: ACT,
        events: &[Event { ss: ss_slot(SOFTWARE_INTERRUPT, 31) | SS_SOFTWARE | ss_length(4), ..INT_N }],
        ..Case::NEW
    };
}

mod int_1 {
    use super::*;
    act_on_frame_page! { name: "soft.int-1", act: [".byte 0xCD, 0x01"] }
    pub(super) const CASE: Case = Case {
        name: "int-1",
        rule: "INT 1 (CD 01) is an INT n, not INT1 nor #DB: type 4, length 2, stack level 0.",
        act: ACT,
        events: &[Event {
            vector: 1,
            ss: ss_slot(SOFTWARE_INTERRUPT, 1) | SS_SOFTWARE | ss_length(2),
            ..INT_N
        }],
        ..Case::NEW
    };
}

mod int_3 {
    use super::*;
    act_on_frame_page! { name: "soft.int-3", act: [".byte 0xCD, 0x03"] }
    pub(super) const CASE: Case = Case {
        name: "int-3",
        rule: "INT 3 (CD 03) is an INT n, not INT3: type 4, length 2, stack level 0.",
        prepare: || route(3, 1, IST_FRAME),
        act: ACT,
        events: &[Event {
            vector: 3,
            ss: ss_slot(SOFTWARE_INTERRUPT, 3) | SS_SOFTWARE | ss_length(2),
            ..INT_N
        }],
        ..Case::NEW
    };
}

mod int_4 {
    use super::*;
    act_on_frame_page! { name: "soft.int-4", act: [".byte 0xCD, 0x04"] }
    pub(super) const CASE: Case = Case {
        name: "int-4",
        rule: "INT 4 (CD 04) is an INT n, not INTO: type 4, length 2, stack level 0.",
        prepare: || route(4, 1, IST_FRAME),
        act: ACT,
        events: &[Event {
            vector: 4,
            ss: ss_slot(SOFTWARE_INTERRUPT, 4) | SS_SOFTWARE | ss_length(2),
            ..INT_N
        }],
        ..Case::NEW
    };
}

mod int_14 {
    use super::*;
    act_on_frame_page! { name: "soft.int-14", act: [".byte 0xCD, 0x0E"] }
    pub(super) const CASE: Case = Case {
        name: "int-14",
        rule: "INT 14 is no page fault: no error code, no event data, CR2 stays.",
        // Under the IDT the handler of #PF would miss its error code.
        needs: Needs::FRED,
        act: ACT,
        events: &[Event {
            vector: 14,
            ss: ss_slot(SOFTWARE_INTERRUPT, 14) | SS_SOFTWARE | ss_length(2),
            ..INT_N
        }],
        ..Case::NEW
    };
}

mod int_0x80 {
    use super::*;
    act_on_frame_page! { name: "soft.int-0x80", act: [".byte 0xCD, 0x80"] }
    pub(super) const CASE: Case = Case {
        name: "int-0x80",
        rule: "INT 0x80: a vector above those of exceptions, all eight bits of it.",
        // The image's IDT has no gate for it.
        needs: Needs::FRED,
        act: ACT,
        events: &[Event {
            vector: 0x80,
            ss: ss_slot(SOFTWARE_INTERRUPT, 0x80) | SS_SOFTWARE | ss_length(2),
            ..INT_N
        }],
        ..Case::NEW
    };
}

mod into {
    use super::*;
    act! { name: "soft.into", set: [], armed: [], act: [".byte 0xCE"], }
    pub(super) const CASE: Case = Case {
        name: "into",
        rule: "INTO does not exist in 64-bit mode: #UD, a hardware exception with RIP at it.",
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[UD],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod int3_ring3 {
    use super::*;
    act_ring3! { name: "soft.int3-ring3", set: [], act: [".byte 0xCC"], }
    pub(super) const CASE: Case = Case {
        name: "int3-ring3",
        rule: "INT3 in ring 3: as in ring 0, at the ring-3 entry point on stack level 0.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || route(3, 1, IST_FRAME),
        act: ACT,
        events: &[Event { ss: user_ss_slot(SOFTWARE_EXCEPTION, 3) | ss_length(1), ..RING3 }],
        ..Case::NEW
    };
}

mod int1_ring3 {
    use super::*;
    act_ring3! { name: "soft.int1-ring3", set: [], act: [".byte 0xF1"], }
    pub(super) const CASE: Case = Case {
        name: "int1-ring3",
        rule: "INT1 in ring 3: no privilege check, type 5, length 1.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        act: ACT,
        events: &[Event {
            vector: 1,
            ss: user_ss_slot(PRIVILEGED_SOFTWARE_EXCEPTION, 1) | ss_length(1),
            ..RING3
        }],
        registers: Registers { dr6_open: 0xF, ..RESTING },
        ..Case::NEW
    };
}

mod int_n_ring3 {
    use super::*;
    act_ring3! { name: "soft.int-n-ring3", set: [], act: [".byte 0xCD, 0x1F"], }
    pub(super) const CASE: Case = Case {
        name: "int-n-ring3",
        rule: "INT 31 in ring 3: type 4, length 2, software bit.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || route(31, 3, IST_FRAME),
        act: ACT,
        events: &[Event {
            vector: 31,
            ss: user_ss_slot(SOFTWARE_INTERRUPT, 31) | SS_SOFTWARE | ss_length(2),
            ..RING3
        }],
        ..Case::NEW
    };
}
