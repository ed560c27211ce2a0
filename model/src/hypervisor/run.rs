//! KVM_RUN.

use super::Vm;
use super::behaviour::InterruptWindow;
use super::io::PendingIo;
use super::queue::QueuedException;
use crate::delivery::double_fault::{Escalation, escalate};
use crate::event::Event;
use crate::processor::{Entry, ExitReason};
use fred::control::rflags;
use fred::event::{EventType, vector};
use std::time::Instant;

/// How KVM_RUN is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Until something happens.
    Normal,
    /// `immediate_exit = 1`: pending I/O is completed, the guest not entered.
    ImmediateExit,
    /// A signal is pending: the entry is prepared, injection included, then cancelled.
    SignalPending,
    /// A signal comes after so many exits, and every exception leaves the guest on its way to its
    /// handler, as it does where KVM has no second stage or emulates.
    SignalAfter(u32),
}

/// Why KVM_RUN returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Return {
    /// OUT or OUTS of `data`, items of `size` bytes.
    Output {
        /// Port.
        port: u16,
        /// Bytes of one item.
        size: u8,
        /// The item.
        data: Vec<u8>,
    },
    /// IN or INS of one item of `size` bytes: answer with [`Vm::set_io_data`].
    Input {
        /// Port.
        port: u16,
        /// Bytes of one item.
        size: u8,
    },
    /// A guest access, or a delivery, met a page that the second stage refuses.
    Fault {
        /// Guest-physical address.
        gpa: u64,
    },
    /// A guest access beyond guest memory.
    Mmio {
        /// Guest-physical address.
        gpa: u64,
        /// Whether it is a write.
        write: bool,
    },
    /// The guest can take an interrupt.
    InterruptWindow,
    /// The dirty ring has no room.
    DirtyRingFull,
    /// KVM_EXIT_INTERNAL_ERROR.
    InternalError {
        /// Why.
        suberror: u32,
    },
    /// HLT.
    Halt,
    /// Triple fault.
    Shutdown,
    /// A signal or `immediate_exit`.
    Interrupted,
    /// The deadline has passed.
    Deadline,
    /// An instruction that the processor does not know.
    UnknownInstruction {
        /// Its text.
        text: String,
        /// Its address.
        rip: u64,
    },
}

/// How many instructions run between two looks at the clock: some milliseconds.
const SLICE: u64 = 200_000;

impl Vm {
    /// KVM_RUN.
    pub fn run(&mut self, mode: Mode) -> Return {
        self.swap_decoded();
        let why = self.run_until_return(mode);
        self.swap_decoded();
        why
    }

    fn run_until_return(&mut self, mode: Mode) -> Return {
        self.complete_io();
        if mode == Mode::ImmediateExit {
            return Return::Interrupted;
        }
        let mut exits = 0;
        loop {
            if self.is_dirty_ring_full() {
                return Return::DirtyRingFull;
            }
            if let Mode::SignalAfter(limit) = mode
                && exits >= limit
            {
                return Return::Interrupted;
            }
            exits += 1;
            let injected = self.check_and_inject();
            if mode == Mode::SignalPending {
                self.cancel_injection(injected);
                self.tell_queue("after the abandoned entry");
                return Return::Interrupted;
            }
            if self.deadline.is_some_and(|at| Instant::now() >= at) {
                self.cancel_injection(injected);
                return Return::Deadline;
            }
            let entry = Entry {
                injected,
                intercepts: match mode {
                    Mode::SignalAfter(_) => u32::MAX,
                    _ => (self.behaviour.intercepts)(self.processor.msrs.xfd),
                },
                interrupt_window: self.interrupt_window,
                nmi_window: self.queue.nmi_pending > 0 && self.behaviour.opens_nmi_window,
                instructions: self.slice(self.longest_slice(), injected.is_some()),
            };
            self.tell_entry(entry.injected.as_ref());
            let exit = self.processor.enter(&mut self.memory, &entry);
            self.exits += 1;
            self.tell_exit(&exit);
            self.flush_dirty_log();
            self.complete_interrupts(exit.original);
            if exit.original.is_some() {
                self.tell_queue("after the requeue");
            }
            if let Some(why) = self.handle_exit(exit.reason, exit.original.is_some()) {
                return why;
            }
            if self.opens_wrong_window() {
                return Return::InterruptWindow;
            }
        }
    }

    /// A hypervisor that opens interrupt windows where the processor does not has to look for itself.
    fn longest_slice(&self) -> u64 {
        let wrong = self.interrupt_window && self.behaviour.window != InterruptWindow::Open;
        if wrong { 1 } else { SLICE }
    }

