//! ERETS: what it refuses, with every register as it was.
//!
//! Rule: ERETS skips the error code and pops RIP, CS, RFLAGS, RSP and SS. It is #GP(0), with every register as it was,
//! unless RIP is canonical, CS without its stack level and SS without bits 16 to 18 are the current selectors, and
//! RFLAGS has no reserved bit and not VM (SDM vol. 2, "ERETS"). A frame that cannot be read is #PF or #SS as any other
//! access by RSP. Under the IDT, and in ring 3, ERETS is #UD.
//!
//! Known bugs that fail it: an emulated return that checks RFLAGS as IRETQ does, that faults after it has changed RSP or
//! the stack level, or that faults at the target (as KVM's `em_ret_far` once did: "KVM: x86: Emulator fixes for
//! canonical violations on near jumps").
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;
use tests::{act_event_return, act_refused};

guest::image! {
    name: "erets",
    rule: "ERETS refuses a frame that is wrong, and changes nothing then.",
    spec: "SDM vol. 2 ERETS; vol. 3 ch. 8 FRED event returns",
    cases: [
        rflags::CASE,
        cs::CASE,
        ss::CASE,
        rip::CASE,
        stack_unmapped::CASE,
        stack_not_canonical::CASE,
        undefined::CASE,
        undefined_ring3::CASE,
    ],
}

/// #GP(0) at ERETS, RSP still at the frame that it was to pop; the handler skips the instruction.
const REFUSED: Event =
    Event { rsp: Stack::ActBelow(0x40), handler: Some(|frame| frame.rip += 4), returns: Return::Frame, ..GP };

/// The refusal of the ERETS that is the `n`th, each after a MOV of 9 bytes to the frame.
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
        name: "erets.rflags", by: ".byte 0xF2, 0x0F, 0x01, 0xCA", ss: "0x10", cs: "0x8", at: "0x18",
        "0", "0xA", "0x22", "0x8002", "0x20002", "0x400002", "-0x7FFFFFFE"
    }
    pub(super) const CASE: Case = Case {
        name: "rflags",
        rule: "RFLAGS without bit 1, with bit 3, 5, 15, VM, bit 22, bits 63:31: #GP(0) each time.",
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
        name: "erets.cs", by: ".byte 0xF2, 0x0F, 0x01, 0xCA", ss: "0x10", cs: "0x8", at: "0x10",
        "0x10", "0", "0x9", "0x2B", "0x80008", "0x1000008", "-0x7FFFFFF8"
    }
    pub(super) const CASE: Case = Case {
        name: "cs",
        rule: "Another selector, RPL 1 and 3, bits 19, 24 and 63:31 of the CS slot: #GP(0) each time.",
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
        name: "erets.ss", by: ".byte 0xF2, 0x0F, 0x01, 0xCA", ss: "0x10", cs: "0x8", at: "0x28",
        "0x8", "0", "0x11", "0x23", "0x80010", "0x1000010", "-0x7FFFFFF0"
    }
    pub(super) const CASE: Case = Case {
        name: "ss",
        rule: "Another selector, a null one, RPL 1 and 3, bits 19, 24 and 31 of the SS slot: #GP(0) each time.",
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
        name: "erets.rip", by: ".byte 0xF2, 0x0F, 0x01, 0xCA", ss: "0x10", rflags: "2", cs: "0x8",
        armed: ["mov [rsp + 8], rbx"], then: []
    }
    pub(super) const CASE: Case = Case {
        name: "rip",
        rule: "A RIP that is not canonical: #GP(0) at the ERETS, not at the address.",
        needs: Needs::FRED,
        prepare: route_gp,
        act: ACT,
        events: &[refused(0)],
        left: &NOTHING_POPPED,
        ..Case::NEW
    };
}

mod stack_unmapped {
    use super::*;
    act! {
        name: "erets.stack-unmapped",
        set: [],
        armed: ["movabs rsp, 0x8000001F00"],
        act: [".byte 0xF2, 0x0F, 0x01, 0xCA"],
    }
    pub(super) const CASE: Case = Case {
        name: "stack-unmapped",
        rule: "A frame on an unmapped page: #PF, a read of one of the five quadwords, RSP unchanged.",
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

mod stack_not_canonical {
    use super::*;
    act! {
        name: "erets.stack-not-canonical",
        set: [],
        armed: ["movabs rsp, 0x8000000000000000"],
        act: [".byte 0xF2, 0x0F, 0x01, 0xCA"],
    }
    pub(super) const CASE: Case = Case {
        name: "stack-not-canonical",
        rule: "A frame at an address that is not canonical: #SS(0), not #GP.",
        needs: Needs::FRED,
        prepare: || route(12, 1, IST_FRAME),
        act: ACT,
        events: &[Event {
            vector: 12,
            ss: ss_slot(HARDWARE_EXCEPTION, 12),
            rsp: Stack::At(0x8000_0000_0000_0000),
            ..GP
        }],
        ..Case::NEW
    };
}

mod undefined {
    use super::*;
    act_event_return! {
        name: "erets.undefined", by: ".byte 0xF2, 0x0F, 0x01, 0xCA", ss: "0x10", rflags: "2", cs: "0x8", armed: [], then: []
    }
    pub(super) const CASE: Case = Case {
        name: "undefined",
        rule: "ERETS: a return under FRED, #UD under the IDT.",
        flags: CaseFlags::CONFORMANCE,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        idt: Some(&Idt { events: &[Event { rsp: Stack::ActBelow(0x40), ..UD }], left: Left::NEW }),
        ..Case::NEW
    };
}

mod undefined_ring3 {
    use super::*;
    act_ring3! { name: "erets.undefined-ring3", set: [], act: [".byte 0xF2, 0x0F, 0x01, 0xCA"], }
    pub(super) const CASE: Case = Case {
        name: "undefined-ring3",
        rule: "ERETS in ring 3: #UD, and not #GP.",
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
