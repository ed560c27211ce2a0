//! KVM's record of events in flight.

use crate::event::Event;
use fred::event::{EventType, vector};

/// The state of an exception in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Queued; its register effects are still to come.
    Pending,
    /// It has had its register effects: only the frame is missing.
    Injected,
}

/// One exception in flight: `struct kvm_queued_exception`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuedException {
    /// Pending or injected.
    pub stage: Stage,
    /// Vector.
    pub vector: u8,
    /// Event type: KVM derives it from the vector where the event did not come from the processor.
    pub event_type: EventType,
    /// Error code, if the vector has one.
    pub error_code: Option<u32>,
    /// The value that is still to be written to CR2 or DR6; `None` after that.
    pub payload: Option<u64>,
    /// Event data, after the payload has been delivered or the exception was requeued.
    pub data: Option<u64>,
    /// The exception was met while another event was delivered.
    pub nested: bool,
    /// Instruction length of a software exception, in bytes.
    pub length: u8,
    /// It has been delivered: only a wrong behaviour keeps such an exception.
    pub delivered: bool,
}

impl QueuedException {
    /// A pending exception: `kvm_queue_exception_p`.
    pub fn pending(vector: u8, error_code: Option<u32>, payload: Option<u64>) -> Self {
        Self {
            stage: Stage::Pending,
            vector,
            event_type: EventType::of_exception(vector),
            error_code,
            payload,
            data: None,
            nested: false,
            length: 0,
            delivered: false,
        }
    }

    /// Its vector and type alone.
    pub fn event(&self) -> Event {
        Event { event_type: self.event_type, ..Event::exception(self.vector) }
    }

    /// Whether KVM treats the exception as soft: its instruction runs again, and it is not saved:
    /// `kvm_exception_is_soft`.
    pub fn is_soft(&self) -> bool {
        self.event_type != EventType::HardwareException
    }

    /// Whether the exception is of fault class and sets RF in the RFLAGS it saves. #DB never does,
    /// and KVM counts #DF and #MC as aborts (`exception_type`).
    pub fn sets_rf(&self) -> bool {
        !self.is_soft() && vector::sets_rf(self.vector)
    }
}

/// The events in flight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// The exception.
    pub exception: Option<QueuedException>,
    /// An interrupt whose delivery has begun: `interrupt.injected` with `interrupt.nr`.
    pub interrupt: Option<u8>,
    /// An `INT n` whose delivery has begun: `interrupt.soft`. KVM_GET_VCPU_EVENTS does not show it.
    pub soft_interrupt: Option<Event>,
    /// An NMI whose delivery has begun.
    pub nmi_injected: bool,
    /// Pending NMIs.
    pub nmi_pending: u8,
}

impl Queue {
    /// Whether the delivery of an event has begun and not completed.
    pub fn in_flight(&self) -> bool {
        self.exception.is_some_and(|e| e.stage == Stage::Injected)
            || self.interrupt.is_some()
            || self.soft_interrupt.is_some()
            || self.nmi_injected
    }

    /// Clears every injected event and keeps pending exceptions, as KVM does before it
    /// reads the exit's original event.
    pub fn clear_injected(&mut self) {
        self.exception = self.exception.filter(|e| e.stage == Stage::Pending);
        self.interrupt = None;
        self.soft_interrupt = None;
        self.nmi_injected = false;
    }
}
