//! Flaws in everything else of an event: its nested bit, type, instruction length and error code; whether it
//! is requeued at all; the blocking of interrupts and NMIs; FRED's MSRs.

use super::super::correct::{Behaviour, CORRECT, Requeue};
use crate::event::Event;
use fred::config::FredConfig;
use fred::event::EventType;
use fred::msr;

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
    summary: "every requeued exception gets the nested bit",
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
    summary: "an intercepted INT1 is skipped and queued as an ordinary #DB: type 3, no instruction length",
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

/// F15, delivered twice.
pub const SOFT_EVENT_EXPORTED: Behaviour = Behaviour {
    name: "soft-event-exported",
    summary: "KVM_GET_VCPU_EVENTS shows an injected INT3, so it is injected and its instruction also runs again",
    origin: "kvm_vcpu_ioctl_x86_get_vcpu_events without kvm_exception_is_soft",
    plays: &["F15"],
    exports_soft: true,
    ..CORRECT
};

/// F15, never delivered.
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
    summary: "an injected exception stays in the queue after its delivery, and is injected once more",
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
    summary: "a requeued exception's error code is 0",
    origin: "__vmx_complete_interrupts without IDT_VECTORING_ERROR_CODE",
    plays: &["F17"],
    requeue: |original| (CORRECT.requeue)(Event { error_code: original.error_code.map(|_| 0), ..original }),
    ..CORRECT
};

/// F18.
pub const STI_BLOCKING_LOST: Behaviour = Behaviour {
    name: "sti-blocking-lost",
    summary: "STI's interrupt shadow ends with the exit that interrupts a delivery",
    origin: "vmx_set_interrupt_shadow on every exit",
    plays: &["F18"],
    keeps_sti_blocking: false,
    ..CORRECT
};

/// F18, outside a delivery.
pub const SHADOW_LOST: Behaviour = Behaviour {
    name: "shadow-lost",
    summary: "an exit for an access of an instruction ends the interrupt shadow that the instruction is in",
    origin: "vmx_set_interrupt_shadow(vcpu, 0), as for an instruction that is skipped, where it is executed again",
    plays: &["F18"],
    keeps_shadow: false,
    ..CORRECT
};

/// F18, an NMI inside the handler of another.
pub const RETURN_UNBLOCKS_NMIS: Behaviour = Behaviour {
    name: "return-unblocks-nmis",
    summary: "an exit in the middle of IRET leaves NMIs unblocked: the next one comes before the return",
    origin: "handle_ept_violation without `exit_qualification & INTR_INFO_UNBLOCK_NMI`",
    plays: &["F18"],
    blocks_nmis_again: false,
    ..CORRECT
};

/// F18, an NMI that blocks itself.
pub const REQUEUED_NMI_BLOCKED: Behaviour = Behaviour {
    name: "requeued-nmi-blocked",
    summary: "an NMI whose delivery was interrupted waits for the end of its own NMI blocking",
    origin: "__vmx_complete_interrupts without vmx_set_nmi_mask(vcpu, false)",
    plays: &["F18"],
    unblocks_requeued_nmi: false,
    ..CORRECT
};

/// F18, an NMI that waits after the interrupted event.
pub const PENDING_NMI_LOST: Behaviour = Behaviour {
    name: "pending-nmi-lost",
    summary: "KVM_GET_VCPU_EVENTS does not show a pending NMI",
    origin: "kvm_vcpu_ioctl_x86_get_vcpu_events without process_nmi",
    plays: &["F18"],
    saves_pending_nmi: false,
    ..CORRECT
};

/// F18, NMI blocking.
pub const NMI_BLOCKING_LOST: Behaviour = Behaviour {
    name: "nmi-blocking-lost",
    summary: "KVM_GET_VCPU_EVENTS does not show NMI blocking",
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

/// F23.
pub const RF_LOST: Behaviour = Behaviour {
    name: "rf-lost",
    summary: "a fault that a migration turned from pending into injected does not set RF",
    origin: "kvm_check_and_inject_events; measured on Linux 6.18",
    plays: &["F23"],
    rf_when_injected: false,
    ..CORRECT
};
