//! Interrupts and NMIs by vector, stack level and ring.
//!
//! Rule: an external interrupt enters on the stack level that bits 10:9 of IA32_FRED_CONFIG name, whatever STKLVLS says of
//! its vector; an NMI enters on that of STKLVLS; from ring 3 both enter on level 0 (SDM vol. 3 ch. 8, "Determining the
//! new stack level"). ERETU with bit 18 of the SS slot unblocks NMIs, as IRETQ does always (vol. 2, "ERETU").
//!
//! Known bugs that fail it: the stack level of an interrupt taken from STKLVLS; a vector above 31 that is cut to five
//! bits, or refused as no exception's; NMIs unblocked by ERETS and not by ERETU.
//!
//! The host injects: without one these cases are skipped.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::manual::*;

guest::image! {
    name: "irq",
    rule: "Interrupts enter on the stack level that CONFIG says, NMIs on that of STKLVLS.",
    spec: "SDM vol. 3 ch. 8 stack level; vol. 2 ERETU",
    cases: [
        vector_32::CASE, vector_225::CASE, vector_255::CASE, level3::CASE, level0::CASE, ring3::CASE,
        nmi_ring3::CASE, nmi_level3::CASE, vector_8_ring3::CASE,
    ],
}

/// External interrupt 31, on the frame page.
const INTERRUPT: Event =
    Event { vector: 31, rflags: RFLAGS | IF, ss: ss_slot(EXTERNAL_INTERRUPT, 31), ..Event::NEW };

/// An NMI, on the frame page.
const NMI: Event =
    Event { vector: 2, rflags: RFLAGS, ss: ss_slot(NON_MASKABLE_INTERRUPT, 2) | SS_NMI, ..Event::NEW };

/// A vector for which the image's IDT has no gate.
macro_rules! vector {
    ($module:ident, $name:literal, $act:literal, $vector:literal, $rule:literal) => {
        mod $module {
            use super::*;
            act! { name: $act, set: [], armed: ["push 0x202", "popfq"], act: ["nop"], }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: Needs::INTERRUPT.union(Needs::FRED),
                flags: CaseFlags::INTERRUPT_AT_ARMED,
                prepare: || set_interrupt_level(1),
                act: ACT,
                events: &[Event { vector: $vector, ss: ss_slot(EXTERNAL_INTERRUPT, $vector), ..INTERRUPT }],
                ..Case::NEW
            };
        }
    };
}

vector! { vector_32, "vector-32", "irq.vector-32", 32, "Interrupt 32, the first that no exception has." }
vector! { vector_225, "vector-225", "irq.vector-225", 0xE1, "Interrupt 0xE1: all eight bits of the vector." }
vector! { vector_255, "vector-255", "irq.vector-255", 255, "Interrupt 255: the highest vector." }

mod level3 {
    use super::*;
    act! { name: "irq.level3", set: [], armed: ["push 0x202", "popfq"], act: ["nop"], }
    pub(super) const CASE: Case = Case {
        name: "level3",
        rule: "CONFIG sends interrupts to level 3, STKLVLS vector 31 to level 2: level 3.",
        needs: Needs::INTERRUPT.union(Needs::FRED),
        flags: CaseFlags::INTERRUPT_AT_ARMED,
        prepare: || {
            set_interrupt_level(3);
            set_stack(3, FRAME_TOP);
        },
        act: ACT,
        events: &[Event { csl: 3, ..INTERRUPT }],
        ..Case::NEW
    };
}

mod level0 {
    use super::*;
    act! {
        name: "irq.level0",
        set: [],
        armed: ["movabs rsp, {rsp}", "sti"],
        act: ["nop"],
        rsp = const FRAME_STACK + 0xFD8,
    }
    pub(super) const CASE: Case = Case {
        name: "level0",
        rule: "CONFIG sends interrupts to level 0: the current stack, though STKLVLS has level 2.",
        needs: Needs::INTERRUPT.union(Needs::FRED),
        flags: CaseFlags::INTERRUPT_AT_ARMED,
        act: ACT,
        events: &[Event {
            rip: Rip::After,
            rsp: Stack::Frame(0x28),
            csl: 0,
            fred_top: Top::Frame(0x40),
            ..INTERRUPT
        }],
        ..Case::NEW
    };
}

