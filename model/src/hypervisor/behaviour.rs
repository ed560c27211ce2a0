//! Behaviours: one function for each place where the proposals for KVM differ, and the proposals.
//!
//! A behaviour is written as its difference from [`CORRECT`], so that it is wrong in one place
//! only. The tests are judged by them: with a correct behaviour every scenario passes, with any
//! other at least two cases fail.

use crate::event::Event;
use fred::debug::Dr6;
use fred::event::vector;
use kvm_bindings::kvm_vcpu_events;

/// The registers that hold something like event data, as they are when a function is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventRegisters {
    /// CR2.
    pub cr2: u64,
    /// DR6.
    pub dr6: u64,
    /// IA32_XFD_ERR.
    pub xfd_err: u64,
}

/// What a hypervisor does with event data at each place where it could lose it.
#[derive(Clone, Copy, Debug)]
pub struct Behaviour {
    /// The name on command lines.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// Where it comes from: mail subject and date, or the series.
    pub origin: &'static str,
    /// Whether every scenario must pass with it.
    pub correct: bool,
    /// A pending exception's payload is delivered to the registers: the event data that is kept,
    /// from vector and payload.
    pub deliver: fn(vector: u8, payload: u64) -> u64,
    /// An injection is set up: what is written to INJECTED_EVENT_DATA, from the vector, the event
    /// data kept in the queue, and the registers.
    pub inject: fn(vector: u8, data: u64, registers: &EventRegisters) -> u64,
    /// An exit interrupted a delivery: the event data kept for the requeue, from the
    /// original-event fields. `None` drops the event.
    pub requeue: fn(original: &Event) -> Option<u64>,
    /// An entry was abandoned with the injection set up: the event data put back into the queue.
    pub cancel: fn(injected: &Event) -> u64,
    /// KVM_GET_VCPU_EVENTS: how an injected exception's event data travels.
    pub export: fn(data: u64, events: &mut kvm_vcpu_events),
    /// KVM_SET_VCPU_EVENTS: the event data of an injected exception.
    pub import: fn(events: &kvm_vcpu_events) -> u64,
    /// Whether RF is set for a fault that is injected without having been pending here, as after a
    /// migration that turned pending into injected.
    pub rf_when_injected: bool,
}

/// Flag of our overlay of `kvm_vcpu_events`: the nested bit is valid. Proposed, unmerged.
pub const VALID_NESTED: u32 = 0x40;
/// Index into `kvm_vcpu_events.reserved` of the nested bit: offset 54. Proposed, unmerged.
pub const NESTED_AT: usize = 25;
/// Flag of our overlay of `kvm_vcpu_events`: the event data is valid. No kernel has it: it stands
/// for *some* extension of the uAPI by a field of its own.
pub const VALID_EVENT_DATA: u32 = 0x80;
/// Index into `kvm_vcpu_events.reserved` of that event data: offset 32, eight bytes.
pub const EVENT_DATA_AT: usize = 3;

/// What every behaviour but the wrong one of its places does: payload reuse with its gaps closed.
pub const CORRECT: Behaviour = Behaviour {
    name: "payload-reuse",
    summary: "event data lives in the exception's payload, refilled on requeue and cancel, and travels with \
              injected exceptions",
    origin: "Sean Christopherson, review of \"Virtualize FRED event_data\", Mar 2026, its gaps closed",
    correct: true,
    deliver: |_, payload| payload,
    inject: |_, data, _| data,
    requeue: |original| Some(original.data),
    cancel: |injected| injected.data,
    export: |data, events| {
        events.exception_has_payload = 1;
        events.exception_payload = data;
    },
    import: |events| if events.exception_has_payload != 0 { events.exception_payload } else { 0 },
    rf_when_injected: true,
};

/// A uAPI that has a field for event data.
pub const UAPI_EVENT_DATA: Behaviour = Behaviour {
    name: "uapi-event-data",
    summary: "event data is kept apart from the payload and has a field of its own in kvm_vcpu_events",
    origin: "Sean Christopherson, review of \"Virtualize FRED event_data\", Mar 2026",
    export: |data, events| {
        events.flags |= VALID_EVENT_DATA;
        events.reserved[EVENT_DATA_AT..EVENT_DATA_AT + 8].copy_from_slice(&data.to_le_bytes());
    },
    import: |events| {
        if events.flags & VALID_EVENT_DATA == 0 {
            return 0;
        }
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&events.reserved[EVENT_DATA_AT..EVENT_DATA_AT + 8]);
        u64::from_le_bytes(bytes)
    },
    ..CORRECT
};

