//! A fault in the shadow of STI: blocking by STI is part of the frame.
//!
//! Rule: STI keeps interrupts out until the instruction after it has completed. When that one
//! faults, blocking by STI is still in effect, and bit 16 of the frame's SS slot says so; ERETS
//! would establish it again (SDM vol. 3 ch. 8, "FRED stack frame"; vol. 2, "STI"). The saved
//! RFLAGS has IF set, RFLAGS at entry has not.
//!
//! Known bugs that fail it: the bit lost when the delivery is interrupted, or when
//! the shadow is not migrated; the bit invented for the next event.
//!
//! Nothing raises an interrupt here, and none could come in the shadow.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "sti",
    rule: "A fault of the instruction after STI: the frame's SS slot has bit 16, blocking by STI.",
    spec: "SDM vol. 3 ch. 8 FRED stack frame; vol. 2 STI",
    cases: [pf::CASE, ud::CASE, gp::CASE, pf_then_ud::CASE, if_set_already::CASE, after_out::CASE, breakpoint::CASE, nested::CASE],
}

/// A page fault in the shadow.
const PAGE_FAULT: Event = Event {
    rflags: RFLAGS | RF | IF,
    ss: ss_slot(HARDWARE_EXCEPTION, 14) | SS_STI,
    event_data: UNMAPPED,
    ..PF
};

mod pf {
    use super::*;
    act! { name: "sti.pf", set: ["movabs rdi, 0x8000001A58"], armed: ["sti"], act: ["mov rbx, [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "pf",
        rule: "#PF after STI: bit 16 set, IF saved as 1.",
        act: ACT,
        events: &[PAGE_FAULT],
        registers: Registers { cr2: UNMAPPED, ..RESTING },
        // STI comes after `Armed`.
        cancel: Cancel::No,
        ..Case::NEW
    };
}

mod ud {
    use super::*;
    act! { name: "sti.ud", set: [], armed: ["sti"], act: ["ud2"], }
    pub(super) const CASE: Case = Case {
        name: "ud",
        rule: "#UD after STI: bit 16 set.",
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[Event { rflags: RFLAGS | RF | IF, ss: ss_slot(HARDWARE_EXCEPTION, 6) | SS_STI, ..UD }],
        ..Case::NEW
    };
}

mod gp {
    use super::*;
    act! { name: "sti.gp", set: ["mov ecx, 0xFFF8"], armed: ["sti"], act: ["mov ds, ecx"], }
    pub(super) const CASE: Case = Case {
        name: "gp",
        rule: "#GP after STI: bit 16 set, beside an error code.",
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[Event {
            error_code: 0xFFF8,
            rflags: RFLAGS | RF | IF,
            ss: ss_slot(HARDWARE_EXCEPTION, 13) | SS_STI,
            ..GP
        }],
        ..Case::NEW
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
        rule: "#PF after STI, then #UD after its handler: bit 16 in the first frame alone.",
        act: ACT,
        events: &[
            PAGE_FAULT,
            Event { rip: Rip::After, csl: 2, fred_top: Top::Other(0), idt_top: Top::Other(0), ..UD },
        ],
        registers: Registers { cr2: UNMAPPED, ..RESTING },
        ..Case::NEW
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
        rule: "#PF after an STI that found IF set: nothing is blocked, bit 16 clear.",
        // Under the IDT the frame has no such bit, and interrupts of a PC could come.
        needs: Needs::FRED,
        act: ACT,
        events: &[Event { ss: ss_slot(HARDWARE_EXCEPTION, 14), ..PAGE_FAULT }],
        registers: Registers { cr2: UNMAPPED, ..RESTING },
        ..Case::NEW
    };
}

mod after_out {
    use super::*;
    act! {
        name: "sti.after-out",
        set: [],
        armed: ["mov edx, {port}", "sti", "out dx, al"],
        act: ["ud2"],
        port = const OUTPUT,
    }
    pub(super) const CASE: Case = Case {
        name: "after-out",
        rule: "#UD after an OUT after STI: what has executed the OUT has ended the blocking, bit 16 clear.",
        needs: Needs::FRED,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[Event { rflags: RFLAGS | RF | IF, general: &[(General::Rdx, OUTPUT as u64)], ..UD }],
        // OUT comes after `Armed`.
        cancel: Cancel::No,
        ..Case::NEW
    };
}

mod breakpoint {
    use super::*;
    act! { name: "sti.breakpoint", set: [], armed: ["sti"], act: ["nop"], }
    pub(super) const CASE: Case = Case {
        name: "breakpoint",
        rule: "An execution breakpoint on the instruction after STI, which unlike MOV SS holds none back: #DB, bit 16 set.",
        prepare: || {
            set_dr0(ACT.act.value());
            set_dr7(DR7 | L0);
        },
        act: ACT,
        events: &[Event {
            rip: Rip::Act,
            rflags: RFLAGS | IF,
            ss: ss_slot(HARDWARE_EXCEPTION, 1) | SS_STI,
            event_data: B0,
            ..SINGLE_STEP
        }],
        registers: Registers { dr6: DR6 | B0, dr7: DR7 | L0, ..RESTING },
        ..Case::NEW
    };
}

mod nested {
    use super::*;
    act! { name: "sti.nested", set: [], armed: ["sti"], act: ["ud2"], }
    pub(super) const CASE: Case = Case {
        name: "nested",
        rule: "#UD after STI whose frame meets #PF: nested, and bit 16 set, as the instruction's return is into the shadow.",
        prepare: || {
            route(6, 1, IST_UNMAPPED);
            set_stack(1, UNMAPPED_TOP);
            route(14, 2, IST_FRAME);
            set_stack(2, FRAME_TOP);
        },
        act: ACT,
        events: &[Event {
            error_code: PFERR_WRITE,
            ss: ss_slot(HARDWARE_EXCEPTION, 14) | SS_NESTED | SS_STI,
            // The 64 bytes below the stack pointer.
            event_data: 0x0000_0080_0000_1FC0,
            event_data_span: 0x3F,
            csl: 2,
            ..PAGE_FAULT
        }],
        registers: Registers { cr2: 0x0000_0080_0000_1FC0, cr2_span: 0x3F, ..RESTING },
        cancel: Cancel::No,
        ..Case::NEW
    };
}
