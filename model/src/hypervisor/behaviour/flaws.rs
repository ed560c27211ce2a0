//! One behaviour for each failure mode F1..F21 and F23; F24 is in [`injected`](super::injected). F22, nested
//! virtualization, is not modelled.

use super::correct::from_dr6;
use super::correct::{Behaviour, CORRECT, Requeue};
use crate::event::Event;
use fred::config::FredConfig;
use fred::debug::Dr6;
use fred::event::{EventType, vector};
use fred::msr;

/// Every flaw, in the order of the failure modes.
pub const ALL: [&Behaviour; 31] = [
    &DATA_FROM_DR6,
    &INVERTED_POLARITY,
    &ENABLED_BREAKPOINT_BIT,
    &DATA_FROM_XFD_ERR,
    &NM_DATA_LOST,
    &DATA_FROM_CR2,
    &LOST_ON_REQUEUE,
    &LOST_ON_CANCEL,
    &LOST_ON_SAVE,
    &SIDE_EFFECTS_REPEATED,
    &STALE_EVENT_DATA,
    &STALE_INTERRUPT_DATA,
    &NESTED_LOST,
    &NESTED_INVENTED,
    &INT1_RETYPED,
    &LENGTH_LOST,
    &SOFT_EVENT_EXPORTED,
    &SOFT_EVENT_LOST,
    &DELIVERED_TWICE,
    &SYSCALL_LOST,
    &ERROR_CODE_LOST,
    &STI_BLOCKING_LOST,
    &REQUEUED_NMI_BLOCKED,
    &PENDING_NMI_LOST,
    &NMI_BLOCKING_LOST,
    &INTERRUPT_LOST,
    &EARLY_PAYLOAD_LOST,
    &FRED_MSRS_LOST,
    &AMD_DR6_PAYLOAD,
    &AMD_CANCEL_FIELD,
    &RF_LOST,
];

/// F1.
pub const DATA_FROM_DR6: Behaviour = Behaviour {
    name: "data-from-dr6",
    summary: "#DB's event data is derived from DR6, sticky bits of earlier #DBs included",
    origin: "FRED series v2, vmx_inject_exception",
    plays: &["F1"],
    inject: |number, data, registers| if number == vector::DB { from_dr6(registers) } else { data },
    ..CORRECT
};

/// F2.
pub const INVERTED_POLARITY: Behaviour = Behaviour {
    name: "inverted-polarity",
    summary: "RTM and BLD enter #DB's event data in the active-low sense of DR6",
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
    summary: "every #NM's event data is whatever IA32_XFD_ERR holds, CR0.TS included",
    origin: "FRED series v2, vmx_inject_exception",
    plays: &["F4"],
    inject: |number, data, registers| if number == vector::NM { registers.xfd_err } else { data },
    ..CORRECT
};

/// F5.
pub const NM_DATA_LOST: Behaviour = Behaviour {
    name: "nm-data-lost",
    summary: "#NM's event data is not requeued: #NM never had a payload",
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
    summary: "#PF's event data is read from CR2 when the exception is injected again",
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
    summary: "INJECTED_EVENT_DATA is not read back when an entry is abandoned",
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
    summary: "event data is never reset: an exception without any is injected with the last one's",
    origin: "FRED series v9, kvm_multiple_exception",
    plays: &["F11"],
    leftover: Some,
    ..CORRECT
};

/// F11, in events that are no exceptions.
pub const STALE_INTERRUPT_DATA: Behaviour = Behaviour {
    name: "stale-interrupt-data",
    summary: "INJECTED_EVENT_DATA is written for exceptions only: interrupts, NMIs and INT n are injected with the \
              last exception's",
    origin: "FRED series v9, vmx_inject_irq and vmx_inject_nmi",
    plays: &["F11"],
    clears: EventType::is_exception,
    ..CORRECT
};

/// F12, one way.
pub const NESTED_LOST: Behaviour = Behaviour {
    name: "nested-lost",
    summary: "the nested bit is dropped when an interrupted delivery is requeued",
    origin: "__vmx_complete_interrupts before the FRED series",
    plays: &["F12"],
    requeue: |original| (CORRECT.requeue)(Event { nested: false, ..original }),
    ..CORRECT
};

