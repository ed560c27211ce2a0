//! HLT: what ends it, and where the handler finds itself.
//!
//! Rule: an NMI ends HLT, and so does an interrupt if IF is 1; the saved RIP is that of the instruction after HLT, and
//! nothing is blocked any more by an STI before it (SDM vol. 2, "HLT", "STI"; vol. 3 ch. 8, "FRED stack frame").
//!
//! Known bugs that fail it: HLT executed again after a migration, so that the guest sleeps for ever; RIP at HLT; blocking
//! by STI left in the state of a processor that a hypervisor has put to sleep (kvm_emulate_halt), and so in the
//! frame; an interrupt that ends HLT on the stack level of STKLVLS.
//!
//! The host injects when the guest waits: without one these cases are skipped.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::manual::*;

guest::image! {
    name: "halt",
    rule: "NMIs and interrupts end HLT: RIP after it, no blocking by STI.",
    spec: "SDM vol. 2 HLT, STI; vol. 3 ch. 8 FRED stack frame",
    cases: [sti_hlt::CASE, nmi_sti_hlt::CASE, open::CASE, level0::CASE, level3::CASE],
}

/// External interrupt 31 after HLT, on the frame page.
const INTERRUPT: Event = Event {
    vector: 31,
    rip: Rip::After,
    rflags: RFLAGS | IF,
    ss: ss_slot(EXTERNAL_INTERRUPT, 31),
    ..Event::NEW
};

/// An NMI there.
const NMI: Event = Event { vector: 2, ss: ss_slot(NON_MASKABLE_INTERRUPT, 2) | SS_NMI, ..INTERRUPT };

/// NMIs and interrupts enter on the frame page, on stack level 1.
fn on_frame_page() {
    route(2, 1, IST_FRAME);
    route(31, 1, IST_FRAME);
    set_interrupt_level(1);
}

macro_rules! ends_hlt {
    (
        $module:ident, $name:literal, $act:literal, armed: [$($armed:expr),*], by: $need:ident, $flag:ident,
        $event:expr, $rule:literal
    ) => {
        mod $module {
            use super::*;
            act! { name: $act, set: [], armed: [$($armed),*], act: ["hlt"], }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: Needs::$need,
                flags: CaseFlags::$flag,
                prepare: on_frame_page,
                act: ACT,
                events: &[$event],
                ..Case::NEW
            };
        }
    };
}

ends_hlt! {
    sti_hlt, "sti-hlt", "halt.sti-hlt", armed: ["sti"], by: INTERRUPT, INTERRUPT_AT_HALT, INTERRUPT,
    "An interrupt ends STI and HLT: bit 16 clear, for the shadow ended with HLT."
}

ends_hlt! {
    nmi_sti_hlt, "nmi-sti-hlt", "halt.nmi-sti-hlt", armed: ["sti"], by: NMI, NMI_AT_HALT, NMI,
    "An NMI ends STI and HLT: bit 16 clear."
}

ends_hlt! {
    open, "open", "halt.open", armed: ["push 0x202", "popfq"], by: INTERRUPT, INTERRUPT_AT_HALT, INTERRUPT,
    "An interrupt ends HLT where IF was set before."
}

mod level0 {
    use super::*;
    act! {
        name: "halt.level0",
        set: [],
        armed: ["movabs rsp, {rsp}", "sti"],
        act: ["hlt"],
        rsp = const FRAME_STACK + 0xFD8,
    }
    pub(super) const CASE: Case = Case {
        name: "level0",
        rule: "CONFIG sends interrupts to level 0: one that ends HLT comes on the current stack, below the redzone.",
        needs: Needs::INTERRUPT.union(Needs::FRED),
        flags: CaseFlags::INTERRUPT_AT_HALT,
        prepare: || set_config(0x080),
        act: ACT,
        // 0xFD8 - 0x80 = 0xF58, aligned down.
        events: &[Event { rsp: Stack::Frame(0x28), csl: 0, fred_top: Top::Frame(0xC0), ..INTERRUPT }],
        ..Case::NEW
    };
}

mod level3 {
    use super::*;
    act! { name: "halt.level3", set: [], armed: [], act: ["hlt"], }
    pub(super) const CASE: Case = Case {
        name: "level3",
        rule: "STKLVLS sends NMIs to level 3: one that ends HLT with IF clear comes there.",
        needs: Needs::NMI.union(Needs::FRED),
        flags: CaseFlags::NMI_AT_HALT,
        prepare: || {
            route(2, 3, IST_FRAME);
            set_stack(3, FRAME_TOP);
        },
        act: ACT,
        events: &[Event { rflags: RFLAGS, csl: 3, ..NMI }],
        ..Case::NEW
    };
}
