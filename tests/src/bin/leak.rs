//! Two events behind each other: what the first one's frame held is not the second one's.
//!
//! Rule: an event has its own event data and error code, and 0 where it has none (SDM vol. 3
//! ch. 8, "FRED event data", "FRED stack frame"). Here the first event has event data and its
//! delivery is the one that a host stops; the second comes when the first one's handler has
//! returned, and has none. Both frames are judged whole. Where the second is an event that an
//! instruction asks for, only event data could be left over, and the case needs FRED.
//!
//! Known bugs this tells apart from it: event data or error code kept by the hypervisor across an
//! interrupted delivery and not reset, so that the next event that it injects, or one that the
//! processor delivers behind an entry with the field still set, carries them; the nested bit or an
//! instruction length left over in the same way.
#![no_std]
#![no_main]

use guest::act;
use guest::case::{Cancel, Case};
use guest::features::XCR0_TILES;
use guest::judge::disturbed::{RESTING, Registers};
use guest::judge::event::{Event, Rip, Stack, Top};
use guest::protocol::need::Needs;
use guest::protocol::note::CaseFlags;
use guest::registers::{XFD, enable_components, write_msr};

guest::image! {
    name: "leak",
    rule: "Event data and error code of one event are not in the frame of the next.",
    spec: "SDM vol. 3 ch. 8 FRED event data, FRED stack frame",
    cases: [
        pf_then_ud::CASE,
        pf_then_gp::CASE,
        pf_then_int_n::CASE,
        pf_then_int3::CASE,
        pf_then_int1::CASE,
        db_then_ud::CASE,
        db_then_int_n::CASE,
        xfd_then_ud::CASE,
        xfd_then_gp::CASE,
    ],
}

/// The first event: a write to an unmapped page.
const PAGE_FAULT: Event = Event {
    vector: 14,
    error_code: 0x2,
    ss: 0x0203_000E_0000_0010,
    event_data: 0x0000_0080_0000_1A58,
    idt_frame_bytes: 48,
    ..Event::FAULT
};

/// The first event: a single step.
const SINGLE_STEP: Event = Event {
    vector: 1,
    rip: Rip::After,
    rflags: 0x0000_0102,
    ss: 0x0203_0001_0000_0010,
    event_data: 0x4000,
    ..Event::FAULT
};

/// The first event: #NM of XFD.
const DISABLED_TILES: Event =
    Event { vector: 7, ss: 0x0203_0007_0000_0010, event_data: 0x4_0000, ..Event::FAULT };

/// A second event, on the stack that is nobody's in particular. What its vector decides (`vector`,
/// `ss`) must be overridden.
const SECOND: Event = Event {
    rip: Rip::After,
    event_data: 0,
    csl: 2,
    fred_top: Top::Other(0),
    idt_top: Top::Other(0),
    ..Event::FAULT
};

const UD: Event = Event { vector: 6, ss: 0x0203_0006_0000_0010, ..SECOND };
const GP: Event =
    Event { vector: 13, error_code: 0x0, ss: 0x0203_000D_0000_0010, idt_frame_bytes: 48, ..SECOND };
const INT3: Event = Event { vector: 3, rip: Rip::Last, rflags: 0x2, ss: 0x1206_0003_0000_0010, ..SECOND };
/// INT 31 comes on level 0, the act's own stack.
const INT_N: Event = Event {
    vector: 31,
    rip: Rip::Last,
    rflags: 0x2,
    rsp: Stack::Act,
    ss: 0x2204_001F_0002_0010,
    csl: 0,
    fred_top: Top::Act(0x40),
    ..SECOND
};

/// CR2 behind the page fault, at both entries.
const FAULTED: Registers = Registers { cr2: 0x0000_0080_0000_1A58, ..RESTING };

/// #PF, then another.
macro_rules! page_fault_then {
    (name: $name:literal, then: [$($then:expr),*]) => {
        act! {
            name: $name,
            set: ["movabs rdi, 0x8000001A58"],
            armed: [],
            act: ["mov [rdi], rbx"],
            then: [$($then),*],
        }
    };
}

mod pf_then_ud {
    use super::*;
    page_fault_then! { name: "leak.pf-then-ud", then: ["ud2"] }
    pub(super) const CASE: Case = Case {
        name: "pf-then-ud",
        rule: "#PF, then #UD: no address and no error code in its frame.",
        needs: Needs::empty(),
        flags: CaseFlags::empty(),
        prepare: || {},
        act: ACT,
        events: &[PAGE_FAULT, UD],
        in_handler: false,
        registers: FAULTED,
        results: &[],
        cancel: Cancel::Payload { payload: 0x0000_0080_0000_1A58, rflags: 0 },
    };
}