/// F12, the other way.
pub const NESTED_INVENTED: Behaviour = Behaviour {
    name: "nested-invented",
    summary: "every requeued exception is taken for a nested one",
    origin: "the nested bit confused with `injected`",
    plays: &["F12"],
    requeue: |original| {
        let nested = original.event_type == EventType::HardwareException;
        (CORRECT.requeue)(Event { nested, ..original })
    },
    ..CORRECT
};

/// F13.
pub const INT1_RETYPED: Behaviour = Behaviour {
    name: "int1-retyped",
    summary: "an intercepted INT1 is skipped and queued as an ordinary #DB: type 3, no length",
    origin: "handle_exception_nmi and vmx_inject_exception, arch/x86/kvm/vmx/vmx.c",
    plays: &["F13"],
    intercept: |event, _| match event.event_type {
        EventType::PrivilegedSoftwareException => Event { event_type: EventType::HardwareException, ..event },
        _ => event,
    },
    ..CORRECT
};

/// F14.
pub const LENGTH_LOST: Behaviour = Behaviour {
    name: "length-lost",
    summary: "the instruction length of a software event is not requeued",
    origin: "__vmx_complete_interrupts, VM_EXIT_INSTRUCTION_LEN",
    plays: &["F14"],
    requeue: |original| (CORRECT.requeue)(Event { length: 0, ..original }),
    ..CORRECT
};

/// F15, twice.
pub const SOFT_EVENT_EXPORTED: Behaviour = Behaviour {
    name: "soft-event-exported",
    summary: "KVM_GET_VCPU_EVENTS shows an injected INT3, which then is injected and runs again",
    origin: "kvm_vcpu_ioctl_x86_get_vcpu_events without kvm_exception_is_soft",
    plays: &["F15"],
    exports_soft: true,
    ..CORRECT
};

/// F15, not at all.
pub const SOFT_EVENT_LOST: Behaviour = Behaviour {
    name: "soft-event-lost",
    summary: "an interrupted INT n, INT3 or INTO is dropped although its instruction is skipped",
    origin: "__vmx_complete_interrupts without its software cases",
    plays: &["F15"],
    requeue: |original| match original.event_type {
        EventType::SoftwareInterrupt | EventType::SoftwareException => Requeue::Lose,
        _ => (CORRECT.requeue)(original),
    },
    ..CORRECT
};

/// F15 for every event that the hypervisor injects.
pub const DELIVERED_TWICE: Behaviour = Behaviour {
    name: "delivered-twice",
    summary: "an injected exception stays in the queue once after it was delivered",
    origin: "vmx_complete_interrupts without kvm_clear_exception_queue",
    plays: &["F15"],
    clears_delivered: false,
    ..CORRECT
};

/// F16.
pub const SYSCALL_LOST: Behaviour = Behaviour {
    name: "syscall-lost",
    summary: "an interrupted SYSCALL is dropped although its instruction is skipped",
    origin: "__vmx_complete_interrupts has no case for type 7",
    plays: &["F16"],
    requeue: |original| match original.event_type {
        EventType::Other => Requeue::Lose,
        _ => (CORRECT.requeue)(original),
    },
    ..CORRECT
};

/// F17.
pub const ERROR_CODE_LOST: Behaviour = Behaviour {
    name: "error-code-lost",
    summary: "a requeued exception's error code reads 0",
    origin: "__vmx_complete_interrupts without IDT_VECTORING_ERROR_CODE",
    plays: &["F17"],
    requeue: |original| (CORRECT.requeue)(Event { error_code: original.error_code.map(|_| 0), ..original }),
    ..CORRECT
};

/// F18.
pub const STI_BLOCKING_LOST: Behaviour = Behaviour {
    name: "sti-blocking-lost",
    summary: "blocking by STI ends with the exit that interrupts a delivery",
    origin: "vmx_set_interrupt_shadow on every exit",
    plays: &["F18"],
    keeps_sti_blocking: false,
    ..CORRECT
};

