//! What becomes of an exception met while another event is delivered (SDM vol. 3, "#DF").

use crate::event::Event;
use fred::event::{EventType, vector};

/// What is delivered next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escalation {
    /// The exception that was met, in place of the event.
    Nested,
    /// #DF.
    DoubleFault,
    /// Nothing: the processor shuts down.
    TripleFault,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Benign,
    Contributory,
    PageFault,
    DoubleFault,
}

fn class(event: &Event) -> Class {
    if event.event_type != EventType::HardwareException {
        return Class::Benign;
    }
    match event.vector {
        vector::DE | vector::TS | vector::NP | vector::SS | vector::GP | vector::CP => Class::Contributory,
        vector::PF | vector::VE => Class::PageFault,
        vector::DF => Class::DoubleFault,
        _ => Class::Benign,
    }
}

/// What follows when `second` is met while `first` is delivered.
pub(crate) fn escalate(first: &Event, second: &Event) -> Escalation {
    match (class(first), class(second)) {
        (Class::DoubleFault, Class::Contributory | Class::PageFault | Class::DoubleFault) => {
            Escalation::TripleFault
        }
        (Class::Contributory, Class::Contributory)
        | (Class::PageFault, Class::Contributory | Class::PageFault) => Escalation::DoubleFault,
        _ => Escalation::Nested,
    }
}
