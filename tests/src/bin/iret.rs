//! IRETQ, RETF, SYSRET, SYSEXIT and SWAPGS: what FRED takes from them, and what it leaves.
//!
//! Rule: with FRED enabled no instruction but ERETU leads to ring 3: an IRET or a far RET that would is #GP with the
//! selector of CS, SYSRET, SYSEXIT and SWAPGS are #UD (SDM vol. 2, their operation sections; vol. 3
//! ch. 8). IRET and RET within a ring work as ever, and do not change the stack level.
//! IRET loads RF and TF, is #GP(0) with NT set and for a RIP that is not canonical.
//!
//! Known bugs that fail it: an emulator that does not know CR4.FRED, so that SWAPGS and IRET do what they did; an
//! emulated IRET that drops RF or the single step after it.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::act_hand_built;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "iret",
    rule: "With FRED no IRET, RET, SYSRET or SYSEXIT changes the ring, and SWAPGS is gone.",
    spec: "SDM vol. 3 ch. 8 FRED; vol. 2 IRET, RET, SYSRET, SWAPGS",
    cases: [
        swapgs::CASE,
        sysret::CASE,
        sysexit::CASE,
        iretq_outwards::CASE,
        retfq_outwards::CASE,
        iretq_rf::CASE,
        iretq_step::CASE,
        iretq_level::CASE,
        iretq_nested_task::CASE,
        iretq_rip::CASE,
        pushf::CASE,
    ],
}

mod swapgs {
    use super::*;
    act! { name: "iret.swapgs", set: [], armed: [], act: ["swapgs"], }
    pub(super) const CASE: Case = Case {
        name: "swapgs",
        rule: "SWAPGS is #UD with FRED, both bases as they were; without it exchanges them.",
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[UD],
        idt: Some(&Idt {
            events: &[],
            left: Left {
                registers: Some(&Registers {
                    gs_base: 0xFFFF_FFFF_8888_9000,
                    kernel_gs_base: 0x0000_1111_2222_3000,
                    ..RESTING
                }),
                ..Left::NEW
            },
        }),
        ..Case::NEW
    };
}

