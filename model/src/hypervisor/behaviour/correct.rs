//! What a behaviour is, and the correct one.

use crate::event::Event;
use fred::debug::Dr6;
use fred::event::{EventType, vector};
use kvm_bindings::{KVM_VCPUEVENT_VALID_PAYLOAD, kvm_vcpu_events};

/// The registers that hold something like event data, at the time of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventRegisters {
    /// CR2.
    pub cr2: u64,
    /// DR6.
    pub dr6: u64,
    /// IA32_XFD_ERR.
    pub xfd_err: u64,
}

/// What happens to an event whose delivery was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requeue {
    /// It is kept and injected again, as this event.
    Keep(Event),
    /// It is kept without its event data: its injection has none to write.
    KeepWithoutData(Event),
    /// It is dropped; the instruction that raised it runs again.
    RunAgain,
    /// It is dropped, and the instruction counts as completed.
    Lose,
}

/// What a hypervisor does at each place where it could lose event data.
#[derive(Clone, Copy, Debug)]
pub struct Behaviour {
    /// The name on command lines.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// Where it comes from: mail subject and date, the series, or the kernel function.
    pub origin: &'static str,
    /// The failure modes that it shows, as numbered in docs/behaviours.md; none for a correct one.
    pub plays: &'static [&'static str],

    /// The exception bitmap: which exceptions are intercepted while IA32_XFD has this value.
    pub intercepts: fn(xfd: u64) -> u32,
    /// An exception is intercepted and queued: the event, and the payload to queue with it.
    pub intercept: fn(event: Event, registers: &EventRegisters) -> Event,
    /// A pending exception's payload is delivered to the registers. Returns the event data that is kept,
    /// from vector and payload.
    pub deliver: fn(vector: u8, payload: u64) -> u64,
    /// The same where the capability is off and user space reads the state before the injection.
    pub deliver_early: fn(vector: u8, payload: u64) -> Option<u64>,
    /// An exception without event data in the queue is injected: the event data it gets nevertheless, from
    /// that of the exception before it.
    pub leftover: fn(last: u64) -> Option<u64>,
    /// An injection is set up: what is written to INJECTED_EVENT_DATA, from the vector, the event
    /// data kept in the queue, and the registers.
    pub inject: fn(vector: u8, data: u64, registers: &EventRegisters) -> u64,
    /// Whether 0 is written to INJECTED_EVENT_DATA when an event of this type is injected that has no event
    /// data. Otherwise the field keeps its value, and the processor pushes it.
    pub clears: fn(EventType) -> bool,
    /// An exit interrupted a delivery: what happens to the original event.
    pub requeue: fn(original: Event) -> Requeue,
    /// Whether the queue is cleared once an injected exception has been delivered.
    pub clears_delivered: bool,
    /// An injection was cancelled: the event data that goes back into the queue,
    /// from the injected event and the event data of the last original event.
    pub cancel: fn(injected: &Event, last_original: u64) -> Option<u64>,
    /// The same: the event itself; `None` where it is lost.
    pub cancelled: fn(Event) -> Option<Event>,
    /// KVM_GET_VCPU_EVENTS: how it carries an injected exception's event data.
    pub export: fn(data: u64, events: &mut kvm_vcpu_events),
    /// KVM_SET_VCPU_EVENTS: the event data of an injected exception.
    pub import: fn(events: &kvm_vcpu_events) -> Option<u64>,
    /// Whether KVM_GET_VCPU_EVENTS shows INT3 and INTO, which run again as well.
    pub exports_soft: bool,
    /// The flags of [`vm::overlay`] that its `kvm_vcpu_events` has: any other is EINVAL.
    pub overlay: u32,
    /// KVM_GET_MSRS: what user space reads from an MSR that has this value.
    pub saves_msr: fn(index: u32, value: u64) -> u64,
    /// Whether an injected exception's effects on CR2 and DR6 are repeated at each injection.
    pub repeats_side_effects: bool,
    /// Whether RF is set for a fault that is injected without having been pending here, as after a
    /// migration that turned pending into injected.
    pub rf_when_injected: bool,
    /// Whether blocking by STI outlives an exit that interrupts a delivery.
    pub keeps_sti_blocking: bool,
    /// Whether the interrupt shadow outlives an exit for an access of an instruction, which is then executed again.
    pub keeps_shadow: bool,
    /// Whether NMIs are blocked again where the second-stage page tables have refused the frame of IRET, which had
    /// ended their blocking: `vmx_recover_nmi_blocking`.
    pub blocks_nmis_again: bool,
    /// Whether an NMI that is requeued can be injected again: its own blocking is lifted.
    pub unblocks_requeued_nmi: bool,
    /// Whether KVM_GET_VCPU_EVENTS shows pending NMIs.
    pub saves_pending_nmi: bool,
    /// Whether KVM_GET_VCPU_EVENTS shows blocking by NMI.
    pub saves_nmi_blocking: bool,
    /// Whether KVM_NMI makes an NMI pending.
    pub takes_nmis: bool,
    /// Whether a pending NMI causes an exit as soon as the guest can take it: an NMI window.
    pub opens_nmi_window: bool,
    /// Whether KVM_INTERRUPT queues an interrupt.
    pub takes_interrupts: bool,
    /// When KVM_RUN returns KVM_EXIT_IRQ_WINDOW_OPEN.
    pub window: InterruptWindow,
    /// Whether the writes of event deliveries are logged in the dirty ring.
    pub logs_deliveries: bool,
}

