//! Execution breakpoints, general detect and branches: what comes first, and what DR6, DR7 and BTF keep.
//!
//! Rule: an execution breakpoint is a fault before its instruction, whatever that would raise: #UD, a general detect,
//! an event of its own (SDM vol. 3, "Priority among concurrent events"). All that are met show, locally or globally
//! enabled. DR7.GD makes a write to a debug register a fault as well as a read, and each #DB clears it. DR6 keeps BT,
//! BD and BS. With IA32_DEBUGCTL.BTF set a branch that is not taken does not trap; #DB clears BTF, no other event does
//! ("Single-stepping on branches").
//!
//! Known bugs that fail it: only DR0 looked at, or L0 to L3 and not G0 to G3; #UD before the breakpoint in an emulator
//! that decodes first; GD checked for reads alone; BTF ignored, as KVM does on Intel (vmx_set_msr drops
//! DEBUGCTLMSR_BTF), or cleared by every event.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "breakpoint",
    rule: "An execution breakpoint comes before all that its instruction raises; DR6 and BTF keep what they must.",
    spec: "SDM vol. 3 ch. 19; ch. 7 priority among concurrent events",
    cases: [
        two::CASE,
        global::CASE,
        ring3::CASE,
        before_undefined::CASE,
        before_general_detect::CASE,
        before_int3::CASE,
        detect_write::CASE,
        detect_sticky::CASE,
        sticky::CASE,
        branch_not_taken::CASE,
        branch_kept::CASE,
    ],
}

/// The #DB of breakpoint 0 at the act.
const BREAK: Event = Event { rip: Rip::Act, rflags: RFLAGS, event_data: B0, ..SINGLE_STEP };

/// Then the handler sets RF and returns to the instruction.
const BREAK_PASSED: Event =
    Event { handler: Some(|frame| frame.rflags |= RF), returns: Return::Frame, ..BREAK };

const STEPPED: Registers = Registers { dr6: DR6 | BS, ..RESTING };

/// Breakpoint 0 on an instruction.
fn break_on(instruction: Address, dr7: u64) {
    set_dr0(instruction.value());
    set_dr7(dr7);
}

mod two {
    use super::*;
    act! { name: "breakpoint.two", set: [], armed: [], act: ["nop"], }
    pub(super) const CASE: Case = Case {
        name: "two",
        rule: "Two execution breakpoints on one instruction, DR1 and DR2: one #DB with B1 and B2.",
        // L1 and L2.
        prepare: || {
            set_dr1(ACT.act.value());
            set_dr2(ACT.act.value());
            set_dr7(DR7 | 0x14);
        },
        act: ACT,
        events: &[Event { event_data: 0x6, ..BREAK }],
        registers: Registers { dr6: DR6 | 0x6, dr7: DR7 | 0x14, ..RESTING },
        cancel: Cancel::Payload { payload: 0x6, rflags: 0 },
        ..Case::NEW
    };
}

mod global {
    use super::*;
    act! { name: "breakpoint.global", set: [], armed: [], act: ["nop"], }
    pub(super) const CASE: Case = Case {
        name: "global",
        rule: "G0 instead of L0 enables an execution breakpoint too.",
        prepare: || break_on(ACT.act, DR7 | 0x2),
        act: ACT,
        events: &[BREAK],
        registers: Registers { dr6: DR6 | B0, dr7: DR7 | 0x2, ..RESTING },
        cancel: Cancel::Payload { payload: B0, rflags: 0 },
        ..Case::NEW
    };
}

mod ring3 {
    use super::*;
    act_ring3! { name: "breakpoint.ring3", set: [], act: ["nop"], }
    pub(super) const CASE: Case = Case {
        name: "ring3",
        rule: "An execution breakpoint in ring 3: a fault from there, RF 0.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || break_on(ACT.act, DR7 | L0),
        act: ACT,
        events: &[Event {
            cs: USER_CS,
            rsp: Stack::User,
            ss: user_ss_slot(HARDWARE_EXCEPTION, 1),
            csl: 0,
            entry: 0,
            ..BREAK
        }],
        registers: Registers { dr6: DR6 | B0, dr7: DR7 | L0, ..RESTING },
        ..Case::NEW
    };
}

mod before_undefined {
    use super::*;
    act! { name: "breakpoint.before-undefined", set: [], armed: [], act: ["ud2"], }
    pub(super) const CASE: Case = Case {
        name: "before-undefined",
        rule: "An execution breakpoint on UD2: #DB first; after a return with RF the #UD, DR6 as before.",
        prepare: || {
            route(6, 1, IST_FRAME);
            break_on(ACT.act, DR7 | L0);
        },
        act: ACT,
        events: &[BREAK_PASSED, UD],
        registers: Registers { dr6: DR6 | B0, dr7: DR7 | L0, ..RESTING },
        cancel: Cancel::Payload { payload: B0, rflags: 0 },
        ..Case::NEW
    };
}

