//! Flaws in NMIs and interrupts that the host injects, and in the dirty ring: one behaviour for each.

use super::correct::{Behaviour, CORRECT, InterruptWindow};

/// Every such flaw.
pub const ALL: [&Behaviour; 6] = [
    &NMI_DROPPED,
    &NMI_LATE,
    &INTERRUPT_DROPPED,
    &WINDOW_IN_SHADOW,
    &WINDOW_WITHOUT_IF,
    &DELIVERY_NOT_LOGGED,
];

/// F18, an NMI that is never delivered.
pub const NMI_DROPPED: Behaviour = Behaviour {
    name: "nmi-dropped",
    summary: "KVM_NMI returns 0, and the NMI is never delivered",
    origin: "kvm_inject_nmi without KVM_REQ_NMI",
    plays: &["F18"],
    takes_nmis: false,
    ..CORRECT
};

/// F18, an NMI that is delivered too late.
pub const NMI_LATE: Behaviour = Behaviour {
    name: "nmi-late",
    summary: "no NMI window is requested: an NMI that cannot be injected at once waits for some later exit",
    origin: "kvm_check_and_inject_events without vmx_enable_nmi_window; kvm_pvm on Linux 6.18",
    plays: &["F18"],
    opens_nmi_window: false,
    ..CORRECT
};

/// F18, an interrupt that is never delivered.
pub const INTERRUPT_DROPPED: Behaviour = Behaviour {
    name: "interrupt-dropped",
    summary: "KVM_INTERRUPT returns 0, and the interrupt is never delivered",
    origin: "kvm_vcpu_ioctl_interrupt without kvm_queue_interrupt",
    plays: &["F18"],
    takes_interrupts: false,
    ..CORRECT
};

/// F18, an interrupt that is injected too early.
pub const WINDOW_IN_SHADOW: Behaviour = Behaviour {
    name: "window-in-shadow",
    summary: "KVM_EXIT_IRQ_WINDOW_OPEN comes in STI's interrupt shadow, and the interrupt is injected there",
    origin: "vmx_interrupt_blocked without GUEST_INTERRUPTIBILITY_INFO",
    plays: &["F18"],
    window: InterruptWindow::InShadow,
    ..CORRECT
};

/// F18, an interrupt that the guest has disabled.
pub const WINDOW_WITHOUT_IF: Behaviour = Behaviour {
    name: "window-without-if",
    summary: "KVM_EXIT_IRQ_WINDOW_OPEN comes while RFLAGS.IF is 0, and the interrupt is injected there",
    origin: "vmx_interrupt_blocked without X86_EFLAGS_IF",
    plays: &["F18"],
    window: InterruptWindow::WithoutIf,
    ..CORRECT
};

/// F24.
pub const DELIVERY_NOT_LOGGED: Behaviour = Behaviour {
    name: "delivery-not-logged",
    summary: "a page that an event delivery writes is not logged in the dirty ring",
    origin: "mark_page_dirty_in_slot, left out where an exit interrupts a delivery",
    plays: &["F24"],
    logs_deliveries: false,
    ..CORRECT
};