mod ring3 {
    use super::*;
    act_ring3! {
        name: "irq.ring3", cs: "0x2B", ss: "0x23", rflags: "0x202", set: [], act: ["nop"],
    }
    pub(super) const CASE: Case = Case {
        name: "ring3",
        rule: "An interrupt that waits for ring 3's IF: before its first instruction, on level 0.",
        needs: Needs::INTERRUPT.union(Needs::USER),
        flags: CaseFlags::INTERRUPT_AT_ARMED.union(CaseFlags::USER),
        prepare: || {
            route(31, 1, IST_FRAME);
            set_interrupt_level(2);
        },
        act: ACT,
        events: &[Event {
            cs: USER_CS,
            rsp: Stack::User,
            ss: user_ss_slot(EXTERNAL_INTERRUPT, 31),
            csl: 0,
            entry: 0,
            ..INTERRUPT
        }],
        ..Case::NEW
    };
}

mod nmi_ring3 {
    use super::*;
    act_ring3! {
        name: "irq.nmi-ring3", cs: "0x2B", ss: "0x40023", rflags: "2", set: [], act: ["nop"],
    }
    pub(super) const CASE: Case = Case {
        name: "nmi-ring3",
        rule: "An NMI that is blocked until ERETU with bit 18, or IRETQ: before ring 3's first instruction, on level 0.",
        needs: Needs::NMI.union(Needs::USER),
        flags: CaseFlags::BLOCK_NMI.union(CaseFlags::NMI_AT_ARMED).union(CaseFlags::USER),
        prepare: || route(2, 3, IST_FRAME),
        act: ACT,
        events: &[Event {
            cs: USER_CS,
            rsp: Stack::User,
            ss: user_ss_slot(NON_MASKABLE_INTERRUPT, 2) | SS_NMI,
            csl: 0,
            entry: 0,
            ..NMI
        }],
        ..Case::NEW
    };
}

mod nmi_level3 {
    use super::*;
    act! { name: "irq.nmi-level3", set: [], armed: [], act: ["nop"], }
    pub(super) const CASE: Case = Case {
        name: "nmi-level3",
        rule: "STKLVLS sends NMIs to level 3, CONFIG interrupts to level 1: level 3.",
        needs: Needs::NMI.union(Needs::FRED),
        flags: CaseFlags::NMI_AT_ARMED,
        prepare: || {
            route(2, 3, IST_FRAME);
            set_interrupt_level(1);
            set_stack(3, FRAME_TOP);
        },
        act: ACT,
        events: &[Event { csl: 3, ..NMI }],
        ..Case::NEW
    };
}

mod vector_8_ring3 {
    use super::*;
    act_ring3! {
        name: "irq.vector-8-ring3", cs: "0x2B", ss: "0x23", rflags: "0x202", set: [], act: ["nop"],
    }
    pub(super) const CASE: Case = Case {
        name: "vector-8-ring3",
        rule: "Interrupt 8 in ring 3, with level 2 for interrupts and for #DF: it is no #DF, and so on level 0.",
        needs: Needs::INTERRUPT.union(Needs::USER).union(Needs::FRED),
        flags: CaseFlags::INTERRUPT_AT_ARMED.union(CaseFlags::USER),
        prepare: || {
            route(8, 2, IST_FRAME);
            set_interrupt_level(2);
        },
        act: ACT,
        events: &[Event {
            vector: 8,
            cs: USER_CS,
            rsp: Stack::User,
            ss: user_ss_slot(EXTERNAL_INTERRUPT, 8),
            csl: 0,
            entry: 0,
            ..INTERRUPT
        }],
        ..Case::NEW
    };
}