mod pf_then_gp {
    use super::*;
    // A load from an address that is not canonical.
    page_fault_then! { name: "leak.pf-then-gp", then: ["movabs al, [0x8000000000000000]"] }
    pub(super) const CASE: Case = Case {
        name: "pf-then-gp",
        rule: "#PF with error code 2, then #GP(0): error code 0, no event data.",
        act: ACT,
        events: &[PAGE_FAULT, GP],
        ..pf_then_ud::CASE
    };
}

mod pf_then_int_n {
    use super::*;
    page_fault_then! { name: "leak.pf-then-int-n", then: [".byte 0xCD, 0x1F"] }
    pub(super) const CASE: Case = Case {
        name: "pf-then-int-n",
        rule: "#PF, then INT 31: no address and no error code in its frame.",
        needs: Needs::FRED,
        act: ACT,
        events: &[PAGE_FAULT, INT_N],
        ..pf_then_ud::CASE
    };
}

mod pf_then_int3 {
    use super::*;
    page_fault_then! { name: "leak.pf-then-int3", then: [".byte 0xCC"] }
    pub(super) const CASE: Case = Case {
        name: "pf-then-int3",
        rule: "#PF, then INT3: no address and no error code in its frame.",
        needs: Needs::FRED,
        act: ACT,
        events: &[PAGE_FAULT, INT3],
        ..pf_then_ud::CASE
    };
}

mod pf_then_int1 {
    use super::*;
    page_fault_then! { name: "leak.pf-then-int1", then: [".byte 0xF1"] }
    pub(super) const CASE: Case = Case {
        name: "pf-then-int1",
        rule: "#PF, then INT1: no address and no error code in its frame.",
        needs: Needs::FRED,
        // On stack level 1 INT1 would use the frame page again.
        prepare: || guest::routes::route(1, 2, guest::routes::IST_OTHER),
        act: ACT,
        events: &[PAGE_FAULT, Event { vector: 1, ss: 0x1205_0001_0000_0010, ..INT3 }],
        // INT1 sets no bit of DR6; whether it clears B0-B3, as a #DB may, is said nowhere.
        registers: Registers { dr6_open: 0xF, ..FAULTED },
        ..pf_then_ud::CASE
    };
}

mod db_then_ud {
    use super::*;
    act! {
        name: "leak.db-then-ud",
        set: [],
        armed: ["push 0x102", "popfq"],
        act: ["nop"],
        then: ["ud2"],
    }
    pub(super) const CASE: Case = Case {
        name: "db-then-ud",
        rule: "A single step, then #UD: no event data in its frame.",
        act: ACT,
        events: &[SINGLE_STEP, UD],
        registers: Registers { dr6: 0xFFFF_4FF0, ..RESTING },
        cancel: Cancel::Payload { payload: 0x4000, rflags: 0x100 },
        ..pf_then_ud::CASE
    };
}

mod db_then_int_n {
    use super::*;
    act! {
        name: "leak.db-then-int-n",
        set: [],
        armed: ["push 0x102", "popfq"],
        act: ["nop"],
        then: [".byte 0xCD, 0x1F"],
    }
    pub(super) const CASE: Case = Case {
        name: "db-then-int-n",
        rule: "A single step, then INT 31: no event data in its frame.",
        needs: Needs::FRED,
        act: ACT,
        events: &[SINGLE_STEP, INT_N],
        ..db_then_ud::CASE
    };
}

mod xfd_then_ud {
    use super::*;
    act! {
        name: "leak.xfd-then-ud",
        set: [],
        armed: [],
        act: ["tilezero tmm0"],
        then: ["ud2"],
    }
    pub(super) const CASE: Case = Case {
        name: "xfd-then-ud",
        rule: "#NM of XFD, then #UD: no event data in its frame, though XFD_ERR still has its value.",
        needs: Needs::XFD.union(Needs::AMX),
        prepare: || {
            enable_components(XCR0_TILES);
            guest::tiles::load();
            write_msr(XFD, 0x4_0000);
        },
        act: ACT,
        events: &[DISABLED_TILES, UD],
        registers: Registers { xfd_err: 0x4_0000, ..RESTING },
        cancel: Cancel::Payload { payload: 0x4_0000, rflags: 0 },
        ..pf_then_ud::CASE
    };
}

mod xfd_then_gp {
    use super::*;
    act! {
        name: "leak.xfd-then-gp",
        set: [],
        armed: [],
        act: ["tilezero tmm0"],
        then: ["movabs al, [0x8000000000000000]"],
    }
    pub(super) const CASE: Case = Case {
        name: "xfd-then-gp",
        rule: "#NM of XFD, then #GP(0): no event data in its frame.",
        act: ACT,
        events: &[DISABLED_TILES, GP],
        ..xfd_then_ud::CASE
    };
}
