//! Stack levels: events that come while the current stack level (CSL) is above 0.
//!
//! Rule: an event from ring 0 whose stack level is not above the CSL stays on the current stack,
//! below RSP less the redzone of IA32_FRED_CONFIG bits 8:6, aligned down to 64 bytes; one whose
//! level is above it gets that level's stack. The frame's CS slot has the CSL at the event, and
//! ERETS goes back to the lesser of that and the CSL (SDM vol. 3 ch. 8, "FRED event delivery",
//! "Determining the new stack level"; vol. 2, "ERETS").
//!
//! Known bugs that fail it: the CSL not migrated, though it is a field of
//! IA32_FRED_CONFIG; the redzone forgotten, or taken where the stack is switched; the stack level
//! of the frame or of the handler wrong.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "level",
    rule: "Above stack level 0 an event stays on its stack, past the redzone, unless its level is higher.",
    spec: "SDM vol. 3 ch. 8 FRED event delivery; vol. 2 ERETS",
    cases: [
        same_level::CASE,
        lower_level::CASE,
        higher_level::CASE,
        int_n_level1::CASE,
        higher_in_handler::CASE,
        same_in_handler::CASE,
        erets_lowers::CASE,
        erets_clamps::CASE,
        erets_clamps_to_0::CASE,
    ],
}

/// A page fault on stack level 1 while the CSL is 1, with RSP on the frame page.
const PAGE_FAULT: Event = Event { cs: cs_slot(1), rsp: Stack::Frame(0x28), event_data: UNMAPPED, ..PF };

const FAULTED: Registers = Registers { cr2: UNMAPPED, ..RESTING };

/// Bits 11:0 of IA32_FRED_CONFIG: all but the entry page.
fn config() -> u64 {
    read_msr(0x1D4) & 0xFFF
}

mod same_level {
    use super::*;
    act! {
        name: "level.same-level",
        set: ["movabs rdi, 0x8000001A58"],
        armed: ["movabs rsp, {rsp}"],
        act: ["mov rbx, [rdi]"],
        rsp = const FRAME_STACK + 0xFD8,
    }
    pub(super) const CASE: Case = Case {
        name: "same-level",
        rule: "#PF of level 1 at CSL 1: the current stack, below a redzone of 0xC0; SL 1 in the CS slot.",
        needs: Needs::FRED,
        prepare: || set_config(0x0C1),
        act: ACT,
        // 0xFD8 - 0xC0 = 0xF18, aligned down.
        events: &[Event { fred_top: Top::Frame(0x100), ..PAGE_FAULT }],
        registers: FAULTED,
        // After ERETS, to which the stub gave stack level 0.
        results: &[Check { expected: 0x0C0, read: config }],
        // RSP is put there after `Armed`.
        cancel: Cancel::No,
        ..Case::NEW
    };
}

mod lower_level {
    use super::*;
    act! {
        name: "level.lower-level",
        set: [],
        armed: ["push 0x102", "popfq"],
        act: ["movabs rsp, {rsp}"],
        rsp = const FRAME_STACK + 0xFD8,
    }
    pub(super) const CASE: Case = Case {
        name: "lower-level",
        rule: "A single step of level 1 at CSL 2: level 2 and its stack stay; the widest redzone, 0x1C0.",
        needs: Needs::FRED,
        prepare: || set_config(0x1C2),
        act: ACT,
        // 0xFD8 - 0x1C0 = 0xE18, aligned down.
        events: &[Event {
            cs: cs_slot(2),
            rsp: Stack::Frame(0x28),
            csl: 2,
            fred_top: Top::Frame(0x200),
            ..SINGLE_STEP
        }],
        registers: Registers { dr6: DR6 | BS, ..RESTING },
        results: &[Check { expected: 0x1C0, read: config }],
        ..Case::NEW
    };
}