/// Event data rebuilt from registers whenever it is needed.
pub const RECOVER_FROM_REGISTERS: Behaviour = Behaviour {
    name: "recover-from-registers",
    summary: "event data is rebuilt from CR2, DR6 and XFD_ERR at each injection",
    origin: "FRED series v2; again Xin Li, Jan 2026",
    correct: false,
    inject: |number, data, registers| match number {
        vector::PF => registers.cr2,
        vector::DB => (registers.dr6 ^ Dr6::ACTIVE_LOW) & Dr6::VOLATILE,
        vector::NM => registers.xfd_err,
        _ => data,
    },
    ..CORRECT
};

/// Event data that user space never sees.
pub const KERNEL_ONLY_EVENT_DATA: Behaviour = Behaviour {
    name: "kernel-only-event-data",
    summary: "event data survives the requeue inside the kernel but is not part of kvm_vcpu_events",
    origin: "FRED series v3 to v9",
    correct: false,
    export: |_, _| {},
    import: |_| 0,
    ..CORRECT
};

/// The event is dropped in the hope that the processor raises it again.
pub const DROP_AND_REGENERATE: Behaviour = Behaviour {
    name: "drop-and-regenerate",
    summary: "an exception whose delivery was interrupted is dropped: the instruction is to raise it again",
    origin: "Xin Li, Jan 2026",
    correct: false,
    requeue: |_| None,
    ..CORRECT
};

/// The payload-reuse sketch without anything it does not say.
pub const PAYLOAD_REUSE_LITERAL: Behaviour = Behaviour {
    name: "payload-reuse-literal",
    summary: "payload reuse as sketched: the payload is consumed by the first injection and nothing refills it",
    origin: "Sean Christopherson, review of \"Virtualize FRED event_data\", Mar 2026, taken literally",
    correct: false,
    // A pending #DB's payload is delivered to DR6, and thereby cleared, before it is injected.
    deliver: |number, payload| if number == vector::DB { 0 } else { payload },
    // The requeue forces has_payload = false.
    requeue: |_| Some(0),
    // The payload was consumed when the injection was set up.
    cancel: |_| 0,
    // KVM_SET_VCPU_EVENTS clears has_payload unless the exception is pending.
    import: |_| 0,
    ..CORRECT
};

/// Every behaviour, the default one first.
pub const ALL: [&Behaviour; 6] = [
    &CORRECT,
    &UAPI_EVENT_DATA,
    &RECOVER_FROM_REGISTERS,
    &KERNEL_ONLY_EVENT_DATA,
    &DROP_AND_REGENERATE,
    &PAYLOAD_REUSE_LITERAL,
];

/// The behaviour of that name.
pub fn by_name(name: &str) -> Option<&'static Behaviour> {
    ALL.into_iter().find(|behaviour| behaviour.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deriving_from_dr6_repeats_what_was_sticky() {
        let registers = EventRegisters { cr2: 0, dr6: 0xFFFF_EFF0, xfd_err: 0 };
        assert_eq!((RECOVER_FROM_REGISTERS.inject)(1, 0x4000, &registers), 0xE000);
        assert_eq!((CORRECT.inject)(1, 0x4000, &registers), 0x4000);
    }

    #[test]
    fn names_are_unique() {
        for behaviour in ALL {
            assert_eq!(by_name(behaviour.name).unwrap().summary, behaviour.summary);
        }
        assert!(by_name("x").is_none());
    }

    #[test]
    fn event_data_has_a_field_of_its_own() {
        let mut events = kvm_vcpu_events::default();
        (UAPI_EVENT_DATA.export)(0x1122_3344_5566_7788, &mut events);
        assert_eq!(events.exception_has_payload, 0);
        assert_eq!((UAPI_EVENT_DATA.import)(&events), 0x1122_3344_5566_7788);
        assert_eq!((CORRECT.import)(&events), 0);
    }
}
