//! What the uAPI of a source cannot carry: known before anything is sent.

use super::VmState;
use crate::overlay;
use fred::control::CR4_FRED;
use fred::event::vector;
use kvm_bindings::{KVM_VCPUEVENT_VALID_PAYLOAD, kvm_vcpu_events};

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
    let fred = state.sregs.cr4 & CR4_FRED != 0;
    if fred && exception.injected != 0 {
        if no_field_for_event_data(state) {
            losses.push(
                "event data of the injected exception: without KVM_CAP_EXCEPTION_PAYLOAD kvm_vcpu_events has no \
                 field for it"
                    .to_owned(),
            );
        } else if has_event_data(exception.nr) && !carries_event_data(events) {
            losses.push("event data of the injected exception".to_owned());
        }
        if exception.nr == vector::DB {
            losses
                .push("whether the injected #DB is that of INT1: its type and instruction length".to_owned());
        }
    }
    if fred && exception.injected | exception.pending != 0 && events.flags & overlay::VALID_NESTED == 0 {
        losses.push("the nested bit of the exception".to_owned());
    }
    losses
}

/// Whether `state` holds an injected exception whose event data the uAPI has no field for: no kernel can
/// be asked to carry it.
///
/// The payload's fields are valid with KVM_VCPUEVENT_VALID_PAYLOAD, which KVM_SET_VCPU_EVENTS refuses
/// without KVM_CAP_EXCEPTION_PAYLOAD, and else ignores them. With the capability there is a field, and a
/// kernel that does not use it loses what it could have carried.
pub fn no_field_for_event_data(state: &VmState) -> bool {
    let events = &state.events;
    state.sregs.cr4 & CR4_FRED != 0
        && events.exception.injected != 0
        && has_event_data(events.exception.nr)
        && events.flags & KVM_VCPUEVENT_VALID_PAYLOAD == 0
        && overlay::event_data(events).is_none()
}

fn has_event_data(number: u8) -> bool {
    matches!(number, vector::PF | vector::DB | vector::NM)
}

fn carries_event_data(events: &kvm_vcpu_events) -> bool {
    events.exception_has_payload != 0 || overlay::event_data(events).is_some()
}

fn shows_anything(state: &VmState) -> bool {
    let events = &state.events;
    let exception = events.exception.pending | events.exception.injected;
    exception | events.interrupt.injected | events.nmi.injected != 0
}
