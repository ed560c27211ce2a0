//! The shadow of MOV SS and POP SS: what comes in it, what waits, and what is left of it afterwards.
//!
//! Rule: MOV SS and POP SS hold back interrupts and debug traps until the next instruction has completed, and so a data
//! breakpoint on their own operand: it comes together with what the next instruction causes, as one #DB. They hold back
//! no fault and no software event. Bit 16 of the SS slot is about STI alone (SDM vol. 3 ch. 7, "Masking Exceptions and
//! Interrupts When Switching Stacks"; ch. 8, "FRED stack frame").
//!
//! Known bugs that fail it: a #DB held back by MOV SS lost, or delivered at once, or delivered twice when it meets the
//! next one ("KVM: VMX: Set vmcs.PENDING_DBG.BS on #DB in STI/MOVSS blocking shadow"); MOV SS blocking shown as blocking
//! by STI; a shadow that an emulated OUT does not end.
//!
//! Not here: a #DB held back before a software event, and several MOV SS in a row; see docs/open-questions.md.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "shadow",
    rule: "After MOV SS faults and software events come, traps wait for the next instruction.",
    spec: "SDM vol. 3 ch. 7 switching stacks; vol. 2 MOV, POP",
    cases: [
        pf::CASE, ud_stepped::CASE, int3::CASE, held::CASE, merged::CASE, merged_out::CASE, step_ring3::CASE,
        pop_ss::CASE, after_out::CASE,
    ],
}

/// Ring 0's SS, where a data breakpoint can watch MOV SS read it.
static SELECTOR: u64 = 0x10;

/// DR7 with L0, and R/W0 and LEN0 for an access of 2 bytes.
const WATCHED: u64 = DR7 | L0 | 0b0111 << 16;

mod pf {
    use super::*;
    act! {
        name: "shadow.pf",
        set: ["movabs rdi, 0x8000001A58", "mov ecx, 0x10"],
        armed: ["mov ss, ecx"],
        act: ["mov rbx, [rdi]"],
    }
    pub(super) const CASE: Case = Case {
        name: "pf",
        rule: "#PF after MOV SS: it comes, and bit 16 is clear, for MOV SS is not STI.",
        flags: CaseFlags::TOUCHES_GDT,
        act: ACT,
        events: &[Event { event_data: UNMAPPED, ..PF }],
        registers: Registers { cr2: UNMAPPED, ..RESTING },
        // The shadow comes after `Armed`.
        cancel: Cancel::No,
        ..Case::NEW
    };
}

mod ud_stepped {
    use super::*;
    act! {
        name: "shadow.ud-stepped",
        set: ["mov ecx, 0x10"],
        armed: ["push 0x102", "popfq", "mov ss, ecx"],
        act: ["ud2"],
    }
    pub(super) const CASE: Case = Case {
        name: "ud-stepped",
        rule: "MOV SS with TF set, then #UD: the fault alone, TF and RF saved, no bit of DR6 set.",
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[Event { rflags: RFLAGS | RF | TF, ..UD }],
        ..Case::NEW
    };
}

mod int3 {
    use super::*;
    act! { name: "shadow.int3", set: ["mov ecx, 0x10"], armed: ["mov ss, ecx"], act: ["int3"], }
    pub(super) const CASE: Case = Case {
        name: "int3",
        rule: "INT3 after MOV SS: it comes, once, and bit 16 is clear.",
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || route(3, 1, IST_FRAME),
        act: ACT,
        events: &[Event {
            vector: 3,
            rip: Rip::After,
            rflags: RFLAGS,
            ss: ss_slot(SOFTWARE_EXCEPTION, 3) | ss_length(1),
            ..Event::NEW
        }],
        ..Case::NEW
    };
}

/// MOV SS whose operand a data breakpoint watches, and what comes after the next instruction.
macro_rules! held_back {
    (
        $module:ident, $name:literal, $act:literal, armed: [$($armed:expr),*], act: [$instruction:literal],
        event: $event:expr, conditions: $conditions:expr, $rule:literal
    ) => {
        mod $module {
            use super::*;
            act! {
                name: $act,
                set: [],
                armed: [$($armed,)* "mov ss, [rip + {selector}]"],
                act: [$instruction],
                selector = sym SELECTOR,
            }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                flags: CaseFlags::TOUCHES_GDT,
                prepare: || {
                    set_dr0((&raw const SELECTOR).addr() as u64);
                    set_dr7(WATCHED);
                },
                act: ACT,
                events: &[Event { event_data: $conditions, ..$event }],
                registers: Registers { dr6: DR6 | $conditions, dr7: WATCHED, ..RESTING },
                ..Case::NEW
            };
        }
    };
}

