//! Flaws in what goes back into the queue when the entry that injects an event is cancelled: of events that user
//! space cannot queue, so that the processor must have met them.

use super::super::correct::{Behaviour, CORRECT};
use crate::event::Event;
use fred::event::EventType;

/// F12 of an entry that is cancelled.
pub const CANCELLED_NESTED_LOST: Behaviour = Behaviour {
    name: "cancelled-nested-lost",
    summary: "the nested bit is dropped when an injection is cancelled",
    origin: "vmx_cancel_injection without VM_ENTRY_INTR_INFO's nested bit",
    plays: &["F12"],
    cancelled: |event| Some(Event { nested: false, ..event }),
    ..CORRECT
};

/// F14 of an entry that is cancelled.
pub const CANCELLED_LENGTH_LOST: Behaviour = Behaviour {
    name: "cancelled-length-lost",
    summary: "the instruction length of a software event is lost when its injection is cancelled",
    origin: "vmx_cancel_injection with VM_EXIT_INSTRUCTION_LEN in place of VM_ENTRY_INSTRUCTION_LEN",
    plays: &["F14"],
    cancelled: |event| Some(Event { length: 0, ..event }),
    ..CORRECT
};

/// F18, an NMI whose entry is cancelled.
pub const CANCELLED_NMI_LOST: Behaviour = Behaviour {
    name: "cancelled-nmi-lost",
    summary: "an NMI is lost when its injection is cancelled",
    origin: "vmx_cancel_injection without INTR_TYPE_NMI_INTR",
    plays: &["F18"],
    cancelled: |event| (event.event_type != EventType::Nmi).then_some(event),
    ..CORRECT
};
