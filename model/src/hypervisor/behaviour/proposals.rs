//! The proposals of the KVM mailing list, and what kernels ship.

use super::correct::{Behaviour, CORRECT, Requeue, from_dr6};
use super::flaws::{INT1_RETYPED, RF_LOST, STALE_EVENT_DATA, STALE_INTERRUPT_DATA};
use crate::event::Event;
use fred::event::{EventType, vector};
use vm::overlay;

/// Every proposal, the default one first.
pub const ALL: [&Behaviour; 9] = [
    &CORRECT,
    &UAPI_EVENT_DATA,
    &RECOVER_FROM_REGISTERS,
    &KERNEL_ONLY_EVENT_DATA,
    &DROP_AND_REGENERATE,
    &PAYLOAD_REUSE_LITERAL,
    &STOCK,
    &V9,
    &V9_NESTED_OFF,
];

/// A uAPI that has a field for event data.
pub const UAPI_EVENT_DATA: Behaviour = Behaviour {
    name: "uapi-event-data",
    summary: "event data is stored separately from the payload and has its own field in kvm_vcpu_events",
    origin: "Sean Christopherson, review of \"Virtualize FRED event_data\", Mar 2026",
    overlay: overlay::VALID_NESTED | overlay::VALID_EVENT_DATA,
    export: |data, events| overlay::set_event_data(events, data),
    import: |events| Some(overlay::event_data(events).unwrap_or(0)),
    ..CORRECT
};

/// Event data rebuilt from registers whenever it is needed.
pub const RECOVER_FROM_REGISTERS: Behaviour = Behaviour {
    name: "recover-from-registers",
    summary: "event data is rebuilt from CR2, DR6 and XFD_ERR at each injection",
    origin: "FRED series v2; again Xin Li, Jan 2026",
    plays: &["F1", "F4", "F6"],
    inject: |number, data, registers| match number {
        vector::PF => registers.cr2,
        vector::DB => from_dr6(registers),
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
    plays: &["F9"],
    export: |_, _| {},
    import: |_| None,
    ..CORRECT
};

/// The event is dropped in the hope that the processor raises it again.
pub const DROP_AND_REGENERATE: Behaviour = Behaviour {
    name: "drop-and-regenerate",
    summary: "an exception whose delivery was interrupted is dropped, so that the instruction raises it again",
    origin: "Xin Li, Jan 2026",
    plays: &["F7", "F10"],
    requeue: |original| match original.event_type {
        EventType::HardwareException => Requeue::RunAgain,
        _ => (CORRECT.requeue)(original),
    },
    ..CORRECT
};

/// The payload-reuse sketch, implemented literally.
pub const PAYLOAD_REUSE_LITERAL: Behaviour = Behaviour {
    name: "payload-reuse-literal",
    summary: "payload reuse as sketched: INJECTED_EVENT_DATA is written only while the exception has its payload, \
              which the first injection consumes and nothing refills",
    origin: "Sean Christopherson, review of \"Virtualize FRED event_data\", Mar 2026, taken literally",
    plays: &["F7", "F8", "F9", "F11"],
    // `if (ex->has_payload)` goes before every write of the field.
    clears: |_| false,
    // The payload is delivered, and thereby cleared, when user space looks.
    deliver_early: |_, _| None,
    // The requeue, and so the cancel, forces has_payload = false.
    requeue: |original| match (CORRECT.requeue)(original) {
        Requeue::Keep(event) => Requeue::KeepWithoutData(event),
        other => other,
    },
    cancel: |_, _| None,
    // An injected exception's payload has been consumed.
    export: |_, _| {},
    // KVM_SET_VCPU_EVENTS clears has_payload unless the exception is pending.
    import: |_| None,
    ..CORRECT
};

/// A released kernel that offers FRED nevertheless: no part of it handles event data.
pub const STOCK: Behaviour = Behaviour {
    name: "stock",
    summary: "a kernel without the FRED series: no event data on requeue, on cancel or in the uAPI, and no nested bit",
    origin: "Linux 6.18, arch/x86/kvm",
    plays: &["F7", "F8", "F9", "F12", "F13", "F23"],
    requeue: |original| (CORRECT.requeue)(Event { data: 0, nested: false, ..original }),
    cancel: |_, _| None,
    overlay: 0,
    intercept: INT1_RETYPED.intercept,
    rf_when_injected: RF_LOST.rf_when_injected,
    ..KERNEL_ONLY_EVENT_DATA
};

/// The latest posting of the FRED series.
pub const V9: Behaviour = Behaviour {
    name: "v9",
    summary: "event data is in the kernel only, never reset, and not written for interrupts, NMIs and INT n; INT1 \
              is retyped; RF is lost without the payload capability",
    origin: "\"Enable FRED with KVM VMX\" v9, Xin Li, 26 Oct 2025",
    plays: &["F9", "F11", "F13", "F23"],
    leftover: STALE_EVENT_DATA.leftover,
    // vmx_inject_exception writes the field, vmx_inject_irq and vmx_inject_nmi do not.
    clears: STALE_INTERRUPT_DATA.clears,
    intercept: INT1_RETYPED.intercept,
    rf_when_injected: RF_LOST.rf_when_injected,
    ..KERNEL_ONLY_EVENT_DATA
};

/// The same under a host that does not enable the series' capability for the nested bit.
pub const V9_NESTED_OFF: Behaviour = Behaviour {
    name: "v9-nested-off",
    summary: "v9 with KVM_CAP_EXCEPTION_NESTED_FLAG off: kvm_vcpu_events has no field for the nested bit",
    origin: "\"KVM: x86: Save/restore the nested flag of an exception\" v9, Xin Li, 26 Oct 2025",
    plays: &["F9", "F11", "F12", "F13", "F23"],
    overlay: 0,
    ..V9
};

#[cfg(test)]
mod tests {
    use super::super::EventRegisters;
    use super::super::flaws::DATA_FROM_DR6;
    use super::*;

    #[test]
    fn deriving_from_dr6_repeats_sticky_bits() {
        let registers = EventRegisters { cr2: 0, dr6: 0xFFFF_EFF0, xfd_err: 0 };
        assert_eq!((RECOVER_FROM_REGISTERS.inject)(1, 0x4000, &registers), 0xE000);
        assert_eq!((DATA_FROM_DR6.inject)(1, 0x4000, &registers), 0xE000);
        assert_eq!((CORRECT.inject)(1, 0x4000, &registers), 0x4000);
    }
}