mod higher_level {
    use super::*;
    act! { name: "level.higher-level", set: [], armed: [], act: ["ud2"], }
    pub(super) const CASE: Case = Case {
        name: "higher-level",
        rule: "#UD of level 2 at CSL 1: RSP2 whole, without redzone; SL 1 in the CS slot.",
        needs: Needs::FRED,
        prepare: || {
            set_config(0x1C1);
            set_stack(2, FRAME_TOP);
        },
        act: ACT,
        events: &[Event { cs: cs_slot(1), csl: 2, ..UD }],
        results: &[Check { expected: 0x1C0, read: config }],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod int_n_level1 {
    use super::*;
    act! {
        name: "level.int-n-level1",
        set: [],
        armed: ["movabs rsp, {rsp}"],
        act: [".byte 0xCD, 0x1F"],
        rsp = const FRAME_STACK + 0xFD8,
    }
    pub(super) const CASE: Case = Case {
        name: "int-n-level1",
        rule: "INT 31 at CSL 1: it asks for level 0 and stays on level 1, below a redzone of 0x40.",
        needs: Needs::FRED,
        prepare: || set_config(0x041),
        act: ACT,
        // 0xFD8 - 0x40 = 0xF98, aligned down.
        events: &[Event {
            vector: 31,
            rip: Rip::After,
            cs: cs_slot(1),
            rflags: RFLAGS,
            rsp: Stack::Frame(0x28),
            ss: ss_slot(SOFTWARE_INTERRUPT, 31) | SS_SOFTWARE | ss_length(2),
            fred_top: Top::Frame(0x80),
            ..Event::NEW
        }],
        results: &[Check { expected: 0x040, read: config }],
        ..Case::NEW
    };
}

/// The first of two: a page fault at CSL 0, so that its handler is on level 1.
const OUTER: Event = Event { cs: cs_slot(0), rsp: Stack::Act, ..PAGE_FAULT };

mod higher_in_handler {
    use super::*;
    act! {
        name: "level.higher-in-handler",
        set: ["movabs rdi, 0x8000001A58"],
        armed: [],
        act: ["mov rbx, [rdi]"],
        then: ["ud2"],
    }
    pub(super) const CASE: Case = Case {
        name: "higher-in-handler",
        rule: "#UD of level 2 inside #PF's handler on level 1: SL 1, RSP2; RSP at the event is #PF's frame.",
        needs: Needs::FRED,
        prepare: || set_config(0x080),
        act: ACT,
        events: &[
            Event { returns: Return::Stay, ..OUTER },
            Event {
                rip: Rip::After,
                cs: cs_slot(1),
                rsp: Stack::Frame(0x40),
                csl: 2,
                fred_top: Top::Other(0),
                ..UD
            },
        ],
        registers: FAULTED,
        results: &[Check { expected: 0x080, read: config }],
        cancel: Cancel::Payload { payload: UNMAPPED, rflags: 0 },
        ..Case::NEW
    };
}

mod same_in_handler {
    use super::*;
    act! {
        name: "level.same-in-handler",
        set: ["movabs rdi, 0x8000001A58"],
        armed: [],
        act: ["mov rbx, [rdi]"],
        then: ["movabs al, [0x8000000000000000]"],
    }
    pub(super) const CASE: Case = Case {
        name: "same-in-handler",
        rule: "#GP(0) of level 1 inside #PF's handler on level 1: SL 1, below #PF's frame and a redzone of 0x80.",
        needs: Needs::FRED,
        prepare: || {
            set_config(0x080);
            route(13, 1, IST_FRAME);
        },
        act: ACT,
        // The first frame ends at 0x1000 and begins at 0xFC0; less 0x80 that is 0xF40.
        events: &[
            Event { returns: Return::Stay, ..OUTER },
            Event {
                rip: Rip::After,
                cs: cs_slot(1),
                rsp: Stack::Frame(0x40),
                fred_top: Top::Frame(0xC0),
                ..GP
            },
        ],
        registers: FAULTED,
        results: &[Check { expected: 0x080, read: config }],
        cancel: Cancel::Payload { payload: UNMAPPED, rflags: 0 },
        ..Case::NEW
    };
}

/// An act that ERETS leads to, with this CS slot and RSP on the frame page, and that faults there.
macro_rules! act_after_erets {
    (name: $name:literal, cs: $cs:literal) => {
        act! {
            name: $name,
            set: ["movabs rdi, 0x8000001A58", "movabs rbx, {rsp}"],
            armed: [
                "push 0",
                "push 0",
                "push 0x10",
                "push rbx",
                "push 2",
                concat!("push ", $cs),
                concat!("push offset \"", $name, ".act\""),
                "push 0",
                // ERETS
                ".byte 0xF2, 0x0F, 0x01, 0xCA"
            ],
            act: ["mov rbx, [rdi]"],
            rsp = const FRAME_STACK + 0xFD8,
        }
    };
}

mod erets_lowers {
    use super::*;
    act_after_erets! { name: "level.erets-lowers", cs: "0x10008" }
    pub(super) const CASE: Case = Case {
        name: "erets-lowers",
        rule: "ERETS from CSL 2 with SL 1: the #PF after it comes at CSL 1.",
        needs: Needs::FRED,
        prepare: || set_config(0x002),
        act: ACT,
        events: &[Event { fred_top: Top::Frame(0x40), ..PAGE_FAULT }],
        registers: FAULTED,
        results: &[Check { expected: 0x000, read: config }],
        ..Case::NEW
    };
}

mod erets_clamps {
    use super::*;
    act_after_erets! { name: "level.erets-clamps", cs: "0x30008" }
    pub(super) const CASE: Case = Case {
        name: "erets-clamps",
        rule: "ERETS from CSL 1 with SL 3: it does not raise the level, the #PF after it comes at CSL 1.",
        needs: Needs::FRED,
        prepare: || set_config(0x001),
        act: ACT,
        events: &[Event { fred_top: Top::Frame(0x40), ..PAGE_FAULT }],
        registers: FAULTED,
        results: &[Check { expected: 0x000, read: config }],
        ..Case::NEW
    };
}

mod erets_clamps_to_0 {
    use super::*;
    act_after_erets! { name: "level.erets-clamps-to-0", cs: "0x20008" }
    pub(super) const CASE: Case = Case {
        name: "erets-clamps-to-0",
        rule: "ERETS from CSL 0 with SL 2: the #PF after it comes at CSL 0 and gets RSP1 whole.",
        needs: Needs::FRED,
        act: ACT,
        // RSP is on the same page and not used: the frame lies above it.
        events: &[Event { cs: cs_slot(0), ..PAGE_FAULT }],
        registers: FAULTED,
        results: &[Check { expected: 0x000, read: config }],
        ..Case::NEW
    };
}