mod sysret {
    use super::*;
    act! { name: "iret.sysret", set: [], armed: [], act: ["sysretq"], }
    pub(super) const CASE: Case = Case {
        name: "sysret",
        rule: "SYSRET is #UD with FRED.",
        // Without FRED it goes to ring 3.
        needs: Needs::FRED,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[UD],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod sysexit {
    use super::*;
    act! { name: "iret.sysexit", set: [], armed: [], act: [".byte 0x48, 0x0F, 0x35"], }
    pub(super) const CASE: Case = Case {
        name: "sysexit",
        rule: "SYSEXIT is #UD with FRED.",
        needs: Needs::FRED,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[UD],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod iretq_outwards {
    use super::*;
    act_hand_built! {
        name: "iret.iretq-outwards", rip: ["push 0x1000"], cs: "0x2B", rflags: "2", ss: "0x23",
        // IRETQ's frame begins above the error code.
        armed: ["lea rsp, [rsp + 8]"], act: [".byte 0x48, 0xCF"],
    }
    pub(super) const CASE: Case = Case {
        name: "iretq-outwards",
        rule: "IRETQ to ring 3 with FRED: #GP with the selector of CS, RSP as it was.",
        needs: Needs::FRED,
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[Event { error_code: 0x28, rsp: Stack::ActBelow(0x28), ..GP }],
        ..Case::NEW
    };
}

mod retfq_outwards {
    use super::*;
    act! {
        name: "iret.retfq-outwards",
        set: ["push 0x23", "push 0x2000", "push 0x2B", "push 0x1000"],
        armed: [],
        act: [".byte 0x48, 0xCB"],
    }
    pub(super) const CASE: Case = Case {
        name: "retfq-outwards",
        rule: "A far RET to ring 3 with FRED: #GP with the selector of CS, RSP as it was.",
        needs: Needs::FRED,
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[Event { error_code: 0x28, rsp: Stack::ActBelow(0x20), ..GP }],
        ..Case::NEW
    };
}

mod iretq_rf {
    use super::*;
    act_hand_built! {
        name: "iret.iretq-rf", rip: ["push offset \"iret.iretq-rf.act\""], cs: "8", rflags: "0x10002", ss: "0x10",
        armed: ["lea rsp, [rsp + 8]", ".byte 0x48, 0xCF"], act: ["ud2"],
    }
    pub(super) const CASE: Case = Case {
        name: "iretq-rf",
        rule: "IRETQ with RF onto an execution breakpoint: no #DB, the instruction runs; it is a #UD.",
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || {
            route(6, 1, IST_FRAME);
            set_dr0(ACT.act.value());
            set_dr7(DR7 | L0);
        },
        act: ACT,
        events: &[UD],
        registers: Registers { dr7: DR7 | L0, ..RESTING },
        ..Case::NEW
    };
}

mod iretq_step {
    use super::*;
    act_hand_built! {
        name: "iret.iretq-step", rip: ["push offset \"iret.iretq-step.act\""], cs: "8", rflags: "0x102", ss: "0x10",
        armed: ["lea rsp, [rsp + 8]", ".byte 0x48, 0xCF"], act: ["nop"],
    }
    pub(super) const CASE: Case = Case {
        name: "iretq-step",
        rule: "IRETQ with TF: one instruction runs, then a single step.",
        flags: CaseFlags::TOUCHES_GDT,
        act: ACT,
        events: &[SINGLE_STEP],
        registers: Registers { dr6: DR6 | BS, ..RESTING },
        ..Case::NEW
    };
}

mod iretq_level {
    use super::*;
    act_hand_built! {
        name: "iret.iretq-level", rip: ["push offset \"iret.iretq-level.act\""], cs: "8", rflags: "2", ss: "0x10",
        armed: ["lea rsp, [rsp + 8]", ".byte 0x48, 0xCF"], act: ["ud2"],
    }
    pub(super) const CASE: Case = Case {
        name: "iretq-level",
        rule: "IRETQ on stack level 1 stays there: the #UD after it has SL 1.",
        needs: Needs::FRED,
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || {
            set_config(0x001);
            set_stack(2, FRAME_TOP);
        },
        act: ACT,
        events: &[Event { cs: cs_slot(1), csl: 2, ..UD }],
        ..Case::NEW
    };
}

mod iretq_nested_task {
    use super::*;
    act! { name: "iret.iretq-nested-task", set: [], armed: ["push 0x4002", "popfq"], act: [".byte 0x48, 0xCF"], }
    pub(super) const CASE: Case = Case {
        name: "iretq-nested-task",
        rule: "IRETQ with NT set: #GP(0), whatever its frame is.",
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[Event { rflags: RFLAGS | RF | 0x4000, ..GP }],
        ..Case::NEW
    };
}

mod iretq_rip {
    use super::*;
    act_hand_built! {
        name: "iret.iretq-rip", rip: ["movabs rcx, 0x0000800000000000", "push rcx"], cs: "8", rflags: "0x202",
        ss: "0x10", armed: ["lea rsp, [rsp + 8]"], act: [".byte 0x48, 0xCF"],
    }
    pub(super) const CASE: Case = Case {
        name: "iretq-rip",
        rule: "IRETQ to a RIP that is not canonical: #GP(0) at IRETQ, RSP and IF as they were.",
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[Event { rsp: Stack::ActBelow(0x28), ..GP }],
        ..Case::NEW
    };
}

mod pushf {
    use super::*;
    act! { name: "iret.pushf", set: [], armed: [], act: ["ud2", "pushfq", "pop rbx"], }
    pub(super) const CASE: Case = Case {
        name: "pushf",
        rule: "A return with RF to PUSHF, by ERETS and by IRETQ: what it pushes has RF clear.",
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[Event { handler: Some(|frame| frame.rip += 2), returns: Return::Frame, ..UD }],
        left: &Left { general: &[(General::Rbx, 0x2)], ..Left::NEW },
        ..Case::NEW
    };
}
