//! Event delivery: register effects, intercepts, the delivery itself, and what happens when it
//! meets an exception or is interrupted.

pub(crate) mod double_fault;
mod fred_delivery;
mod idt;

use crate::cpu::core::Core;
use crate::event::Event;
use crate::exit::ExitReason;
use crate::memory::Memory;
use crate::mmu::Kind;
use crate::stop::Stop;
use double_fault::Escalation;
use fred::control::rflags;
use fred::event::{EventType, vector};

/// How many exceptions one delivery may meet, one after the other, before it is an exit.
///
/// Double-fault rules end every chain of contributory exceptions and page faults. A chain of others
/// need not end: on a processor that met #DB or #AC in each delivery of the one before, it did not
/// (CVE-2015-8104, CVE-2015-5307).
const MOST_MET: u32 = 1 << 10;

/// An exit during delivery: its reason, and the event whose delivery it interrupted.
pub(crate) type Interrupted = (ExitReason, Option<Event>);

/// Where an event comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A VM entry injects it: no intercept, no effect on registers.
    Injected,
    /// The guest raised it.
    Raised,
}

impl Core {
    /// Delivers an event, or the exception that its delivery meets, unless that is intercepted.
    pub(crate) fn deliver(
        &mut self,
        memory: &mut Memory,
        event: Event,
        origin: Origin,
        intercepts: u32,
    ) -> Result<(), Interrupted> {
        if !(self.mov_ss_blocking && keeps_held_back(&event)) {
            self.pending_debug = 0;
        }
        memory.begin_delivery();
        let result = self.deliver_until_done(memory, event, origin, intercepts);
        memory.end_delivery();
        result
    }

    /// Delivers `event`, then whatever exception its delivery meets, until one is delivered, or the
    /// entry's budget is taken to be used up: [`MOST_MET`].
    fn deliver_until_done(
        &mut self,
        memory: &mut Memory,
        event: Event,
        origin: Origin,
        intercepts: u32,
    ) -> Result<(), Interrupted> {
        let (mut event, mut origin, mut during) = (event, origin, None);
        // An event ends HLT before its delivery begins, which may then be stopped.
        self.halted = false;
        for _ in 0..MOST_MET {
            if origin == Origin::Raised {
                self.raise(&event, during, intercepts)?;
            }
            let outcome = if self.fred() {
                self.deliver_by_fred(memory, &event)
            } else {
                self.deliver_by_idt(memory, &event)
            };
            let next = match outcome.map_err(|stop| *stop) {
                Ok(()) => {
                    self.delivered(&event);
                    return Ok(());
                }
                Err(Stop::Fault(met)) => self.follows(&event, met, intercepts)?,
                Err(stop) => return Err((self.interrupted(stop), Some(event))),
            };
            (event, origin, during) = (next, Origin::Raised, Some(event));
        }
        Err((ExitReason::Budget, Some(event)))
    }

    /// The steps before the delivery of an event that the guest raised: RF, then an intercept or the
    /// register effects.
    fn raise(&mut self, event: &Event, during: Option<Event>, intercepts: u32) -> Result<(), Interrupted> {
        if sets_rf(event) {
            self.rflags |= rflags::RF;
        }
        if is_intercepted(event, intercepts) {
            // A double fault is not an exit during delivery.
            let original = during.filter(|_| event.vector != vector::DF);
            return Err((ExitReason::Exception(*event), original));
        }
        self.register_effects(event);
        Ok(())
    }

    /// What is delivered after `met` was met in the delivery of `event`.
    fn follows(&mut self, event: &Event, met: Event, intercepts: u32) -> Result<Event, Interrupted> {
        let nested = Event { nested: self.fred(), ..met };
        // The exception bitmap applies to the exception that was met, before it becomes a double fault.
        if is_intercepted(&met, intercepts) {
            self.rflags |= rflags::RF;
            return Err((ExitReason::Exception(nested), Some(*event)));
        }
        match self.escalate(event, &met) {
            Escalation::Nested => Ok(nested),
            Escalation::DoubleFault => {
                if met.vector == vector::PF {
                    self.cr2 = met.data;
                }
                Ok(Event::with_error_code(vector::DF, 0))
            }
            Escalation::TripleFault => Err((ExitReason::TripleFault, None)),
        }
    }

    /// What follows when `met` is met while `event` is delivered.
    fn escalate(&self, event: &Event, met: &Event) -> Escalation {
        #[cfg(test)]
        if self.scratch.no_double_fault {
            return Escalation::Nested;
        }
        double_fault::escalate(event, met)
    }

    /// What an exception does to registers before it is delivered. IA32_XFD_ERR is written where
    /// the exception is raised.
    fn register_effects(&mut self, event: &Event) {
        if event.event_type != EventType::HardwareException {
            return;
        }
        match event.vector {
            vector::PF => self.cr2 = event.data,
            vector::DB => self.record_debug_conditions(event.data),
            _ => {}
        }
    }

    /// Data breakpoints on a frame that has been stored: a trap before the handler's first instruction.
    ///
    /// Processors check them, so that a #DB whose own frame is watched is followed by another #DB without end
    /// (CVE-2015-8104: "a hardware breakpoint covering a data structure involved in delivering #DB").
    /// What a delivery *reads* is not watched here: see `docs/open-questions.md`.
    fn watch_frame(&mut self, bottom: u64, size: u64) {
        if self.has_breakpoints() {
            self.pending_debug |= self.hit_by_data(bottom, size, Kind::Write);
        }
    }

    /// The last steps of every delivery.
    fn delivered(&mut self, event: &Event) {
        if event.event_type == EventType::Nmi {
            self.nmi_blocking = true;
        }
        self.sti_blocking = false;
        self.mov_ss_blocking = false;
    }

    fn interrupted(&mut self, stop: Stop) -> ExitReason {
        match stop {
            Stop::Refused(refused) => {
                ExitReason::EptViolation { gpa: refused.gpa, write: refused.write, unblocked_nmis: false }
            }
            Stop::Unsupported(text) => {
                ExitReason::UnknownInstruction { text: text.to_owned(), rip: self.rip }
            }
            _ => ExitReason::UnknownInstruction { text: "event delivery".to_owned(), rip: self.rip },
        }
    }

    /// The RIP that goes into the frame: after the instruction for events that one asks for.
    fn saved_rip(&self, event: &Event) -> u64 {
        if event.event_type.has_instruction_length() {
            let next = self.rip.wrapping_add(event.length.into());
            return if self.is_64_bit() { next } else { next & 0xFFFF_FFFF };
        }
        self.rip
    }
}

/// Whether the frame's RFLAGS.RF is 1.
fn sets_rf(event: &Event) -> bool {
    event.event_type == EventType::HardwareException && vector::sets_rf(event.vector)
}

/// Whether the exception bitmap applies and has the event's bit set.
fn is_intercepted(event: &Event, intercepts: u32) -> bool {
    event.event_type.is_exception() && event.vector < 32 && intercepts >> event.vector & 1 != 0
}

/// Whether debug exceptions that MOV SS holds back stay pending for the event's handler. Other events discard
/// them.
///
/// A doubt, in `docs/open-questions.md`: the manual says so of the injection of software interrupts and
/// software exceptions (vol. 3, "Delivery of pending debug exceptions after VM entry"), and no source
/// has the words for FRED.
fn keeps_held_back(event: &Event) -> bool {
    matches!(event.event_type, EventType::SoftwareInterrupt | EventType::SoftwareException)
}
