//! What becomes of what the host injects, and of writes that it has logged: one behaviour for each way
//! of getting it wrong.

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

/// F18, an NMI that never comes.
pub const NMI_DROPPED: Behaviour = Behaviour {
    name: "nmi-dropped",
    summary: "KVM_NMI returns 0, and the NMI never comes",
    origin: "kvm_inject_nmi without KVM_REQ_NMI",
    plays: &["F18"],
    takes_nmis: false,
    ..CORRECT
};

/// F18, an NMI that comes some time later.
pub const NMI_LATE: Behaviour = Behaviour {
    name: "nmi-late",
    summary: "no NMI window is opened: an NMI that cannot be injected at once comes with some later exit",
    origin: "kvm_check_and_inject_events without vmx_enable_nmi_window; kvm_pvm on Linux 6.18",
    plays: &["F18"],
    opens_nmi_window: false,
    ..CORRECT
};

/// F18, an interrupt that never comes.
pub const INTERRUPT_DROPPED: Behaviour = Behaviour {
    name: "interrupt-dropped",
    summary: "KVM_INTERRUPT returns 0, and the interrupt never comes",
    origin: "kvm_vcpu_ioctl_interrupt without kvm_queue_interrupt",
    plays: &["F18"],
    takes_interrupts: false,
    ..CORRECT
};

/// F18, an interrupt that comes too early.
pub const WINDOW_IN_SHADOW: Behaviour = Behaviour {
    name: "window-in-shadow",
    summary: "KVM_EXIT_IRQ_WINDOW_OPEN comes in the shadow of STI, and the interrupt is injected there",
    origin: "vmx_interrupt_blocked without GUEST_INTERRUPTIBILITY_INFO",
    plays: &["F18"],
    window: InterruptWindow::InShadow,
    ..CORRECT
};

/// F18, an interrupt that the guest has switched off.
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
    summary: "a page that the delivery of an event writes is not in the dirty ring",
    origin: "mark_page_dirty_in_slot, left out where an exit interrupts a delivery",
    plays: &["F24"],
    logs_deliveries: false,
    ..CORRECT
};
