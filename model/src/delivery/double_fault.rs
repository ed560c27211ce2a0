//! What happens to an exception that is met in the delivery of another event (SDM vol. 3, "#DF").

use crate::event::Event;
use fred::event::{Class, EventType, vector};

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

fn class(event: &Event) -> Class {
    if event.event_type == EventType::HardwareException { vector::class(event.vector) } else { Class::Benign }
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
