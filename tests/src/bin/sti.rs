//! A fault in the shadow of STI: blocking by STI is part of the frame.
//!
//! Rule: STI keeps interrupts out until the instruction behind it has completed. When that one
//! faults, blocking by STI is still in effect, and bit 16 of the frame's SS slot says so; ERETS
//! would establish it again (SDM vol. 3 ch. 8, "FRED stack frame"; vol. 2, "STI"). The saved
//! RFLAGS has IF set, RFLAGS at entry has not.
//!
//! Known bugs this tells apart from it: the bit lost when the delivery is interrupted, or when
//! the shadow is not moved with the machine; the bit invented for the next event.
//!
//! Nothing raises an interrupt here, and none could come in the shadow.
#![no_std]
#![no_main]

use guest::act;
use guest::case::{Cancel, Case};
use guest::judge::disturbed::{RESTING, Registers};
use guest::judge::event::{Event, Rip, Stack, Top};
use guest::protocol::need::Needs;
use guest::protocol::note::CaseFlags;
use guest::routes::{IST_FRAME, route};

guest::image! {
    name: "sti",
    rule: "A fault of the instruction behind STI: the frame's SS slot has bit 16, blocking by STI.",
    spec: "SDM vol. 3 ch. 8 FRED stack frame; vol. 2 STI",
    cases: [pf::CASE, ud::CASE, gp::CASE, pf_then_ud::CASE, if_set_already::CASE],
}

/// A page fault in the shadow.
const PAGE_FAULT: Event = Event {
    vector: 14,
    error_code: 0x0,
    cs: 0x0000_0000_0000_0008,
    rflags: 0x0001_0202,
    rsp: Stack::Act,
    ss: 0x0203_000E_0001_0010,
    event_data: 0x0000_0080_0000_1A58,
    csl: 1,
    entry: 0x100,
    idt_frame_bytes: 48,
    ..Event::FAULT
};

mod pf {
    use super::*;
    act! {
        name: "sti.pf",
        set: ["movabs rdi, 0x8000001A58"],
        armed: ["sti"],
        act: ["mov rbx, [rdi]"],
    }
    pub(super) const CASE: Case = Case {
        name: "pf",
        rule: "#PF behind STI: bit 16 set, IF saved as 1.",
        needs: Needs::empty(),
        flags: CaseFlags::empty(),
        prepare: || {},
        act: ACT,
        events: &[PAGE_FAULT],
        in_handler: false,
        registers: Registers { cr2: 0x0000_0080_0000_1A58, ..RESTING },
        results: &[],
        // STI comes behind `Armed`.
        cancel: Cancel::No,
    };
}

mod ud {
    use super::*;
    act! { name: "sti.ud", set: [], armed: ["sti"], act: ["ud2"], }
    pub(super) const CASE: Case = Case {
        name: "ud",
        rule: "#UD behind STI: bit 16 set.",
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[Event { vector: 6, rflags: 0x0001_0202, ss: 0x0203_0006_0001_0010, ..Event::FAULT }],
        registers: RESTING,
        ..pf::CASE
    };
}

mod gp {
    use super::*;
    act! { name: "sti.gp", set: ["mov ecx, 0xFFF8"], armed: ["sti"], act: ["mov ds, ecx"], }
    pub(super) const CASE: Case = Case {
        name: "gp",
        rule: "#GP behind STI: bit 16 set, beside an error code.",
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[Event {
            vector: 13,
            error_code: 0xFFF8,
            ss: 0x0203_000D_0001_0010,
            event_data: 0,
            ..PAGE_FAULT
        }],
        registers: RESTING,
        ..pf::CASE
    };
}

mod pf_then_ud {
    use super::*;
    act! {
        name: "sti.pf-then-ud",
        set: ["movabs rdi, 0x8000001A58"],
        armed: ["sti"],
        act: ["mov rbx, [rdi]"],
        then: ["ud2"],
    }
    pub(super) const CASE: Case = Case {
        name: "pf-then-ud",
        rule: "#PF behind STI, then #UD behind its handler: bit 16 in the first frame alone.",
        act: ACT,
        events: &[
            PAGE_FAULT,
            Event {
                vector: 6,
                rip: Rip::After,
                ss: 0x0203_0006_0000_0010,
                csl: 2,
                fred_top: Top::Other(0),
                idt_top: Top::Other(0),
                ..Event::FAULT
            },
        ],
        ..pf::CASE
    };
}

mod if_set_already {
    use super::*;
    act! {
        name: "sti.if-set-already",
        set: ["movabs rdi, 0x8000001A58"],
        // IF is set already, and STI then blocks nothing.
        armed: ["push 0x202", "popfq", "sti"],
        act: ["mov rbx, [rdi]"],
    }
    pub(super) const CASE: Case = Case {
        name: "if-set-already",
        rule: "#PF behind an STI that found IF set: nothing is blocked, bit 16 clear.",
        // Under the IDT the frame has no such bit, and interrupts of a PC could come.
        needs: Needs::FRED,
        act: ACT,
        events: &[Event { ss: 0x0203_000E_0000_0010, ..PAGE_FAULT }],
        ..pf::CASE
    };
}