held_back! {
    held, "held", "shadow.held", armed: [], act: ["nop"],
    event: Event { rflags: RFLAGS, ..SINGLE_STEP }, conditions: B0,
    "A data breakpoint on the operand of MOV SS: its #DB comes after the next instruction."
}

held_back! {
    merged, "merged", "shadow.merged", armed: ["push 0x102", "popfq"], act: ["nop"],
    event: SINGLE_STEP, conditions: B0 | BS,
    "The same with TF set: one #DB for the breakpoint and the next instruction's single step."
}

held_back! {
    merged_out, "merged-out", "shadow.merged-out",
    armed: ["mov edx, 0x6D74", "push 0x102", "popfq"], act: ["out dx, al"],
    event: Event { general: &[(General::Rdx, 0x6D74)], ..SINGLE_STEP }, conditions: B0 | BS,
    "The same where the next instruction is an OUT that a host has to serve: still one #DB, after it."
}

/// From ring 3, on level 0 and its stack.
const RING3_STEP: Event = Event {
    cs: USER_CS,
    rsp: Stack::User,
    ss: user_ss_slot(HARDWARE_EXCEPTION, 1),
    csl: 0,
    entry: 0,
    ..SINGLE_STEP
};

mod step_ring3 {
    use super::*;
    act_ring3! {
        name: "shadow.step-ring3",
        cs: "0x2B",
        ss: "0x23",
        rflags: "0x102",
        set: ["mov ecx, 0x23"],
        act: ["mov ss, ecx", "nop"],
    }
    pub(super) const CASE: Case = Case {
        name: "step-ring3",
        rule: "A single step over MOV SS in ring 3: no trap before the next instruction has completed.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        act: ACT,
        events: &[RING3_STEP],
        registers: Registers { dr6: DR6 | BS, ..RESTING },
        ..Case::NEW
    };
}

mod pop_ss {
    use super::*;
    act_ring3! {
        name: "shadow.pop-ss",
        cs: "0x1B",
        ss: "0x23",
        rflags: "2",
        set: [],
        // PUSH SS; PUSHFD with TF set; POPFD; POP SS; NOP.
        act: [".code32", ".byte 0x16", "pushfd", "or dword ptr [esp], 0x100", "popfd", ".byte 0x17", "nop"],
    }
    pub(super) const CASE: Case = Case {
        name: "pop-ss",
        rule: "A single step over POP SS in compatibility mode: no trap before the next instruction has completed.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        act: ACT,
        // OR leaves PF clear in the flags that POPFD restores; bit 57 is clear.
        events: &[Event { cs: 0x1B, ss: 0x0003_0001_0000_0023, ..RING3_STEP }],
        registers: Registers { dr6: DR6 | BS, ..RESTING },
        ..Case::NEW
    };
}

mod after_out {
    use super::*;
    act! {
        name: "shadow.after-out",
        set: ["mov ecx, 0x10"],
        armed: ["mov edx, {port}", "mov ss, ecx", "out dx, al"],
        act: ["nop"],
        port = const OUTPUT,
    }
    pub(super) const CASE: Case = Case {
        name: "after-out",
        rule: "MOV SS, an OUT, and an execution breakpoint on the instruction after it: what has executed the OUT has ended the shadow.",
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || {
            set_dr0(ACT.act.value());
            set_dr7(DR7 | L0);
        },
        act: ACT,
        events: &[Event {
            rip: Rip::Act,
            rflags: RFLAGS,
            event_data: B0,
            general: &[(General::Rdx, OUTPUT as u64)],
            ..SINGLE_STEP
        }],
        registers: Registers { dr6: DR6 | B0, dr7: DR7 | L0, ..RESTING },
        // OUT comes after `Armed`.
        cancel: Cancel::No,
        ..Case::NEW
    };
}
