//! What a return brings about beside RIP, RSP and the flags: RF, STI's shadow, single steps, NMIs.
//!
//! Rule: ERETS, ERETU and IRETQ load RF, and with RF an execution breakpoint at the target does not trap. With TF in
//! the new RFLAGS a #DB comes after the next instruction; if bit 17 of the SS slot is set, ERETS and ERETU make it
//! pending at once. With bit 16 ERETS establishes blocking by STI, if the new IF is 1 and it was not in effect before;
//! ERETU never does. With bit 18 NMIs are unblocked, and not without it (SDM vol. 2, "ERETS", "ERETU", operation).
//!
//! Known bugs that fail it: an emulated return that loads RFLAGS without RF, so that a debugger's breakpoint comes for
//! ever; the single step of a system call lost or doubled, because bit 17 was taken for part of the event type; NMIs
//! unblocked by every return, as IRET does, or by none; the shadow lost in a migration just after the return.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::act_hand_built;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "return-bits",
    rule: "A return loads RF, and its SS slot asks for STI's shadow, a single step at once, and NMIs.",
    spec: "SDM vol. 2 ERETS, ERETU; vol. 3 ch. 8 FRED return",
    cases: [
        rf::CASE,
        rf_clear::CASE,
        sti::CASE,
        sti_without_if::CASE,
        sti_already::CASE,
        step::CASE,
        step_at_once::CASE,
        bit_17_alone::CASE,
    ],
}

/// The DR7 of [`break_on`].
const EXECUTE_0: u64 = DR7 | L0;

/// An execution breakpoint.
fn break_on(instruction: Address) {
    set_dr0(instruction.value());
    set_dr7(EXECUTE_0);
}

const STEPPED: Registers = Registers { dr6: DR6 | BS, ..RESTING };

mod rf {
    use super::*;
    act_hand_built! {
        name: "return-bits.rf", rip: ["push offset \"return-bits.rf.act\""], cs: "8", rflags: "0x10002", ss: "0x10",
        armed: [".byte 0xF2, 0x0F, 0x01, 0xCA"], act: ["ud2"],
    }
    pub(super) const CASE: Case = Case {
        name: "rf",
        rule: "ERETS with RF onto an execution breakpoint: no #DB, the instruction runs; it is a #UD.",
        needs: Needs::FRED,
        prepare: || {
            route(6, 1, IST_FRAME);
            break_on(ACT.act);
        },
        act: ACT,
        events: &[UD],
        registers: Registers { dr7: EXECUTE_0, ..RESTING },
        ..Case::NEW
    };
}

mod rf_clear {
    use super::*;
    act_hand_built! {
        name: "return-bits.rf-clear", rip: ["push offset \"return-bits.rf-clear.act\""], cs: "8", rflags: "2",
        ss: "0x10", armed: [".byte 0xF2, 0x0F, 0x01, 0xCA"], act: ["ud2"],
    }
    pub(super) const CASE: Case = Case {
        name: "rf-clear",
        rule: "ERETS without RF onto an execution breakpoint: its #DB, before the #UD; with RF then the #UD.",
        needs: Needs::FRED,
        prepare: || {
            route(6, 1, IST_FRAME);
            break_on(ACT.act);
        },
        act: ACT,
        events: &[
            Event {
                rip: Rip::Act,
                rflags: RFLAGS,
                event_data: B0,
                handler: Some(|frame| frame.rflags |= RF),
                returns: Return::Frame,
                ..SINGLE_STEP
            },
            UD,
        ],
        registers: Registers { dr6: DR6 | B0, dr7: EXECUTE_0, ..RESTING },
        ..Case::NEW
    };
}

/// A #UD just after an ERETS, at whose target IF is 1.
const INTERRUPTIBLE_UD: Event = Event { rflags: RFLAGS | RF | IF, ..UD };

mod sti {
    use super::*;
    act_hand_built! {
        name: "return-bits.sti", rip: ["push offset \"return-bits.sti.act\""], cs: "8", rflags: "0x202", ss: "0x10010",
        armed: [".byte 0xF2, 0x0F, 0x01, 0xCA"], act: ["ud2"],
    }
    pub(super) const CASE: Case = Case {
        name: "sti",
        rule: "ERETS with bit 16 and IF: blocking by STI is in effect at its target, bit 16 of #UD's SS slot.",
        needs: Needs::FRED,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[Event { ss: ss_slot(HARDWARE_EXCEPTION, 6) | SS_STI, ..INTERRUPTIBLE_UD }],
        ..Case::NEW
    };
}

mod sti_without_if {
    use super::*;
    act_hand_built! {
        name: "return-bits.sti-without-if", rip: ["push offset \"return-bits.sti-without-if.act\""], cs: "8",
        rflags: "2", ss: "0x10010", armed: [".byte 0xF2, 0x0F, 0x01, 0xCA"], act: ["ud2"],
    }
    pub(super) const CASE: Case = Case {
        name: "sti-without-if",
        rule: "ERETS with bit 16 while the new IF is 0: no blocking by STI.",
        needs: Needs::FRED,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[UD],
        ..Case::NEW
    };
}

mod sti_already {
    use super::*;
    act_hand_built! {
        name: "return-bits.sti-already", rip: ["push offset \"return-bits.sti-already.act\""], cs: "8", rflags: "0x202",
        ss: "0x10010", armed: ["sti", ".byte 0xF2, 0x0F, 0x01, 0xCA"], act: ["ud2"],
    }
    pub(super) const CASE: Case = Case {
        name: "sti-already",
        rule: "ERETS with bit 16 in the shadow of STI: the shadow ends, none is established.",
        needs: Needs::FRED,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[INTERRUPTIBLE_UD],
        ..Case::NEW
    };
}

mod step {
    use super::*;
    act_hand_built! {
        name: "return-bits.step", rip: ["push offset \"return-bits.step.act\""], cs: "8", rflags: "0x102", ss: "0x10",
        armed: [".byte 0xF2, 0x0F, 0x01, 0xCA"], act: ["nop"],
    }
    pub(super) const CASE: Case = Case {
        name: "step",
        rule: "ERETS with TF, bit 17 clear: one instruction runs, then a single step.",
        needs: Needs::FRED,
        act: ACT,
        events: &[SINGLE_STEP],
        registers: STEPPED,
        ..Case::NEW
    };
}

mod step_at_once {
    use super::*;
    act_hand_built! {
        name: "return-bits.step-at-once", rip: ["push offset \"return-bits.step-at-once.act\""], cs: "8",
        rflags: "0x102", ss: "0x20010", armed: [".byte 0xF2, 0x0F, 0x01, 0xCA"], act: ["ud2"],
    }
    pub(super) const CASE: Case = Case {
        name: "step-at-once",
        rule: "ERETS with TF and bit 17: a single step before any instruction.",
        needs: Needs::FRED,
        act: ACT,
        events: &[Event { rip: Rip::Act, ..SINGLE_STEP }],
        registers: STEPPED,
        ..Case::NEW
    };
}

mod bit_17_alone {
    use super::*;
    act_hand_built! {
        name: "return-bits.bit-17-alone", rip: ["push offset \"return-bits.bit-17-alone.act\""], cs: "8", rflags: "2",
        ss: "0x20010", armed: [".byte 0xF2, 0x0F, 0x01, 0xCA"], act: ["ud2"],
    }
    pub(super) const CASE: Case = Case {
        name: "bit-17-alone",
        rule: "ERETS with bit 17, TF clear: no single step.",
        needs: Needs::FRED,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[UD],
        ..Case::NEW
    };
}
