//! KVM_GET_VCPU_EVENTS and KVM_SET_VCPU_EVENTS.

use super::Vm;
use super::queue::{QueuedException, Stage};
use fred::event::{EventType, vector};
use kvm_bindings::{
    KVM_VCPUEVENT_VALID_NMI_PENDING, KVM_VCPUEVENT_VALID_PAYLOAD, KVM_VCPUEVENT_VALID_SHADOW,
    KVM_VCPUEVENT_VALID_SMM, KVM_X86_SHADOW_INT_MOV_SS, KVM_X86_SHADOW_INT_STI, kvm_vcpu_events,
};
use vm::overlay::{self, VALID_NESTED};

/// KVM_SET_VCPU_EVENTS refused with EINVAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEvents {
    /// A flag that is not known, or one whose capability is off.
    #[error("flags {0:#x} hold one that this VM does not have")]
    Flags(u32),
    /// No exception has this vector.
    #[error("{0} is not the vector of an exception")]
    Vector(u8),
    /// The VCPU is in system-management mode, or an SMI is pending: this VM has no SMM.
    #[error("there is no system-management mode here")]
    Smm,
}

impl Vm {
    /// Without KVM_CAP_EXCEPTION_PAYLOAD a pending payload is delivered before user space reads the state:
    /// KVM_GET_VCPU_EVENTS, KVM_GET_SREGS and KVM_GET_DEBUGREGS do this.
    pub(super) fn deliver_payload_early(&mut self) {
        if self.exception_payload {
            return;
        }
        if let Some(mut exception) = self.queue.exception.filter(|e| e.stage == Stage::Pending) {
            self.deliver_payload(&mut exception, self.behaviour.deliver_early);
            self.queue.exception = Some(exception);
        }
    }

    /// KVM_GET_VCPU_EVENTS.
    pub(super) fn export_events(&mut self) -> kvm_vcpu_events {
        self.deliver_payload_early();
        let mut events = kvm_vcpu_events {
            flags: KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW,
            ..Default::default()
        };
        if self.exception_payload {
            events.flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
        }
        if let Some(exception) = self.queue.exception {
            self.export_exception(&exception, &mut events);
        }
        // `INT n` runs again, so the interrupt's slot is not shown.
        events.interrupt.injected = u8::from(self.queue.interrupt.is_some());
        events.interrupt.nr = self.queue.interrupt.unwrap_or(0);
        events.interrupt.shadow = self.shadow();
        events.nmi.injected = u8::from(self.queue.nmi_injected);
        if self.behaviour.saves_pending_nmi {
            events.nmi.pending = self.queue.nmi_pending;
        }
        events.nmi.masked = u8::from(self.processor.nmi_blocking && self.behaviour.saves_nmi_blocking);
        self.trace_events("GET_VCPU_EVENTS", &events);
        events
    }

    fn export_exception(&self, exception: &QueuedException, events: &mut kvm_vcpu_events) {
        let pending = exception.stage == Stage::Pending;
        // Without the capability, pending is shown as injected; with it, the two differ.
        let injected = !pending || !self.exception_payload;
        if !exception.is_soft() || self.behaviour.exports_soft {
            events.exception.pending = u8::from(pending);
            events.exception.injected = u8::from(injected);
        }
        events.exception.nr = exception.vector;
        events.exception.has_error_code = u8::from(exception.error_code.is_some());
        events.exception.error_code = exception.error_code.unwrap_or(0);
        if self.behaviour.overlay & VALID_NESTED != 0 {
            overlay::set_nested(events, exception.nested);
        }
        match exception.payload {
            Some(payload) => {
                events.exception_has_payload = 1;
                events.exception_payload = payload;
            }
            None => {
                if let Some(data) = exception.data.filter(|_| injected) {
                    (self.behaviour.export)(data, events);
                }
            }
        }
    }

    /// Whether KVM_SET_VCPU_EVENTS takes `events`.
    ///
    /// # Errors
    /// Where KVM returns EINVAL.
    pub fn check_events(&self, events: &kvm_vcpu_events) -> Result<(), InvalidEvents> {
        let known = KVM_VCPUEVENT_VALID_NMI_PENDING
            | KVM_VCPUEVENT_VALID_SHADOW
            | KVM_VCPUEVENT_VALID_PAYLOAD
            | KVM_VCPUEVENT_VALID_SMM
            | self.behaviour.overlay;
        let has = |flag| events.flags & flag != 0;
        if events.flags & !known != 0 || has(KVM_VCPUEVENT_VALID_PAYLOAD) && !self.exception_payload {
            return Err(InvalidEvents::Flags(events.flags));
        }
        // KVM's GET always has the flag.
        if has(KVM_VCPUEVENT_VALID_SMM) && (events.smi.smm != 0 || events.smi.pending != 0) {
            return Err(InvalidEvents::Smm);
        }
        let (pending, injected) = stages(events);
        if (pending || injected) && (events.exception.nr > 31 || events.exception.nr == vector::NMI) {
            return Err(InvalidEvents::Vector(events.exception.nr));
        }
        Ok(())
    }

    /// KVM_SET_VCPU_EVENTS with events that are not refused.
    pub(super) fn import_events(&mut self, events: &kvm_vcpu_events) {
        let (pending, injected) = stages(events);
        self.queue.exception = (pending || injected).then(|| QueuedException {
            stage: if pending { Stage::Pending } else { Stage::Injected },
            vector: events.exception.nr,
            event_type: EventType::of_exception(events.exception.nr),
            error_code: (events.exception.has_error_code != 0).then_some(events.exception.error_code),
            payload: (pending && events.exception_has_payload != 0).then_some(events.exception_payload),
            data: if injected { (self.behaviour.import)(events) } else { None },
            nested: overlay::nested(events),
            // The uAPI carries no instruction length.
            length: 0,
            delivered: false,
        });
        self.queue.interrupt = (events.interrupt.injected != 0).then_some(events.interrupt.nr);
        self.queue.soft_interrupt = None;
        if events.flags & KVM_VCPUEVENT_VALID_SHADOW != 0 {
            let shadow = u32::from(events.interrupt.shadow);
            self.processor.sti_blocking = shadow & KVM_X86_SHADOW_INT_STI != 0;
            self.processor.mov_ss_blocking = shadow & KVM_X86_SHADOW_INT_MOV_SS != 0;
        }
        self.queue.nmi_injected = events.nmi.injected != 0;
        if events.flags & KVM_VCPUEVENT_VALID_NMI_PENDING != 0 {
            self.queue.nmi_pending = events.nmi.pending;
        }
        self.processor.nmi_blocking = events.nmi.masked != 0;
    }

    fn shadow(&self) -> u8 {
        let sti = if self.processor.sti_blocking { KVM_X86_SHADOW_INT_STI } else { 0 };
        let mov_ss = if self.processor.mov_ss_blocking { KVM_X86_SHADOW_INT_MOV_SS } else { 0 };
        (sti | mov_ss) as u8
    }
}

/// Whether the events hold a pending exception, or an injected one: pending = 1 clears injected.
fn stages(events: &kvm_vcpu_events) -> (bool, bool) {
    let pending = events.flags & KVM_VCPUEVENT_VALID_PAYLOAD != 0 && events.exception.pending != 0;
    (pending, !pending && events.exception.injected != 0)
}