/// F18, an NMI that blocks itself.
pub const REQUEUED_NMI_BLOCKED: Behaviour = Behaviour {
    name: "requeued-nmi-blocked",
    summary: "an NMI whose delivery was interrupted waits for the end of the blocking that it began itself",
    origin: "__vmx_complete_interrupts without vmx_set_nmi_mask(vcpu, false)",
    plays: &["F18"],
    unblocks_requeued_nmi: false,
    ..CORRECT
};

/// F18, an NMI behind the event that was stopped.
pub const PENDING_NMI_LOST: Behaviour = Behaviour {
    name: "pending-nmi-lost",
    summary: "KVM_GET_VCPU_EVENTS does not show an NMI that waits",
    origin: "kvm_vcpu_ioctl_x86_get_vcpu_events without process_nmi",
    plays: &["F18"],
    saves_pending_nmi: false,
    ..CORRECT
};

/// F18, blocking by NMI.
pub const NMI_BLOCKING_LOST: Behaviour = Behaviour {
    name: "nmi-blocking-lost",
    summary: "KVM_GET_VCPU_EVENTS does not show blocking by NMI",
    origin: "kvm_vcpu_ioctl_x86_get_vcpu_events without nmi.masked",
    plays: &["F18"],
    saves_nmi_blocking: false,
    ..CORRECT
};

/// F18, an external interrupt.
pub const INTERRUPT_LOST: Behaviour = Behaviour {
    name: "interrupt-lost",
    summary: "an external interrupt whose delivery was interrupted is not requeued",
    origin: "__vmx_complete_interrupts without INTR_TYPE_EXT_INTR",
    plays: &["F18"],
    requeue: |original| match original.event_type {
        EventType::ExternalInterrupt => Requeue::Lose,
        _ => (CORRECT.requeue)(original),
    },
    ..CORRECT
};

/// F19.
pub const EARLY_PAYLOAD_LOST: Behaviour = Behaviour {
    name: "early-payload-lost",
    summary: "without the capability, looking at the queue delivers the payload and leaves no event data",
    origin: "kvm_vcpu_ioctl_x86_get_vcpu_events, kvm_deliver_exception_payload",
    plays: &["F19"],
    deliver_early: |_, _| None,
    ..CORRECT
};

/// F20.
pub const FRED_MSRS_LOST: Behaviour = Behaviour {
    name: "fred-msrs-lost",
    summary: "IA32_FRED_RSP0, IA32_FRED_SSP0 and the current stack level are not saved",
    origin: "MSRs that have no VMCS field; CSL in IA32_FRED_CONFIG",
    plays: &["F20"],
    saves_msr: |index, value| match index {
        msr::FRED_RSP0 | msr::FRED_SSP0 => 0,
        msr::FRED_CONFIG => FredConfig(value).with_csl(0).0,
        _ => value,
    },
    ..CORRECT
};

/// F21, the payload.
pub const AMD_DR6_PAYLOAD: Behaviour = Behaviour {
    name: "amd-dr6-payload",
    summary: "an intercepted #DB's payload is the whole of DR6, an intercepted #NM has none",
    origin: "SVM FRED series, Jan 2026, db_interception",
    plays: &["F21"],
    intercept: |event, registers| match event.vector {
        // SVM has written DR6 before the intercept: what was sticky there is part of it.
        vector::DB => Event { data: event.data | from_dr6(registers) & !Dr6::B, ..event },
        vector::NM => Event { data: 0, ..event },
        _ => event,
    },
    ..CORRECT
};

/// F21, the field.
pub const AMD_CANCEL_FIELD: Behaviour = Behaviour {
    name: "amd-cancel-field",
    summary: "an abandoned entry's event data is read from EXITINTDATA, which belongs to another event",
    origin: "SVM FRED series, Jan 2026, svm_cancel_injection",
    plays: &["F21"],
    cancel: |_, last_original| Some(last_original),
    ..CORRECT
};

/// F23.
pub const RF_LOST: Behaviour = Behaviour {
    name: "rf-lost",
    summary: "a fault that a migration turned from pending into injected does not set RF",
    origin: "kvm_check_and_inject_events; measured on Linux 6.18",
    plays: &["F23"],
    rf_when_injected: false,
    ..CORRECT
};
