//! When an interrupt or an NMI that waits may come: after a shadow, and after what happens in it.
//!
//! Rule: STI holds back interrupts until the next instruction has completed, and CLI there holds them back further. When
//! that instruction faults, its event comes with bit 16 of the SS slot, and the interrupt does not come in the handler,
//! where IF is clear. A return by ERETS with bit 16 establishes the blocking again, so that the interrupt comes one
//! instruction later than after IRETQ, which establishes none. MOV SS holds back NMIs too (SDM vol. 2, "STI", "ERETS"; vol. 3 ch. 8, "FRED stack
//! frame").
//!
//! Known bugs that fail it: a window that opens in a shadow, or that is not opened again after an event; blocking by STI
//! that is not migrated while an event is in flight, so that bit 16 or the instruction after ERETS is lost.
//!
//! The host injects: without one these cases are skipped.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "window",
    rule: "An interrupt that waits comes when IF is 1 and the shadow is over, an NMI when that of MOV SS is.",
    spec: "SDM vol. 2 STI, ERETS; vol. 3 ch. 8 FRED stack frame",
    cases: [interrupt_after_fault::CASE, sti_cli::CASE, returned_into::CASE, mov_ss_nmi::CASE],
}

/// External interrupt 31, on the stack of other events.
const INTERRUPT: Event = Event {
    vector: 31,
    rip: Rip::Last,
    rflags: RFLAGS | IF,
    ss: ss_slot(EXTERNAL_INTERRUPT, 31),
    csl: 2,
    fred_top: Top::Other(0),
    idt_top: Top::Other(0),
    ..Event::NEW
};

mod interrupt_after_fault {
    use super::*;
    act! {
        name: "window.interrupt-after-fault",
        set: ["movabs rdi, 0x8000001A58"],
        armed: ["sti"],
        act: ["mov rbx, [rdi]"],
        then: ["sti", "nop"],
    }
    pub(super) const CASE: Case = Case {
        name: "interrupt-after-fault",
        rule: "An interrupt waits while #PF comes in STI's shadow: #PF with bit 16, then the interrupt without it.",
        needs: Needs::INTERRUPT,
        flags: CaseFlags::INTERRUPT_AT_ARMED,
        prepare: || set_interrupt_level(2),
        act: ACT,
        events: &[
            Event {
                rflags: RFLAGS | RF | IF,
                ss: ss_slot(HARDWARE_EXCEPTION, 14) | SS_STI,
                event_data: UNMAPPED,
                ..PF
            },
            INTERRUPT,
        ],
        registers: Registers { cr2: UNMAPPED, ..RESTING },
        ..Case::NEW
    };
}

mod sti_cli {
    use super::*;
    act! {
        name: "window.sti-cli",
        set: [],
        armed: ["sti"],
        act: ["cli", "nop", "sti", "nop"],
    }
    pub(super) const CASE: Case = Case {
        name: "sti-cli",
        rule: "An interrupt that waits does not come between STI and CLI, but after the next STI and its shadow.",
        needs: Needs::INTERRUPT,
        flags: CaseFlags::INTERRUPT_AT_ARMED,
        prepare: || {
            route(31, 1, IST_FRAME);
            set_interrupt_level(1);
        },
        act: ACT,
        events: &[Event {
            rip: Rip::After,
            csl: 1,
            fred_top: Top::Frame(0),
            idt_top: Top::Frame(0),
            ..INTERRUPT
        }],
        ..Case::NEW
    };
}

mod returned_into {
    use super::*;
    act! { name: "window.returned-into", set: [], armed: ["sti"], act: ["ud2"], then: ["nop"], }
    /// #UD, whose handler returns to the next instruction with RF clear.
    const SKIPPED: Event = Event {
        rflags: RFLAGS | RF | IF,
        ss: ss_slot(HARDWARE_EXCEPTION, 6) | SS_STI,
        handler: Some(skip::<2>),
        returns: Return::Frame,
        ..UD
    };
    pub(super) const CASE: Case = Case {
        name: "returned-into",
        rule: "An interrupt waits, #UD comes in STI's shadow: ERETS with bit 16 blocks it again, IRETQ does not.",
        needs: Needs::INTERRUPT,
        flags: CaseFlags::INTERRUPT_AT_ARMED,
        prepare: || {
            route(6, 1, IST_FRAME);
            set_interrupt_level(2);
        },
        act: ACT,
        events: &[SKIPPED, INTERRUPT],
        idt: Some(&Idt { events: &[SKIPPED, Event { rip: Rip::After, ..INTERRUPT }], left: Left::NEW }),
        ..Case::NEW
    };
}

mod mov_ss_nmi {
    use super::*;
    act! {
        name: "window.mov-ss-nmi",
        set: ["movabs rdi, {quadword}", "mov ecx, 0x10"],
        armed: [],
        act: ["mov ss, ecx", "mov rbx, [rdi]"],
        // A quadword of the frame's page that no frame reaches.
        quadword = const FRAME_STACK + 0x10,
    }
    pub(super) const CASE: Case = Case {
        name: "mov-ss-nmi",
        rule: "An NMI injected while the access after MOV SS is refused: it comes after that access.",
        needs: Needs::NMI,
        flags: CaseFlags::TOUCHES_FRAME.union(CaseFlags::TOUCHES_GDT).union(CaseFlags::NMI_AT_CUT),
        prepare: || route(2, 1, IST_FRAME),
        act: ACT,
        events: &[Event {
            vector: 2,
            rip: Rip::After,
            rflags: RFLAGS,
            ss: ss_slot(NON_MASKABLE_INTERRUPT, 2) | SS_NMI,
            general: &[(General::Rbx, 0xA5A5_A5A5_A5A5_A5A5)],
            ..Event::NEW
        }],
        ..Case::NEW
    };
}
