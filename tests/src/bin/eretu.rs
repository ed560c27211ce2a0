//! ERETU: what it refuses, with every register as it was.
//!
//! Rule: ERETU is #GP(0) above stack level 0, before it looks at the frame. Then it pops what ERETS pops, and is #GP(0)
//! unless CS and SS have RPL 3 and no bit above the selector (SS: but bits 16 to 18, and bits 63:32 are not looked at),
//! RFLAGS has no reserved bit, not VM and an IOPL of 0, and RIP is canonical for 64-bit mode. Selectors other than those
//! of IA32_STAR are loaded with IRET's checks (SDM vol. 2, "ERETU"). Under the IDT, and in ring 3, ERETU is #UD.
//!
//! Known bugs that fail it: an emulated return that lets IOPL through to ring 3, that faults in ring 3 instead of ring
//! 0, that swaps GS before it faults, or that reads the frame before it looks at the stack level.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;
use tests::{act_eretu, act_event_return, act_refused};

guest::image! {
    name: "eretu",
    rule: "ERETU refuses a frame that is wrong, and changes nothing then.",
    spec: "SDM vol. 2 ERETU; vol. 3 ch. 8 FRED event returns",
    cases: [
        rflags::CASE,
        cs::CASE,
        ss::CASE,
        rip::CASE,
        stack_level::CASE,
        cs_no_code::CASE,
        ss_no_data::CASE,
        stack_unmapped::CASE,
        undefined::CASE,
        undefined_ring3::CASE,
    ],
}

/// #GP(0) at ERETU, RSP still at the frame that it was to pop; the handler skips the instruction.
const REFUSED: Event =
    Event { rsp: Stack::ActBelow(0x40), handler: Some(|frame| frame.rip += 4), returns: Return::Frame, ..GP };

/// The refusal of the ERETU that is the `n`th, each after a MOV of 9 bytes to the frame.
const fn refused(n: u64) -> Event {
    Event { rip: Rip::Plus(13 * n), ..REFUSED }
}

/// Seven refusals.
const SEVEN: [Event; 7] =
    [refused(0), refused(1), refused(2), refused(3), refused(4), refused(5), refused(6)];

/// What is left of an act whose frames were all refused.
const NOTHING_POPPED: Left = Left { rsp: Stack::ActBelow(0x40), ..Left::NEW };

/// #GP onto the frame page.
fn route_gp() {
    route(13, 1, IST_FRAME);
}

mod rflags {
    use super::*;
    act_refused! {
        name: "eretu.rflags", by: ".byte 0xF3, 0x0F, 0x01, 0xCA", ss: "0x23", cs: "0x2B", at: "0x18",
        "0", "0xA", "0x1002", "0x3002", "0x8002", "0x20002", "-0x7FBFFFFE"
    }
    pub(super) const CASE: Case = Case {
        name: "rflags",
        rule: "RFLAGS without bit 1, with bit 3, IOPL 1 and 3, bit 15, VM, bits 63:22: #GP(0) each time.",
        needs: Needs::FRED,
        prepare: route_gp,
        act: ACT,
        events: &SEVEN,
        left: &NOTHING_POPPED,
        ..Case::NEW
    };
}

mod cs {
    use super::*;
    act_refused! {
        name: "eretu.cs", by: ".byte 0xF3, 0x0F, 0x01, 0xCA", ss: "0x23", cs: "0x2B", at: "0x10",
        "0x8", "0x29", "0x2A", "0x1002B", "0x4002B", "0x8002B", "-0x7FFFFFD5"
    }
    pub(super) const CASE: Case = Case {
        name: "cs",
        rule: "RPL 0, 1 and 2, a stack level, bits 18, 19 and 63:31 of the CS slot: #GP(0) each time.",
        needs: Needs::FRED,
        prepare: route_gp,
        act: ACT,
        events: &SEVEN,
        left: &NOTHING_POPPED,
        ..Case::NEW
    };
}

mod ss {
    use super::*;
    act_refused! {
        name: "eretu.ss", by: ".byte 0xF3, 0x0F, 0x01, 0xCA", ss: "0x23", cs: "0x2B", at: "0x28",
        "0x10", "0", "0x21", "0x22", "0x80023", "0x1000023", "-0x7FFFFFDD"
    }
    pub(super) const CASE: Case = Case {
        name: "ss",
        rule: "RPL 0, 1 and 2, a null selector, bits 19, 24 and 31 of the SS slot: #GP(0) each time.",
        needs: Needs::FRED,
        prepare: route_gp,
        act: ACT,
        events: &SEVEN,
        left: &NOTHING_POPPED,
        ..Case::NEW
    };
}