/// When KVM reports that the guest can take an external interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterruptWindow {
    /// When it can: RFLAGS.IF is 1 and no interrupt shadow is in effect.
    Open,
    /// When RFLAGS.IF is 1, in an interrupt shadow too.
    InShadow,
    /// At once.
    WithoutIf,
}

impl Behaviour {
    /// Whether every scenario must pass with it.
    pub const fn is_correct(&self) -> bool {
        self.plays.is_empty()
    }
}

/// The correct behaviour, from which every other one differs: payload reuse with its gaps closed.
pub const CORRECT: Behaviour = Behaviour {
    name: "payload-reuse",
    summary: "event data is kept in the exception's payload, refilled on requeue and cancel, and kvm_vcpu_events \
              carries it with injected exceptions",
    origin: "Sean Christopherson, review of \"Virtualize FRED event_data\", Mar 2026, its gaps closed",
    plays: &[],
    intercepts: usual,
    intercept: |event, _| event,
    deliver: |_, payload| payload,
    deliver_early: |_, payload| Some(payload),
    leftover: |_| None,
    inject: |_, data, _| data,
    clears: |_| true,
    requeue: |original| match original.event_type {
        // These cannot be injected with their own type: the instruction raises them again.
        EventType::PrivilegedSoftwareException | EventType::Other => Requeue::RunAgain,
        _ => Requeue::Keep(original),
    },
    clears_delivered: true,
    cancel: |injected, _| Some(injected.data),
    cancelled: Some,
    export: |data, events| {
        events.exception_has_payload = 1;
        events.exception_payload = data;
    },
    import: |events| {
        let valid = events.flags & KVM_VCPUEVENT_VALID_PAYLOAD != 0 && events.exception_has_payload != 0;
        valid.then_some(events.exception_payload)
    },
    exports_soft: false,
    overlay: vm::overlay::VALID_NESTED,
    saves_msr: |_, value| value,
    repeats_side_effects: false,
    rf_when_injected: true,
    keeps_sti_blocking: true,
    keeps_shadow: true,
    blocks_nmis_again: true,
    unblocks_requeued_nmi: true,
    saves_pending_nmi: true,
    saves_nmi_blocking: true,
    takes_nmis: true,
    opens_nmi_window: true,
    takes_interrupts: true,
    window: InterruptWindow::Open,
    logs_deliveries: true,
};

/// What KVM intercepts whatever the guest does, and #NM while the guest uses XFD, so that the host's
/// IA32_XFD_ERR is never lost (`vmx_update_exception_bitmap`).
pub fn usual(xfd: u64) -> u32 {
    let always = 1 << vector::DB | 1 << vector::UD | 1 << vector::AC | 1 << vector::MC;
    if xfd != 0 { always | 1 << vector::NM } else { always }
}

/// #DB's event data, derived from DR6: right as long as no sticky bit was set before.
pub(super) fn from_dr6(registers: &EventRegisters) -> u64 {
    (registers.dr6 ^ Dr6::ACTIVE_LOW) & Dr6::VOLATILE
}
