//! Shutdown: an exception during the delivery of #DF.
//!
//! Rule: a fault while #DF is delivered shuts the processor down (SDM vol. 3 ch. 7, "Interrupt 8"); FRED changes
//! nothing about that. No handler is entered, and no instruction after the act is executed. Only a host can see it.
//!
//! Known bugs that fail it: a #DF delivered again and again, or the first exception alone, because a hypervisor forgets
//! that another was being delivered; a guest that goes on after the triple fault that it was to report ("KVM: x86:
//! Extend KVM_{G,S}ET_VCPU_EVENTS to support pending triple fault").
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::manual::*;

guest::image! {
    name: "shutdown",
    rule: "A fault while #DF is delivered shuts the processor down.",
    spec: "SDM vol. 3 ch. 7 interrupt 8",
    cases: [ud::CASE, pf::CASE, gp::CASE, step::CASE, ring3::CASE],
}

/// No event has a stack: the push of each frame faults.
fn unmap_stacks() {
    for level in 0..=3 {
        set_stack(level, UNMAPPED_TOP);
    }
    for vector in [1, 6, 8, 13, 14] {
        route(vector, 3, IST_UNMAPPED);
    }
}

mod ud {
    use super::*;
    act! { name: "shutdown.ud", set: [], armed: [], act: ["ud2"], }
    pub(super) const CASE: Case = Case {
        name: "ud",
        rule: "#UD, #PF at its frame, #DF at that one's, and a #PF at #DF's: shutdown.",
        needs: Needs::SHUTDOWN,
        flags: CaseFlags::SHUTDOWN.union(CaseFlags::CONFORMANCE),
        prepare: unmap_stacks,
        act: ACT,
        ..Case::NEW
    };
}

mod pf {
    use super::*;
    act! { name: "shutdown.pf", set: ["movabs rdi, 0x8000001A58"], armed: [], act: ["mov rbx, [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "pf",
        rule: "#PF, #DF at its frame, and a #PF at #DF's: shutdown.",
        needs: Needs::SHUTDOWN,
        flags: CaseFlags::SHUTDOWN.union(CaseFlags::CONFORMANCE),
        prepare: unmap_stacks,
        act: ACT,
        ..Case::NEW
    };
}

mod gp {
    use super::*;
    act! { name: "shutdown.gp", set: [], armed: [], act: ["movabs al, [0x8000000000000000]"], }
    pub(super) const CASE: Case = Case {
        name: "gp",
        rule: "#GP, whose chain of faults ends in one at #DF's frame: shutdown.",
        needs: Needs::SHUTDOWN,
        flags: CaseFlags::SHUTDOWN.union(CaseFlags::CONFORMANCE),
        prepare: unmap_stacks,
        act: ACT,
        ..Case::NEW
    };
}

mod step {
    use super::*;
    act! { name: "shutdown.step", set: [], armed: ["push 0x102", "popfq"], act: ["nop"], }
    pub(super) const CASE: Case = Case {
        name: "step",
        rule: "A single step whose chain of faults ends in one at #DF's frame: shutdown.",
        needs: Needs::SHUTDOWN,
        flags: CaseFlags::SHUTDOWN.union(CaseFlags::CONFORMANCE),
        prepare: unmap_stacks,
        act: ACT,
        registers: Registers { dr6: DR6 | BS, ..RESTING },
        ..Case::NEW
    };
}

mod ring3 {
    use super::*;
    act_ring3! { name: "shutdown.ring3", set: [], act: ["ud2"], }
    pub(super) const CASE: Case = Case {
        name: "ring3",
        rule: "#UD in ring 3, whose chain of faults ends in one at #DF's frame: shutdown.",
        needs: Needs::SHUTDOWN.union(Needs::USER),
        flags: CaseFlags::SHUTDOWN.union(CaseFlags::CONFORMANCE).union(CaseFlags::USER),
        prepare: unmap_stacks,
        act: ACT,
        ..Case::NEW
    };
}
