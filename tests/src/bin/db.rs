//! #DB: the event data is what *this* debug exception is about; DR6 also remembers earlier ones.
//!
//! Rule: a debug exception's frame carries its own conditions in positive polarity, the format of
//! a #DB exit qualification (SDM vol. 3 ch. 8, "FRED event data"); DR6 gets B0-B3 rewritten and
//! BS and BD added, and keeps BT, BD and BS of earlier exceptions ("Debug Status Register (DR6)").
//! DR7.GD is cleared. No #DB changes RF in the saved RFLAGS.
//!
//! Known bugs that fail it: event data rebuilt from DR6, where sticky bits, the
//! inverted RTM and BLD and the enabled-breakpoint bit 12 leak in; a trap dropped when its
//! delivery is interrupted, though its instruction has completed and will not run again; DR6
//! written a second time on re-injection; a single step lost over an instruction that exits.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "db",
    rule: "A debug exception's event data holds its own conditions; DR6 keeps those of earlier ones too.",
    spec: "SDM vol. 3 ch. 8 FRED, event data; ch. 19 DR6, DR7",
    cases: [
        single_step::CASE,
        write_breakpoint::CASE,
        step_and_breakpoint::CASE,
        step_sticky_dr6::CASE,
        execution_breakpoint::CASE,
        general_detect::CASE,
        step_over_in::CASE,
        execution_breakpoint_after_mov_ss::CASE,
    ],
}

mod single_step {
    use super::*;
    act! {
        name: "db.single-step",
        set: [],
        // The step comes after the instruction that follows POPFQ.
        armed: ["push 0x102", "popfq"],
        act: ["nop"],
    }
    pub(super) const CASE: Case = Case {
        name: "single-step",
        rule: "TF: a trap after the next instruction; data BS, and DR6.BS.",
        act: ACT,
        events: &[SINGLE_STEP],
        registers: Registers { dr6: DR6 | BS, ..RESTING },
        cancel: Cancel::Payload { payload: BS, rflags: TF },
        ..Case::NEW
    };
}

mod write_breakpoint {
    use super::*;
    act! {
        name: "db.write-breakpoint",
        set: ["movabs rdi, 0x8000004108"],
        armed: [],
        act: ["mov [rdi], rbx"],
    }
    pub(super) const CASE: Case = Case {
        name: "write-breakpoint",
        rule: "A data breakpoint on a write: a trap; data B0 alone, without bit 12.",
        // L0, write, 8 bytes.
        prepare: || {
            set_dr0(0x0000_0080_0000_4108);
            set_dr7(DR7 | L0 | WRITE_8);
        },
        act: ACT,
        events: &[Event { rflags: RFLAGS, event_data: B0, ..SINGLE_STEP }],
        registers: Registers { dr6: DR6 | B0, dr7: DR7 | L0 | WRITE_8, ..RESTING },
        cancel: Cancel::Payload { payload: B0, rflags: 0 },
        ..Case::NEW
    };
}

mod step_and_breakpoint {
    use super::*;
    act! {
        name: "db.step-and-breakpoint",
        set: ["movabs rdi, 0x8000004108"],
        armed: ["push 0x102", "popfq"],
        act: ["mov [rdi], rbx"],
    }
    pub(super) const CASE: Case = Case {
        name: "step-and-breakpoint",
        rule: "TF and a data breakpoint on one instruction: one trap; data BS and B0.",
        prepare: || {
            set_dr0(0x0000_0080_0000_4108);
            set_dr7(DR7 | L0 | WRITE_8);
        },
        act: ACT,
        events: &[Event { event_data: B0 | BS, ..SINGLE_STEP }],
        registers: Registers { dr6: DR6 | B0 | BS, dr7: DR7 | L0 | WRITE_8, ..RESTING },
        cancel: Cancel::Payload { payload: B0 | BS, rflags: TF },
        ..Case::NEW
    };
}

mod step_sticky_dr6 {
    use super::*;
    act! { name: "db.step-sticky-dr6", set: [], armed: ["push 0x102", "popfq"], act: ["nop"], }
    pub(super) const CASE: Case = Case {
        name: "step-sticky-dr6",
        rule: "A single step with BT and BD left in DR6: DR6 has all three, data has BS alone.",
        prepare: || set_dr6(DR6 | BD | BT),
        act: ACT,
        events: &[SINGLE_STEP],
        registers: Registers { dr6: DR6 | BD | BS | BT, ..RESTING },
        cancel: Cancel::Payload { payload: BS, rflags: TF },
        ..Case::NEW
    };
}

mod execution_breakpoint {
    use super::*;
    act! { name: "db.execution-breakpoint", set: [], armed: [], act: ["nop"], }
    pub(super) const CASE: Case = Case {
        name: "execution-breakpoint",
        rule: "An execution breakpoint: a fault, RIP at the instruction, RF 0 as for every #DB; data B0.",
        // L0, execute, 1 byte.
        prepare: || {
            set_dr0(ACT.act.value());
            set_dr7(DR7 | L0);
        },
        act: ACT,
        events: &[Event { rip: Rip::Act, rflags: RFLAGS, event_data: B0, ..SINGLE_STEP }],
        registers: Registers { dr6: DR6 | B0, dr7: DR7 | L0, ..RESTING },
        cancel: Cancel::Payload { payload: B0, rflags: 0 },
        ..Case::NEW
    };
}

mod general_detect {
    use super::*;
    act! { name: "db.general-detect", set: [], armed: [], act: ["mov rbx, dr0"], }
    pub(super) const CASE: Case = Case {
        name: "general-detect",
        rule: "A debug-register access under DR7.GD: a fault; data BD, and DR7.GD is clear at entry.",
        prepare: || set_dr7(DR7 | GD),
        act: ACT,
        events: &[Event { rip: Rip::Act, rflags: RFLAGS, event_data: BD, ..SINGLE_STEP }],
        registers: Registers { dr6: DR6 | BD, dr7: DR7, ..RESTING },
        cancel: Cancel::Payload { payload: BD, rflags: 0 },
        ..Case::NEW
    };
}

mod step_over_in {
    use super::*;
    act! {
        name: "db.step-over-in",
        set: [],
        armed: ["mov edx, {port}", "push 0x102", "popfq"],
        act: ["in al, dx"],
        port = const INPUT,
    }
    pub(super) const CASE: Case = Case {
        name: "step-over-in",
        rule: "A single step over IN, which a host may have to complete: one trap after it.",
        flags: CaseFlags::IO,
        act: ACT,
        events: &[Event { general: &[(General::Rdx, 0x6D70)], input: true, ..SINGLE_STEP }],
        registers: Registers { dr6: DR6 | BS, ..RESTING },
        // The port comes after `Armed`.
        cancel: Cancel::No,
        ..Case::NEW
    };
}

mod execution_breakpoint_after_mov_ss {
    use super::*;
    act! {
        name: "db.execution-breakpoint-after-mov-ss",
        set: ["mov ebx, ss"],
        armed: ["mov ss, ebx"],
        act: ["nop"],
    }
    pub(super) const CASE: Case = Case {
        name: "exec-breakpoint-after-mov-ss",
        rule: "An execution breakpoint on the instruction after MOV SS: suppressed on Intel, DR6 untouched.",
        needs: Needs::INTEL,
        flags: CaseFlags::TOUCHES_GDT.union(CaseFlags::CONFORMANCE),
        prepare: || {
            set_dr0(ACT.act.value());
            set_dr7(DR7 | L0);
        },
        act: ACT,
        registers: Registers { dr7: DR7 | L0, ..RESTING },
        ..Case::NEW
    };
}
