//! From the queue to the processor and back.

use super::Vm;
use super::behaviour::EventRegisters;
use super::queue::{QueuedException, Stage, type_of_vector};
use crate::event::Event;
use fred::control::rflags;
use fred::debug::{Dr6, Dr7};
use fred::event::{EventType, vector};

impl Vm {
    /// Chooses the event that the next entry injects: `kvm_check_and_inject_events`.
    ///
    /// What is injected already goes first; a pending exception has its register effects now and
    /// becomes injected.
    pub(super) fn check_and_inject(&mut self) -> Option<Event> {
        if self.queue.exception.is_some_and(|e| e.stage == Stage::Pending) && !self.queue.in_flight() {
            self.promote();
        }
        if let Some(exception) = self.queue.exception.filter(|e| e.stage == Stage::Injected) {
            return Some(self.exception_event(&exception));
        }
        if let Some(event) = self.queue.soft_interrupt {
            return Some(event);
        }
        if self.queue.nmi_injected {
            return Some(plain(vector::NMI, EventType::Nmi));
        }
        if let Some(number) = self.queue.interrupt {
            return Some(plain(number, EventType::ExternalInterrupt));
        }
        if self.queue.nmi_pending > 0 && !self.processor.nmi_blocking && !self.processor.mov_ss_blocking {
            self.queue.nmi_pending -= 1;
            self.queue.nmi_injected = true;
            return Some(plain(vector::NMI, EventType::Nmi));
        }
        None
    }

    /// A pending exception becomes injected.
    fn promote(&mut self) {
        let Some(mut exception) = self.queue.exception else { return };
        if exception.sets_rf() {
            self.processor.rflags |= rflags::RF;
        }
        self.deliver_payload(&mut exception);
        if exception.vector == vector::DB {
            self.processor.dr7 &= !Dr7::GD;
        }
        exception.stage = Stage::Injected;
        self.queue.exception = Some(exception);
    }

    /// The register effects of an exception that hardware did not deliver itself, once:
    /// `kvm_deliver_exception_payload`.
    pub(super) fn deliver_payload(&mut self, exception: &mut QueuedException) {
        let Some(payload) = exception.payload.take() else { return };
        exception.data = (self.behaviour.deliver)(exception.vector, payload);
        match exception.vector {
            vector::PF => self.processor.cr2 = payload,
            vector::DB => self.processor.dr6 = merge_into_dr6(self.processor.dr6, payload),
            // #NM: hardware wrote IA32_XFD_ERR before the intercept was looked at.
            _ => {}
        }
    }

    /// What is written to the entry's injection fields for an exception: `vmx_inject_exception`.
    fn exception_event(&mut self, exception: &QueuedException) -> Event {
        if self.behaviour.rf_when_injected && exception.sets_rf() {
            self.processor.rflags |= rflags::RF;
        }
        let registers = EventRegisters {
            cr2: self.processor.cr2,
            dr6: self.processor.dr6,
            xfd_err: self.processor.msrs.xfd_err,
        };
        Event {
            vector: exception.vector,
            event_type: exception.event_type,
            error_code: exception.error_code,
            data: (self.behaviour.inject)(exception.vector, exception.data, &registers),
            nested: exception.nested,
            length: exception.length,
        }
    }

    /// An entry with `injected` set up is abandoned: `vmx_cancel_injection`.
    pub(super) fn cancel_injection(&mut self, injected: Option<Event>) {
        self.queue.clear_injected();
        if let Some(event) = injected {
            let data = (self.behaviour.cancel)(&event);
            self.requeue(event, data);
        }
    }

    /// After every exit: what the exit interrupted goes back into the queue, everything else that
    /// was injected has been delivered: `vmx_complete_interrupts`.
    pub(super) fn complete_interrupts(&mut self, original: Option<Event>) {
        self.queue.clear_injected();
        let Some(event) = original else { return };
        match event.event_type {
            // These rely on the instruction running again.
            EventType::PrivilegedSoftwareException | EventType::Other => {}
            _ => {
                if let Some(data) = (self.behaviour.requeue)(&event) {
                    self.requeue(event, data);
                }
            }
        }
    }

    fn requeue(&mut self, event: Event, data: u64) {
        match event.event_type {
            EventType::ExternalInterrupt => self.queue.interrupt = Some(event.vector),
            EventType::Nmi => {
                self.queue.nmi_injected = true;
                self.processor.nmi_blocking = false;
            }
            EventType::SoftwareInterrupt => self.queue.soft_interrupt = Some(event),
            EventType::HardwareException
            | EventType::SoftwareException
            | EventType::PrivilegedSoftwareException
            | EventType::Other => {
                self.queue.exception = Some(QueuedException {
                    stage: Stage::Injected,
                    vector: event.vector,
                    event_type: type_of_vector(event.vector),
                    error_code: event.error_code,
                    payload: None,
                    data,
                    nested: event.nested,
                    length: event.length,
                });
            }
        }
    }
}

/// DR6 after a #DB whose payload is `payload`, in the format of event data.
fn merge_into_dr6(dr6: u64, payload: u64) -> u64 {
    let merged = (dr6 & !Dr6::B | Dr6::ACTIVE_LOW | payload) ^ (payload & Dr6::ACTIVE_LOW);
    // Bit 12 of a payload says that an enabled breakpoint was hit and has no place in DR6.
    merged & !(1 << 12)
}

fn plain(vector: u8, event_type: EventType) -> Event {
    Event { vector, event_type, error_code: None, data: 0, nested: false, length: 0 }
}

#[cfg(test)]
mod tests {
    use super::merge_into_dr6;

    #[test]
    fn dr6_keeps_sticky_bits_and_rewrites_the_others() {
        assert_eq!(merge_into_dr6(0xFFFF_0FF0, 0x4001), 0xFFFF_4FF1);
        assert_eq!(merge_into_dr6(0xFFFF_AFFF, 0x4000), 0xFFFF_EFF0);
        assert_eq!(merge_into_dr6(0xFFFF_0FF0, 0x1_0800), 0xFFFE_07F0);
        assert_eq!(merge_into_dr6(0xFFFF_0FF0, 0x1001), 0xFFFF_0FF1);
    }
}
