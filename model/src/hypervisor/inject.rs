//! From the queue to the processor and back.

use super::Vm;
use super::behaviour::{EventRegisters, Requeue};
use super::queue::{QueuedException, Stage};
use crate::event::Event;
use fred::control::rflags;
use fred::debug::Dr6;
use fred::event::{EventType, vector};

impl Vm {
    /// Chooses the event that the next entry injects: `kvm_check_and_inject_events`.
    ///
    /// An exception goes first, injected or pending. A pending one was met in the delivery of an NMI or an
    /// interrupt, and replaces it, or it belongs to the instruction before. It has its register effects
    /// now and becomes injected.
    pub(super) fn check_and_inject(&mut self) -> Option<Event> {
        if self.queue.exception.is_some_and(|e| e.stage == Stage::Pending) {
            self.promote();
        }
        if let Some(exception) = self.queue.exception {
            return Some(self.exception_event(&exception));
        }
        if self.queue.nmi_injected {
            return Some(self.without_data(Event::nmi()));
        }
        if let Some(event) = self.queue.soft_interrupt {
            return Some(self.without_data(event));
        }
        if let Some(number) = self.queue.interrupt {
            return Some(self.without_data(Event::interrupt(number)));
        }
        if self.queue.nmi_pending > 0 && !self.nmi_blocked() {
            self.queue.nmi_pending -= 1;
            self.queue.nmi_injected = true;
            return Some(self.without_data(Event::nmi()));
        }
        None
    }

    /// `vmx_nmi_blocked`: VMX refuses an entry that injects an NMI under any of the three.
    fn nmi_blocked(&self) -> bool {
        let cpu = &self.processor;
        cpu.nmi_blocking || cpu.sti_blocking || cpu.mov_ss_blocking
    }

    /// An interrupt, an NMI or INT n: `vmx_inject_irq`, `vmx_inject_nmi`. The processor pushes what
    /// INJECTED_EVENT_DATA holds for every event that is injected.
    fn without_data(&mut self, event: Event) -> Event {
        if (self.behaviour.clears)(event.event_type) {
            self.injected_event_data = 0;
        }
        Event { data: self.injected_event_data, ..event }
    }

    /// A pending exception becomes injected.
    fn promote(&mut self) {
        let Some(mut exception) = self.queue.exception else { return };
        if exception.sets_rf() {
            self.processor.rflags |= rflags::RF;
        }
        let deliver = self.behaviour.deliver;
        self.deliver_payload(&mut exception, |number, payload| Some(deliver(number, payload)));
        if exception.vector == vector::DB {
            self.processor.enter_debug_handler();
        }
        exception.stage = Stage::Injected;
        self.queue.exception = Some(exception);
    }

    /// The register effects of an exception that hardware did not deliver itself, once:
    /// `kvm_deliver_exception_payload`. `kept` says which event data remains of the payload.
    pub(super) fn deliver_payload(
        &mut self,
        exception: &mut QueuedException,
        kept: impl Fn(u8, u64) -> Option<u64>,
    ) {
        let Some(payload) = exception.payload.take() else { return };
        exception.data = kept(exception.vector, payload);
        self.last_event_data = exception.data.unwrap_or(self.last_event_data);
        self.side_effects(exception.vector, payload);
    }

    fn side_effects(&mut self, number: u8, payload: u64) {
        match number {
            vector::PF => self.processor.cr2 = payload,
            vector::DB => self.processor.dr6 = merge_into_dr6(self.processor.dr6, payload),
            // #NM: hardware wrote IA32_XFD_ERR before the intercept.
            _ => {}
        }
    }

    /// What is written to the entry's injection fields for an exception: `vmx_inject_exception`.
    fn exception_event(&mut self, exception: &QueuedException) -> Event {
        if self.behaviour.rf_when_injected && exception.sets_rf() {
            self.processor.rflags |= rflags::RF;
        }
        let behaviour = self.behaviour;
        if behaviour.repeats_side_effects {
            self.side_effects(exception.vector, exception.data.unwrap_or(0));
        }
        let data = exception.data.or_else(|| (behaviour.leftover)(self.last_event_data));
        if let Some(data) = data.or((behaviour.clears)(exception.event_type).then_some(0)) {
            self.injected_event_data = (behaviour.inject)(exception.vector, data, &self.event_registers());
        }
        Event {
            error_code: exception.error_code,
            data: self.injected_event_data,
            nested: exception.nested,
            length: exception.length,
            ..exception.event()
        }
    }

    pub(super) fn event_registers(&self) -> EventRegisters {
        EventRegisters {
            cr2: self.processor.cr2,
            dr6: self.processor.dr6,
            xfd_err: self.processor.msrs.xfd_err,
        }
    }

    /// The injection of `injected` is cancelled: `vmx_cancel_injection`.
    pub(super) fn cancel_injection(&mut self, injected: Option<Event>) {
        self.queue.clear_injected();
        if let Some(event) = injected {
            let data = (self.behaviour.cancel)(&event, self.last_original_data);
            if let Some(event) = (self.behaviour.cancelled)(event) {
                self.put_back(event, data);
            }
        }
    }

    /// After every exit: the event that the exit interrupted is requeued, and any other injected event has
    /// been delivered: `vmx_complete_interrupts`.
    pub(super) fn complete_interrupts(&mut self, original: Option<Event>) {
        let delivered = self.queue.exception.filter(|e| e.stage == Stage::Injected && original.is_none());
        self.queue.clear_injected();
        if let Some(exception) = delivered
            && !self.behaviour.clears_delivered
            && !exception.delivered
        {
            self.queue.exception = Some(QueuedException { delivered: true, ..exception });
        }
        let Some(event) = original else { return };
        self.last_original_data = event.data;
        if !self.behaviour.keeps_sti_blocking {
            self.processor.sti_blocking = false;
        }
        match (self.behaviour.requeue)(event) {
            Requeue::Keep(event) => self.put_back(event, Some(event.data)),
            Requeue::KeepWithoutData(event) => self.put_back(event, None),
            Requeue::RunAgain => {}
            Requeue::Lose => self.processor.skip_instruction(event.length),
        }
    }

    /// Requeues an event whose delivery was interrupted, an exception with this event data:
    /// `kvm_requeue_exception` and the like.
    fn put_back(&mut self, event: Event, data: Option<u64>) {
        match event.event_type {
            EventType::ExternalInterrupt => self.queue.interrupt = Some(event.vector),
            EventType::Nmi => {
                // The injection began NMI blocking, but the NMI was not delivered.
                self.processor.nmi_blocking = !self.behaviour.unblocks_requeued_nmi;
                if self.processor.nmi_blocking {
                    self.queue.nmi_pending = 1;
                } else {
                    self.queue.nmi_injected = true;
                }
            }
            EventType::SoftwareInterrupt => self.queue.soft_interrupt = Some(event),
            EventType::HardwareException
            | EventType::SoftwareException
            | EventType::PrivilegedSoftwareException
            | EventType::Other => {
                self.last_event_data = data.unwrap_or(self.last_event_data);
                self.queue.exception = Some(QueuedException {
                    stage: Stage::Injected,
                    event_type: event.event_type,
                    data,
                    nested: event.nested,
                    length: event.length,
                    ..QueuedException::pending(event.vector, event.error_code, None)
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
