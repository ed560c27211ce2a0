//! What a handler is entered without: the shadow that its event came in.
//!
//! Rule: the delivery of an event ends blocking by STI and by MOV SS, so that an NMI which waits meanwhile comes at the
//! handler's first instruction, and bit 16 of its SS slot is clear (SDM vol. 3 ch. 7, "Masking Exceptions and Interrupts When
//! Switching Stacks"; ch. 8, "FRED stack frame").
//!
//! Known bugs that fail it: interruptibility that a requeued event keeps (vmx_set_interrupt_shadow, svm_set_interrupt_shadow),
//! so that the NMI comes an instruction late, or with bit 16.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "entered",
    rule: "A handler is entered without the shadow that its event came in.",
    spec: "SDM vol. 3 ch. 7 switching stacks; ch. 8 FRED stack frame",
    cases: [sti_nmi::CASE, mov_ss_nmi::CASE, mov_ss_int_n::CASE],
}

/// An NMI at the first instruction of #PF's handler, which is on stack level 1; on the stack of other events.
const NMI_IN_HANDLER: Event = Event {
    vector: 2,
    rip: Rip::Entry(14),
    cs: cs_slot(1),
    rflags: RFLAGS,
    rsp: Stack::Handler(48),
    ss: ss_slot(NON_MASKABLE_INTERRUPT, 2) | SS_NMI,
    csl: 2,
    fred_top: Top::Other(0),
    idt_top: Top::Other(0),
    returns: Return::Frame,
    ..Event::NEW
};

/// A read of an unmapped page.
const PAGE_FAULT: Event = Event { event_data: UNMAPPED, ..PF };

mod sti_nmi {
    use super::*;
    act! {
        name: "entered.sti-nmi",
        set: ["movabs rdi, 0x8000001A58"],
        armed: ["sti"],
        act: ["mov rbx, [rdi]"],
    }
    pub(super) const CASE: Case = Case {
        name: "sti-nmi",
        rule: "#PF in STI's shadow, an NMI while it is stopped: it comes in #PF's handler, without bit 16.",
        needs: Needs::NMI,
        flags: CaseFlags::NMI_AT_CUT,
        prepare: || route(2, 2, IST_OTHER),
        act: ACT,
        events: &[
            Event { rflags: RFLAGS | RF | IF, ss: ss_slot(HARDWARE_EXCEPTION, 14) | SS_STI, ..PAGE_FAULT },
            NMI_IN_HANDLER,
        ],
        registers: Registers { cr2: UNMAPPED, ..RESTING },
        ..Case::NEW
    };
}

mod mov_ss_nmi {
    use super::*;
    act! {
        name: "entered.mov-ss-nmi",
        set: ["movabs rdi, 0x8000001A58", "mov ecx, 0x10"],
        armed: ["mov ss, ecx"],
        act: ["mov rbx, [rdi]"],
    }
    pub(super) const CASE: Case = Case {
        name: "mov-ss-nmi",
        rule: "#PF after MOV SS, an NMI while it is stopped: the NMI at its handler's first instruction.",
        needs: Needs::NMI,
        flags: CaseFlags::NMI_AT_CUT.union(CaseFlags::TOUCHES_GDT),
        prepare: || route(2, 2, IST_OTHER),
        act: ACT,
        events: &[PAGE_FAULT, NMI_IN_HANDLER],
        registers: Registers { cr2: UNMAPPED, ..RESTING },
        ..Case::NEW
    };
}

mod mov_ss_int_n {
    use super::*;
    act! {
        name: "entered.mov-ss-int-n",
        set: ["mov ecx, 0x10"],
        armed: ["movabs rsp, {rsp}", "mov ss, ecx"],
        act: [".byte 0xCD, 0x1F"],
        rsp = const FRAME_STACK + 0xFD8,
    }
    const INT_N: Event = Event {
        vector: 31,
        rip: Rip::After,
        rflags: RFLAGS,
        rsp: Stack::Frame(0x28),
        ss: ss_slot(SOFTWARE_INTERRUPT, 31) | SS_SOFTWARE | ss_length(2),
        csl: 0,
        fred_top: Top::Frame(0x40),
        ..Event::NEW
    };
    pub(super) const CASE: Case = Case {
        name: "mov-ss-int-n",
        rule: "INT 31 after MOV SS, an NMI while it is stopped: the NMI at its handler's first instruction.",
        needs: Needs::NMI.union(Needs::FRED),
        flags: CaseFlags::NMI_AT_CUT,
        prepare: || route(2, 2, IST_OTHER),
        act: ACT,
        events: &[
            INT_N,
            Event { rip: Rip::Entry(31), cs: cs_slot(0), rsp: Stack::Frame(0x80), ..NMI_IN_HANDLER },
        ],
        ..Case::NEW
    };
}
