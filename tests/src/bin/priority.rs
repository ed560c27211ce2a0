//! What comes first where two things are wrong, or two events wait, at one instruction.
//!
//! Rule: a debug trap of the instruction before comes ahead of an NMI that its completion unblocks. INT n in ring 3 looks at the
//! DPL of its gate before it looks whether the gate is present. An access whose last byte alone is not canonical is #GP(0), and no
//! page of it is looked at. INT 2 is no NMI and blocks none. RF, which a return has set, is spent by the next instruction (SDM
//! vol. 3 ch. 7, "Priority Among Concurrent Events"; ch. 19; vol. 2, "INT n", operation; vol. 1 ch. 3, "Canonical Addressing").
//!
//! Known bugs that fail it: NMI blocking that goes by the vector; a window for NMIs that opens ahead of the trap of IRET; checks of
//! a gate in another order (KVM's emulation of INT n has none of them in ring 3).
#![no_std]
#![no_main]

use guest::layout::IDT;
use guest::prelude::*;
use tests::act_hand_built;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "priority",
    rule: "Of two things that are wrong at an instruction, and of two events that wait, the first by the manual comes.",
    spec: "SDM vol. 3 ch. 7 priority; vol. 2 INT n; vol. 1 ch. 3 canonical",
    cases: [step_then_nmi::CASE, int_2_then_nmi::CASE, rf_spent::CASE, gate_ring3::CASE, straddling::CASE],
}

/// An NMI on stack level 2.
const NMI: Event = Event {
    vector: 2,
    rflags: RFLAGS,
    ss: ss_slot(NON_MASKABLE_INTERRUPT, 2) | SS_NMI,
    csl: 2,
    fred_top: Top::Other(0),
    idt_top: Top::Other(0),
    ..Event::NEW
};

mod step_then_nmi {
    use super::*;
    act_hand_built! {
        name: "priority.step-then-nmi", rip: ["push offset \"priority.step-then-nmi.act\""], cs: "8", rflags: "2", ss: "0x10",
        armed: ["lea rsp, [rsp + 8]", "push 0x102", "popfq", ".byte 0x48, 0xCF"], act: ["nop"],
    }
    pub(super) const CASE: Case = Case {
        name: "step-then-nmi",
        rule: "IRETQ with TF unblocks an NMI that waits: #DB first, and the NMI at its handler's first instruction.",
        needs: Needs::NMI,
        flags: CaseFlags::BLOCK_NMI.union(CaseFlags::NMI_AT_ARMED).union(CaseFlags::TOUCHES_GDT),
        prepare: || route(2, 2, IST_OTHER),
        act: ACT,
        events: &[
            Event { rip: Rip::Act, rflags: RFLAGS, ..SINGLE_STEP },
            Event {
                rip: Rip::Entry(1),
                cs: cs_slot(1),
                rsp: Stack::Handler(40),
                returns: Return::Frame,
                ..NMI
            },
        ],
        registers: Registers { dr6: DR6 | BS, ..RESTING },
        ..Case::NEW
    };
}

mod int_2_then_nmi {
    use super::*;
    act! {
        name: "priority.int-2-then-nmi", set: [], armed: ["movabs rsp, {rsp}"], act: [".byte 0xCD, 2", "hlt"],
        rsp = const FRAME_STACK + 0xFD8,
    }
    pub(super) const CASE: Case = Case {
        name: "int-2-then-nmi",
        rule: "INT 2, then an NMI in HLT: the NMI comes, for INT 2 has blocked none, and ERETS without bit 18 unblocks none.",
        needs: Needs::NMI.union(Needs::FRED),
        flags: CaseFlags::NMI_AT_HALT,
        prepare: || route(2, 2, IST_OTHER),
        act: ACT,
        events: &[
            Event {
                rip: Rip::Plus(2),
                ss: ss_slot(SOFTWARE_INTERRUPT, 2) | SS_SOFTWARE | ss_length(2),
                rsp: Stack::Frame(0x28),
                csl: 0,
                fred_top: Top::Frame(0x40),
                returns: Return::Frame,
                ..NMI
            },
            Event { rip: Rip::After, rsp: Stack::Frame(0x28), ..NMI },
        ],
        ..Case::NEW
    };
}

mod rf_spent {
    use super::*;
    act! { name: "priority.rf-spent", set: [], armed: [], act: ["ud2", "nop", ".byte 0xCC"], }
    pub(super) const CASE: Case = Case {
        name: "rf-spent",
        rule: "A return with RF to a NOP, and INT3 after it: RF is 0 by then.",
        prepare: || {
            route(3, 1, IST_FRAME);
            route(6, 1, IST_FRAME);
        },
        act: ACT,
        events: &[
            Event { handler: Some(|frame| frame.rip += 2), returns: Return::Frame, ..UD },
            Event {
                vector: 3,
                rip: Rip::After,
                rflags: RFLAGS,
                ss: ss_slot(SOFTWARE_EXCEPTION, 3) | ss_length(1),
                ..Event::NEW
            },
        ],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod gate_ring3 {
    use super::*;
    act_ring3! { name: "priority.gate-ring3", set: [], act: [".byte 0xCD, 0x1F"], }
    pub(super) const CASE: Case = Case {
        name: "gate-ring3",
        rule: "INT 31 in ring 3 by a gate of DPL 0 that is not present: #GP(0xFA), not #NP.",
        needs: Needs::USER.union(Needs::IDT),
        flags: CaseFlags::USER,
        prepare: || {
            route(13, 1, IST_FRAME);
            route(31, 1, IST_FRAME);
            let gate = (IDT.start().value() + 16 * 31) as *mut u64;
            // P and DPL clear. SAFETY: only the processor reads the page, and `route` has the gate restored after the case.
            unsafe { gate.write_volatile(gate.read_volatile() & !(0xE0 << 40)) }
        },
        act: ACT,
        events: &[Event {
            error_code: 0xFA,
            cs: USER_CS,
            rsp: Stack::User,
            // Met in the delivery of INT 31.
            ss: user_ss_slot(HARDWARE_EXCEPTION, 13) | SS_NESTED,
            csl: 0,
            entry: 0,
            ..GP
        }],
        ..Case::NEW
    };
}

mod straddling {
    use super::*;
    act! { name: "priority.straddling", set: ["movabs rdi, 0x00007FFFFFFFFFFC"], armed: [], act: ["mov rbx, [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "straddling",
        rule: "A read whose first bytes are the last canonical ones, on a page that is not mapped: #GP(0), no #PF, CR2 stays.",
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[GP],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}