mod rip {
    use super::*;
    act_event_return! {
        name: "eretu.rip", by: ".byte 0xF3, 0x0F, 0x01, 0xCA", ss: "0x23", rflags: "2", cs: "0x2B",
        armed: ["mov [rsp + 8], rbx"], then: []
    }
    pub(super) const CASE: Case = Case {
        name: "rip",
        rule: "A RIP that is not canonical, to 64-bit mode: #GP(0) in ring 0, at the ERETU.",
        needs: Needs::FRED,
        prepare: route_gp,
        act: ACT,
        events: &[refused(0)],
        left: &NOTHING_POPPED,
        ..Case::NEW
    };
}

mod stack_level {
    use super::*;
    act! {
        name: "eretu.stack-level",
        set: [],
        armed: ["movabs rsp, 0x8000001F00"],
        act: [".byte 0xF3, 0x0F, 0x01, 0xCA"],
    }
    pub(super) const CASE: Case = Case {
        name: "stack-level",
        rule: "ERETU at stack level 1 with RSP at an unmapped page: #GP(0), and no #PF.",
        needs: Needs::FRED,
        prepare: || {
            set_config(0x001);
            set_stack(2, FRAME_TOP);
        },
        act: ACT,
        // #GP is of level 2.
        events: &[Event { cs: cs_slot(1), rsp: Stack::At(0x0000_0080_0000_1F00), csl: 2, ..GP }],
        ..Case::NEW
    };
}

mod cs_no_code {
    use super::*;
    act_event_return! {
        name: "eretu.cs-no-code", by: ".byte 0xF3, 0x0F, 0x01, 0xCA", ss: "0x23", rflags: "2", cs: "0x23",
        armed: [], then: []
    }
    pub(super) const CASE: Case = Case {
        name: "cs-no-code",
        rule: "CS names a data segment: #GP with the selector, as for IRET.",
        needs: Needs::FRED,
        flags: CaseFlags::TOUCHES_GDT,
        prepare: route_gp,
        act: ACT,
        events: &[Event { error_code: 0x20, ..refused(0) }],
        left: &NOTHING_POPPED,
        ..Case::NEW
    };
}

mod ss_no_data {
    use super::*;
    act_event_return! {
        name: "eretu.ss-no-data", by: ".byte 0xF3, 0x0F, 0x01, 0xCA", ss: "0x1B", rflags: "2", cs: "0x2B",
        armed: [], then: []
    }
    pub(super) const CASE: Case = Case {
        name: "ss-no-data",
        rule: "SS names a code segment: #GP with the selector, and CS is not loaded either.",
        needs: Needs::FRED,
        flags: CaseFlags::TOUCHES_GDT,
        prepare: route_gp,
        act: ACT,
        events: &[Event { error_code: 0x18, ..refused(0) }],
        left: &NOTHING_POPPED,
        ..Case::NEW
    };
}

mod stack_unmapped {
    use super::*;
    act! {
        name: "eretu.stack-unmapped",
        set: [],
        armed: ["movabs rsp, 0x8000001F00"],
        act: [".byte 0xF3, 0x0F, 0x01, 0xCA"],
    }
    pub(super) const CASE: Case = Case {
        name: "stack-unmapped",
        rule: "A frame on an unmapped page: #PF of ring 0, a read of one of the five quadwords.",
        needs: Needs::FRED,
        act: ACT,
        events: &[Event {
            rsp: Stack::At(0x0000_0080_0000_1F00),
            event_data: 0x0000_0080_0000_1F08,
            event_data_span: 0x20,
            ..PF
        }],
        registers: Registers { cr2: 0x0000_0080_0000_1F08, cr2_span: 0x20, ..RESTING },
        ..Case::NEW
    };
}

mod undefined {
    use super::*;
    act_eretu! { name: "eretu.undefined", ss: "0x23", rflags: "2", cs: "0x2B", armed: [], user: [] }
    pub(super) const CASE: Case = Case {
        name: "undefined",
        rule: "ERETU: a return to ring 3 and a #UD there under FRED, #UD itself under the IDT.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[Event {
            rip: Rip::After,
            cs: USER_CS,
            rsp: Stack::User,
            ss: user_ss_slot(HARDWARE_EXCEPTION, 6),
            csl: 0,
            entry: 0,
            ..UD
        }],
        idt: Some(&Idt { events: &[Event { rsp: Stack::ActBelow(0x40), ..UD }], left: Left::NEW }),
        ..Case::NEW
    };
}

mod undefined_ring3 {
    use super::*;
    act_ring3! { name: "eretu.undefined-ring3", set: [], act: [".byte 0xF3, 0x0F, 0x01, 0xCA"], }
    pub(super) const CASE: Case = Case {
        name: "undefined-ring3",
        rule: "ERETU in ring 3: #UD, and not #GP.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[Event {
            cs: USER_CS,
            rsp: Stack::User,
            ss: user_ss_slot(HARDWARE_EXCEPTION, 6),
            csl: 0,
            entry: 0,
            ..UD
        }],
        ..Case::NEW
    };
}
