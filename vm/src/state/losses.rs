//! What the uAPI of the source cannot carry: known before anything is sent.

use super::VmState;
use crate::overlay;
use fred::control::CR4_FRED;
use fred::debug::{BreakOn, Dr7};
use fred::event::vector;
use kvm_bindings::{KVM_VCPUEVENT_VALID_PAYLOAD, KVM_X86_SHADOW_INT_MOV_SS, kvm_debugregs, kvm_vcpu_events};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Something that the uAPI cannot carry to another VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// That an exception is pending, without KVM_CAP_EXCEPTION_PAYLOAD.
    Pending,
    /// A software event in flight.
    SoftEvent,
    /// A debug exception that MOV SS holds back, if one is pending.
    HeldBackDebug,
    /// Event data of an injected exception, for which the uAPI has no field.
    EventDataWithoutField,
    /// Event data of an injected exception, for which it has one.
    EventData,
    /// Whether an injected #DB is that of INT1.
    Int1,
    /// The nested bit.
    NestedBit,
    /// The nested bit, which the new machine cannot hold.
    NestedBitInNew,
    /// Event data, which the new machine cannot hold.
    EventDataInNew,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => {
                "that the exception is pending: without KVM_CAP_EXCEPTION_PAYLOAD it comes back as injected"
            }
            Self::SoftEvent => {
                "the software event in flight: kvm_vcpu_events does not show its type, vector and instruction length"
            }
            Self::HeldBackDebug => {
                "a debug exception that MOV SS holds back, if one is pending: kvm_vcpu_events has no field for \
                 pending debug exceptions"
            }
            Self::EventDataWithoutField => {
                "event data of the injected exception: without KVM_CAP_EXCEPTION_PAYLOAD kvm_vcpu_events has no \
                 field for it"
            }
            Self::EventData => "event data of the injected exception",
            Self::Int1 => "whether the injected #DB is that of INT1: its type and instruction length",
            Self::NestedBit => "the nested bit of the exception",
            Self::NestedBitInNew => "the nested bit: the new machine's kvm_vcpu_events has no place for it",
            Self::EventDataInNew => "event data: the new machine's kvm_vcpu_events has no place for it",
        })
    }
}

/// What `state` cannot carry to another VM; `in_flight` says that an event is known to be in flight,
/// whether or not the queue shows one.
///
/// The structure has no field for an event's type or instruction length, and it does not show the
/// software event that KVM has in flight. Under the IDT neither type nor nested bit is
/// delivered, but KVM needs type and length to inject.
pub fn losses(state: &VmState, in_flight: bool) -> Vec<Loss> {
    let events = &state.events;
    let exception = &events.exception;
    let fred = state.sregs.cr4 & CR4_FRED != 0;
    let fred_injected = fred && exception.injected != 0;
    let no_field = no_field_for_event_data(state);
    let no_data = !no_field && vector::has_event_data(exception.nr) && !carries_event_data(events);
    let in_queue = exception.injected | exception.pending != 0;
    [
        (Loss::Pending, exception.pending != 0 && !state.config.exception_payload),
        (Loss::SoftEvent, in_flight && !shows_anything(state)),
        (Loss::HeldBackDebug, may_hold_back(events, &state.debug_regs)),
        (Loss::EventDataWithoutField, no_field),
        (Loss::EventData, fred_injected && no_data),
        (Loss::Int1, fred_injected && exception.nr == vector::DB),
        (Loss::NestedBit, fred && in_queue && events.flags & overlay::VALID_NESTED == 0),
    ]
    .into_iter()
    .filter_map(|(loss, is_lost)| is_lost.then_some(loss))
    .collect()
}

/// Whether `state` holds an injected exception whose event data the uAPI has no field for: no kernel can
/// carry it.
///
/// The payload's fields are valid with KVM_VCPUEVENT_VALID_PAYLOAD, which KVM_SET_VCPU_EVENTS refuses
/// without KVM_CAP_EXCEPTION_PAYLOAD, and else ignores them. With the capability there is a field, and a
/// kernel that does not use it loses what it could have carried.
pub fn no_field_for_event_data(state: &VmState) -> bool {
    let events = &state.events;
    state.sregs.cr4 & CR4_FRED != 0
        && events.exception.injected != 0
        && vector::has_event_data(events.exception.nr)
        && events.flags & KVM_VCPUEVENT_VALID_PAYLOAD == 0
        && overlay::event_data(events).is_none()
}

fn carries_event_data(events: &kvm_vcpu_events) -> bool {
    events.exception_has_payload != 0 || overlay::event_data(events).is_some()
}

/// Whether a debug exception may wait for the end of the shadow of MOV SS. The uAPI shows the shadow,
/// not the exception: it can only be that of a data breakpoint, as MOV SS itself is never
/// single-stepped. Once it is on its way the queue shows a #DB.
pub fn may_hold_back(events: &kvm_vcpu_events, debug_regs: &kvm_debugregs) -> bool {
    let dr7 = Dr7(debug_regs.dr7);
    let watches = |index: &u8| {
        dr7.enabled(*index) && matches!(dr7.break_on(*index), BreakOn::Write | BreakOn::ReadWrite)
    };
    let on_its_way = events.exception.pending | events.exception.injected != 0;
    u32::from(events.interrupt.shadow) & KVM_X86_SHADOW_INT_MOV_SS != 0
        && !(on_its_way && events.exception.nr == vector::DB)
        && (0..4).any(|index| watches(&index))
}

fn shows_anything(state: &VmState) -> bool {
    let events = &state.events;
    let exception = events.exception.pending | events.exception.injected;
    exception | events.interrupt.injected | events.nmi.injected != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shadow(shadow: u8) -> kvm_vcpu_events {
        let mut events = kvm_vcpu_events::default();
        events.interrupt.shadow = shadow;
        events
    }

    #[test]
    fn mov_ss_holds_back_data_breakpoints_alone() {
        let dr7 = |dr7| kvm_debugregs { dr7, ..Default::default() };
        // Breakpoint 0 on writes, 3 on reads and writes; on execution, on I/O; none enabled.
        for (value, holds) in
            [(0x1_0401, true), (0x3000_0480, true), (0x401, false), (0x2_0401, false), (0x1_0400, false)]
        {
            assert_eq!(may_hold_back(&shadow(1), &dr7(value)), holds, "{value:#x}");
            assert!(!may_hold_back(&shadow(0), &dr7(value)));
            // STI's shadow.
            assert!(!may_hold_back(&shadow(2), &dr7(value)));
        }
    }

    #[test]
    fn a_debug_exception_in_the_queue_is_held_back_no_more() {
        let mut events = shadow(1);
        let watching = kvm_debugregs { dr7: 0x1_0401, ..Default::default() };
        (events.exception.nr, events.exception.pending) = (vector::DB, 1);
        assert!(!may_hold_back(&events, &watching));
        events.exception.nr = vector::PF;
        assert!(may_hold_back(&events, &watching), "another exception");
        (events.exception.nr, events.exception.pending) = (vector::DB, 0);
        assert!(may_hold_back(&events, &watching), "a vector of nothing");
    }
}
