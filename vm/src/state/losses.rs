//! What the uAPI of a source cannot carry: known before anything is sent.

use super::VmState;
use crate::overlay;
use fred::control::CR4_FRED;
use fred::event::vector;

/// What `state` cannot carry to another VM; `in_flight` says that an event is known to be in flight,
/// whether or not the queue shows one.
///
/// The structure has no field for an event's type or instruction length, and it does not show what
/// KVM keeps in its slot for events of software. Under the IDT neither type nor nested bit is
/// delivered, but KVM needs type and length to inject.
pub fn losses(state: &VmState, in_flight: bool) -> Vec<String> {
    let events = &state.events;
    let exception = &events.exception;
    let mut losses = Vec::new();
    if exception.pending != 0 && !state.config.exception_payload {
        losses.push(
            "that the exception is pending: without KVM_CAP_EXCEPTION_PAYLOAD it comes back as injected"
                .to_owned(),
        );
    }
    if in_flight && !shows_anything(state) {
        losses.push(
            "the event of software that is half-way: its type, vector and instruction length are in a slot \
             that kvm_vcpu_events does not show"
                .to_owned(),
        );
    }
    if state.sregs.cr4 & CR4_FRED != 0 && exception.injected != 0 {
        let has_data = matches!(exception.nr, vector::PF | vector::DB | vector::NM);
        let carries = events.exception_has_payload != 0 || overlay::event_data(events).is_some();
        if has_data && !carries {
            losses.push("event data of the injected exception".to_owned());
        }
        if exception.nr == vector::DB {
            losses
                .push("whether the injected #DB is that of INT1: its type and instruction length".to_owned());
        }
        if events.flags & overlay::VALID_NESTED == 0 {
            losses.push("the nested bit of the injected exception".to_owned());
        }
    }
    losses
}

fn shows_anything(state: &VmState) -> bool {
    let events = &state.events;
    let exception = events.exception.pending | events.exception.injected;
    exception | events.interrupt.injected | events.nmi.injected != 0
}