mod before_general_detect {
    use super::*;
    act! { name: "breakpoint.before-general-detect", set: [], armed: [], act: ["mov rbx, dr3"], }
    pub(super) const CASE: Case = Case {
        name: "before-general-detect",
        rule: "An execution breakpoint on a read of DR3 under GD: B0 alone; GD is clear then, and DR3 is read.",
        prepare: || {
            set_dr3(0x1234_5678);
            break_on(ACT.act, DR7 | L0 | GD);
        },
        act: ACT,
        events: &[BREAK_PASSED],
        registers: Registers { dr6: DR6 | B0, dr7: DR7 | L0, ..RESTING },
        left: &Left { general: &[(General::Rbx, 0x1234_5678)], ..Left::NEW },
        cancel: Cancel::Payload { payload: B0, rflags: 0 },
        ..Case::NEW
    };
}

mod before_int3 {
    use super::*;
    act! { name: "breakpoint.before-int3", set: [], armed: [], act: [".byte 0xCC"], }
    pub(super) const CASE: Case = Case {
        name: "before-int3",
        rule: "An execution breakpoint on INT3: #DB first; after a return with RF INT3's event.",
        prepare: || {
            route(3, 1, IST_FRAME);
            break_on(ACT.act, DR7 | L0);
        },
        act: ACT,
        events: &[
            BREAK_PASSED,
            Event {
                vector: 3,
                rip: Rip::After,
                // RF was 1 when INT3 began.
                rflags: RFLAGS | RF,
                rflags_open: RF,
                ss: ss_slot(SOFTWARE_EXCEPTION, 3) | ss_length(1),
                ..Event::NEW
            },
        ],
        registers: Registers { dr6: DR6 | B0, dr7: DR7 | L0, ..RESTING },
        ..Case::NEW
    };
}

mod detect_write {
    use super::*;
    act! { name: "breakpoint.detect-write", set: ["mov ebx, 0x401"], armed: [], act: ["mov dr7, rbx"], }
    pub(super) const CASE: Case = Case {
        name: "detect-write",
        rule: "A write to DR7 under GD: a fault with BD; GD is clear at entry, and nothing else was written.",
        prepare: || set_dr7(DR7 | GD),
        act: ACT,
        events: &[Event { event_data: BD, ..BREAK }],
        registers: Registers { dr6: DR6 | BD, dr7: DR7, ..RESTING },
        cancel: Cancel::Payload { payload: BD, rflags: 0 },
        ..Case::NEW
    };
}

mod detect_sticky {
    use super::*;
    act! { name: "breakpoint.detect-sticky", set: [], armed: [], act: ["mov rbx, dr0"], }
    pub(super) const CASE: Case = Case {
        name: "detect-sticky",
        rule: "A general detect with BT and BS left in DR6: DR6 has all three, data has BD alone.",
        prepare: || {
            set_dr6(DR6 | BS | BT);
            set_dr7(DR7 | GD);
        },
        act: ACT,
        events: &[Event { event_data: BD, ..BREAK }],
        registers: Registers { dr6: DR6 | BD | BS | BT, dr7: DR7, ..RESTING },
        cancel: Cancel::Payload { payload: BD, rflags: 0 },
        ..Case::NEW
    };
}

mod sticky {
    use super::*;
    act! { name: "breakpoint.sticky", set: [], armed: [], act: ["nop"], }
    pub(super) const CASE: Case = Case {
        name: "sticky",
        rule: "An execution breakpoint with BD, BS and BT left in DR6: DR6 has all four, data has B0 alone.",
        prepare: || {
            set_dr6(DR6 | BD | BS | BT);
            break_on(ACT.act, DR7 | L0);
        },
        act: ACT,
        events: &[BREAK],
        registers: Registers { dr6: DR6 | BD | BS | BT | B0, dr7: DR7 | L0, ..RESTING },
        cancel: Cancel::Payload { payload: B0, rflags: 0 },
        ..Case::NEW
    };
}

mod branch_not_taken {
    use super::*;
    act! {
        name: "breakpoint.branch-not-taken",
        set: [],
        armed: ["push 0x102", "popfq"],
        act: ["jc 2f", "nop", "2:", "call 3f", "3:"],
    }
    pub(super) const CASE: Case = Case {
        name: "branch-not-taken",
        rule: "BTF: no trap after a branch that is not taken, one after the next CALL; BTF is clear then.",
        prepare: || set_debugctl(BTF),
        act: ACT,
        events: &[Event { rsp: Stack::ActBelow(8), ..SINGLE_STEP }],
        registers: STEPPED,
        ..Case::NEW
    };
}

mod branch_kept {
    use super::*;
    act! { name: "breakpoint.branch-kept", set: [], armed: ["push 0x102", "popfq"], act: ["ud2"], }
    pub(super) const CASE: Case = Case {
        name: "branch-kept",
        rule: "#UD with BTF and TF set: no #DB, and BTF stays set.",
        prepare: || {
            route(6, 1, IST_FRAME);
            set_debugctl(BTF);
        },
        act: ACT,
        events: &[Event { rflags: RFLAGS | RF | TF, ..UD }],
        registers: Registers { debugctl: BTF, ..RESTING },
        ..Case::NEW
    };
}
