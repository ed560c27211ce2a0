//! Flaws in an event's data: derived, stale, lost, or applied twice.

use super::super::correct::from_dr6;
use super::super::correct::{Behaviour, CORRECT};
use crate::event::Event;
use fred::debug::Dr6;
use fred::event::{EventType, vector};

/// F1.
pub const DATA_FROM_DR6: Behaviour = Behaviour {
    name: "data-from-dr6",
    summary: "#DB's event data is derived from DR6, with the sticky bits of earlier #DBs",
    origin: "FRED series v2, vmx_inject_exception",
    plays: &["F1"],
    inject: |number, data, registers| if number == vector::DB { from_dr6(registers) } else { data },
    ..CORRECT
};

/// F2.
pub const INVERTED_POLARITY: Behaviour = Behaviour {
    name: "inverted-polarity",
    summary: "#DB's event data has RTM and BLD inverted, as DR6 has them",
    origin: "confusion of payload and DR6, kvm_deliver_exception_payload",
    plays: &["F2"],
    inject: |number, data, _| if number == vector::DB { data ^ Dr6::ACTIVE_LOW } else { data },
    ..CORRECT
};

/// F3.
pub const ENABLED_BREAKPOINT_BIT: Behaviour = Behaviour {
    name: "enabled-breakpoint-bit",
    summary: "bit 12 of VMX's pending debug exceptions leaks into #DB's event data",
    origin: "confusion of pending debug exceptions and event data",
    plays: &["F3"],
    deliver: |number, payload| {
        let hit = number == vector::DB && payload & Dr6::B != 0;
        if hit { payload | 1 << 12 } else { payload }
    },
    ..CORRECT
};

/// F4.
pub const DATA_FROM_XFD_ERR: Behaviour = Behaviour {
    name: "data-from-xfd-err",
    summary: "every #NM's event data is the value of IA32_XFD_ERR, even if CR0.TS caused it",
    origin: "FRED series v2, vmx_inject_exception",
    plays: &["F4"],
    inject: |number, data, registers| if number == vector::NM { registers.xfd_err } else { data },
    ..CORRECT
};

/// F5.
pub const NM_DATA_LOST: Behaviour = Behaviour {
    name: "nm-data-lost",
    summary: "#NM's event data is not requeued, because #NM has no payload",
    origin: "kvm_deliver_exception_payload has no case for #NM",
    plays: &["F5"],
    requeue: |original| {
        let data = if original.vector == vector::NM { 0 } else { original.data };
        (CORRECT.requeue)(Event { data, ..original })
    },
    ..CORRECT
};

/// F6.
pub const DATA_FROM_CR2: Behaviour = Behaviour {
    name: "data-from-cr2",
    summary: "#PF's event data is read from CR2 at re-injection",
    origin: "FRED series v2, vmx_inject_exception",
    plays: &["F6"],
    inject: |number, data, registers| if number == vector::PF { registers.cr2 } else { data },
    ..CORRECT
};

/// F7.
pub const LOST_ON_REQUEUE: Behaviour = Behaviour {
    name: "lost-on-requeue",
    summary: "ORIGINAL_EVENT_DATA is not read when an interrupted delivery is requeued",
    origin: "__vmx_complete_interrupts before the FRED series",
    plays: &["F7"],
    requeue: |original| (CORRECT.requeue)(Event { data: 0, ..original }),
    ..CORRECT
};

/// F8.
pub const LOST_ON_CANCEL: Behaviour = Behaviour {
    name: "lost-on-cancel",
    summary: "INJECTED_EVENT_DATA is not read back when an injection is cancelled",
    origin: "vmx_cancel_injection before the FRED series",
    plays: &["F8"],
    cancel: |_, _| None,
    ..CORRECT
};

/// F9.
pub const LOST_ON_SAVE: Behaviour = Behaviour {
    name: "lost-on-save",
    summary: "KVM_GET_VCPU_EVENTS does not carry an injected exception's event data",
    origin: "kvm_vcpu_ioctl_x86_get_vcpu_events",
    plays: &["F9"],
    export: |_, _| {},
    ..CORRECT
};

/// F10.
pub const SIDE_EFFECTS_REPEATED: Behaviour = Behaviour {
    name: "side-effects-repeated",
    summary: "an injected exception's payload is written to CR2 and DR6 at every injection",
    origin: "payload reuse without the check for injected, kvm_deliver_exception_payload",
    plays: &["F10"],
    repeats_side_effects: true,
    ..CORRECT
};

/// F11.
pub const STALE_EVENT_DATA: Behaviour = Behaviour {
    name: "stale-event-data",
    summary: "event data is never reset: an exception without event data is injected with that of the one before",
    origin: "FRED series v9, kvm_multiple_exception",
    plays: &["F11"],
    leftover: Some,
    ..CORRECT
};

/// F11, in events other than exceptions.
pub const STALE_INTERRUPT_DATA: Behaviour = Behaviour {
    name: "stale-interrupt-data",
    summary: "INJECTED_EVENT_DATA is written for exceptions only: interrupts, NMIs and INT n are injected with that \
              of the last exception",
    origin: "FRED series v9, vmx_inject_irq and vmx_inject_nmi",
    plays: &["F11"],
    clears: EventType::is_exception,
    ..CORRECT
};

/// F19.
pub const EARLY_PAYLOAD_LOST: Behaviour = Behaviour {
    name: "early-payload-lost",
    summary: "without the payload capability, KVM_GET_VCPU_EVENTS delivers the payload and leaves no event data",
    origin: "kvm_vcpu_ioctl_x86_get_vcpu_events, kvm_deliver_exception_payload",
    plays: &["F19"],
    deliver_early: |_, _| None,
    ..CORRECT
};

/// F21, the payload.
pub const AMD_DR6_PAYLOAD: Behaviour = Behaviour {
    name: "amd-dr6-payload",
    summary: "an intercepted #DB's payload is all of DR6; an intercepted #NM has none",
    origin: "SVM FRED series, Jan 2026, db_interception",
    plays: &["F21"],
    intercept: |event, registers| match event.vector {
        // SVM has written DR6 before the intercept, so its sticky bits are included.
        vector::DB => Event { data: event.data | from_dr6(registers) & !Dr6::B, ..event },
        vector::NM => Event { data: 0, ..event },
        _ => event,
    },
    ..CORRECT
};

/// F21, the field.
pub const AMD_CANCEL_FIELD: Behaviour = Behaviour {
    name: "amd-cancel-field",
    summary: "the event data of a cancelled injection is read from EXITINTDATA, which belongs to another event",
    origin: "SVM FRED series, Jan 2026, svm_cancel_injection",
    plays: &["F21"],
    cancel: |_, last_original| Some(last_original),
    ..CORRECT
};