    /// `kvm_vcpu_ready_for_interrupt_injection` of a behaviour that is wrong about it.
    fn opens_wrong_window(&self) -> bool {
        let cpu = &self.processor;
        self.interrupt_window
            && !self.queue.in_flight()
            && match self.behaviour.window {
                InterruptWindow::Open => false,
                InterruptWindow::InShadow => cpu.rflags & rflags::IF != 0,
                InterruptWindow::WithoutIf => true,
            }
    }

    fn handle_exit(&mut self, reason: ExitReason, in_delivery: bool) -> Option<Return> {
        match reason {
            ExitReason::Exception(event) => return self.reflect(event),
            ExitReason::Io { port, size, input, string, rep, length, .. } => {
                let io = PendingIo { port, size, input, string, rep, length, data: Vec::new() };
                return self.exit_for_io(io);
            }
            ExitReason::StageTwo { gpa, write } => {
                return self.second_stage_violation(gpa, write, in_delivery);
            }
            ExitReason::Halt => return Some(Return::Halt),
            ExitReason::TripleFault => return Some(Return::Shutdown),
            ExitReason::UnknownInstruction { text, rip } => {
                return Some(Return::UnknownInstruction { text, rip });
            }
            ExitReason::InterruptWindow => return Some(Return::InterruptWindow),
            ExitReason::Budget | ExitReason::NmiWindow => {}
        }
        None
    }

    /// An intercepted exception goes to the guest through the queue: `handle_exception_nmi`.
    fn reflect(&mut self, event: Event) -> Option<Return> {
        let event = (self.behaviour.intercept)(event, &self.event_registers());
        // INT1 has no condition to report, and sets no bit of DR6.
        let reports =
            event.event_type == EventType::HardwareException && vector::has_event_data(event.vector);
        let payload = reports.then_some(event.data);
        // A length without an event type that has one: the instruction counts as skipped.
        let skipped = !event.event_type.has_instruction_length() && event.length != 0;
        if skipped {
            self.processor.skip_instruction(event.length);
        }
        self.queue_behind_injected(QueuedException {
            event_type: event.event_type,
            nested: event.nested,
            length: if skipped { 0 } else { event.length },
            ..QueuedException::pending(event.vector, event.error_code, payload)
        })
    }

    /// What the queue makes of an exception that was met while the one it holds was delivered:
    /// `kvm_multiple_exception`.
    fn queue_behind_injected(&mut self, met: QueuedException) -> Option<Return> {
        let escalation = self.queue.exception.map(|first| escalate(&first.event(), &met.event()));
        self.queue.exception = match escalation {
            None | Some(Escalation::Nested) => Some(met),
            Some(Escalation::DoubleFault) => {
                // KVM drops the second exception's payload here. The processor writes CR2 for a #PF
                // that becomes #DF.
                if let Some(address) = met.payload.filter(|_| met.vector == vector::PF) {
                    self.processor.cr2 = address;
                }
                Some(QueuedException::pending(vector::DF, Some(0), None))
            }
            Some(Escalation::TripleFault) => {
                self.queue.exception = None;
                return Some(Return::Shutdown);
            }
        };
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpuid::default_table;
    use crate::hypervisor::behaviour::intercepts::{INTERCEPT_EVERYTHING, INTERCEPT_NOTHING};
    use crate::hypervisor::behaviour::{Behaviour, CORRECT};
    use std::time::Duration;

    /// A VM in real mode without an IDT, at `code`: no event can be delivered.
    fn vm(behaviour: &'static Behaviour, code: &[u8]) -> Vm {
        let mut vm = Vm::new(0x2000, default_table(), behaviour, true);
        vm.processor.segments.cs.base = 0;
        vm.processor.rip = 0x1000;
        vm.processor.idtr.limit = 0;
        assert!(vm.memory.write(0x1000, code).is_ok());
        vm
    }

    #[test]
    fn a_delivery_that_faults_for_ever_ends_at_the_deadline() {
        for behaviour in [&CORRECT, &INTERCEPT_EVERYTHING, &INTERCEPT_NOTHING] {
            let mut vm = vm(behaviour, &[0x0F, 0x0B]);
            vm.processor.core.scratch.no_double_fault = true;
            vm.set_deadline(Instant::now() + Duration::from_millis(20));
            // The hypervisor's own rules make a double fault of what it intercepts.
            let ends =
                if behaviour.name == INTERCEPT_EVERYTHING.name { Return::Shutdown } else { Return::Deadline };
            assert_eq!(vm.run(Mode::Normal), ends, "{}", behaviour.name);
            if ends == Return::Deadline {
                assert!(vm.queue.in_flight(), "the event still waits for its delivery");
            }
        }
    }

    #[test]
    fn a_delivery_without_a_table_shuts_down() {
        assert_eq!(vm(&CORRECT, &[0x0F, 0x0B]).run(Mode::Normal), Return::Shutdown);
    }
}
