//! An instruction whose access is refused runs again, and is still the one that a return with RF has begun.
//!
//! Rule: an EPT violation saves RF set where the access was an instruction's own, so that the instruction does not meet its
//! breakpoint when it runs again (SDM vol. 3 ch. 30, "Saving RIP, CS, RIP, and RFLAGS").
//!
//! Known bugs that fail it: RFLAGS written back without RF at an exit, or cleared with the instruction that an emulator has
//! only begun, so that a debugger stands at its breakpoint for ever.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::act_hand_built;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "rerun",
    rule: "An instruction that a return with RF begins passes its breakpoint also when it runs a second time.",
    spec: "SDM vol. 3 ch. 30 saving RFLAGS; ch. 19 RF",
    cases: [breakpoint::CASE],
}

mod breakpoint {
    use super::*;
    act_hand_built! {
        name: "rerun.breakpoint", rip: ["push offset \"rerun.breakpoint.act\""], cs: "8", rflags: "0x10002", ss: "0x10",
        armed: ["movabs rdi, {quadword}", "lea rsp, [rsp + 8]", ".byte 0x48, 0xCF"],
        act: ["mov rbx, [rdi]", "ud2"],
        quadword = const FRAME_STACK + 0x10,
    }
    pub(super) const CASE: Case = Case {
        name: "breakpoint",
        rule: "IRETQ with RF onto an execution breakpoint, the instruction's access is refused: no #DB, now or later.",
        flags: CaseFlags::TOUCHES_FRAME.union(CaseFlags::TOUCHES_GDT),
        prepare: || {
            route(6, 1, IST_FRAME);
            set_dr0(ACT.act.value());
            set_dr7(DR7 | L0);
        },
        act: ACT,
        events: &[Event {
            rip: Rip::Plus(3),
            general: &[(General::Rdi, FRAME_STACK + 0x10), (General::Rbx, 0xA5A5_A5A5_A5A5_A5A5)],
            ..UD
        }],
        registers: Registers { dr7: DR7 | L0, ..RESTING },
        ..Case::NEW
    };
}
