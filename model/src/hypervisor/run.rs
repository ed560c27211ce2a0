//! KVM_RUN.

use super::behaviour::InterruptWindow;
use super::clock::Entered;
use super::queue::QueuedException;
use super::{PendingIo, Vm, invalid};
use crate::delivery::double_fault::{Escalation, escalate};
use crate::event::Event;
use crate::processor::{Entry, ExitReason};
use fred::control::rflags;
use fred::event::{EventType, vector};
use std::time::{Duration, Instant};
use vm::{Exit, RunMode, Vcpu, VcpuError};

/// How many instructions run between two reads of the clock: some milliseconds.
const SLICE: u64 = 200_000;

impl Vcpu for Vm {
    fn run(&mut self, mode: RunMode) -> Result<Exit, VcpuError> {
        let entered = self.clock.enter(mode);
        self.swap_decoded();
        let exit = self.run_until_exit(entered);
        self.swap_decoded();
        Ok(exit)
    }

    fn set_deadline(&mut self, at: Instant) {
        self.deadline = Some(at);
    }

    fn clock(&self) -> Duration {
        self.clock.now()
    }

    fn set_io_data(&mut self, data: &[u8]) -> Result<(), VcpuError> {
        if self.answer_input(data) { Ok(()) } else { Err(invalid("answering an input exit")) }
    }

    /// `process_nmi`: at most one NMI is pending while NMIs are blocked or one is being injected, otherwise two.
    fn nmi(&mut self) -> Result<(), VcpuError> {
        if self.behaviour.takes_nmis {
            let limit = if self.processor.nmi_blocking || self.queue.nmi_injected { 1 } else { 2 };
            self.queue.nmi_pending = (self.queue.nmi_pending + 1).min(limit);
        }
        Ok(())
    }

    /// Without an in-kernel interrupt controller the next entry injects it. User space must know whether the
    /// guest can take it.
    fn interrupt(&mut self, vector: u8) -> Result<(), VcpuError> {
        if self.behaviour.takes_interrupts {
            self.queue.interrupt = Some(vector);
        }
        Ok(())
    }

    fn request_interrupt_window(&mut self, wanted: bool) {
        self.interrupt_window = wanted;
    }
}

impl Vm {
    fn run_until_exit(&mut self, entered: Entered) -> Exit {
        self.complete_io();
        if entered == Entered::NotAtAll {
            return Exit::Interrupted;
        }
        let mut exits = 0;
        loop {
            if self.is_dirty_ring_full() {
                return Exit::DirtyRingFull;
            }
            if let Entered::UntilSignal { exits: limit } = entered
                && exits >= limit
            {
                return Exit::Interrupted;
            }
            exits += 1;
            let injected = self.check_and_inject();
            if entered == Entered::WithSignal {
                self.cancel_injection(injected);
                self.trace_queue("after the cancelled entry");
                return Exit::Interrupted;
            }
            if self.deadline.is_some_and(|at| Instant::now() >= at) {
                self.cancel_injection(injected);
                return Exit::Deadline;
            }
            let entry = Entry {
                injected,
                intercepts: self.intercepts(entered),
                interrupt_window: self.interrupt_window,
                nmi_window: self.queue.nmi_pending > 0 && self.behaviour.opens_nmi_window,
                instructions: self.slice(self.longest_slice(), injected.is_some()),
            };
            self.trace_entry(entry.injected.as_ref());
            let exit = self.processor.enter(&mut self.memory, &entry);
            self.clock.count_exit();
            self.trace_exit(&exit);
            self.flush_dirty_log();
            self.complete_interrupts(exit.original);
            if exit.original.is_some() {
                self.trace_queue("after the requeue");
            }
            if let Some(why) = self.handle_exit(exit.reason, exit.original.is_some()) {
                return why;
            }
            if self.opens_wrong_window() {
                return Exit::InterruptWindow;
            }
        }
    }

    /// The exception bitmap. Until a signal comes every exception exits before it reaches its handler, as on a
    /// KVM that uses shadow page tables or emulates.
    fn intercepts(&self, entered: Entered) -> u32 {
        match entered {
            Entered::UntilSignal { .. } => u32::MAX,
            Entered::Normally | Entered::WithSignal | Entered::NotAtAll => {
                (self.behaviour.intercepts)(self.processor.msrs.xfd)
            }
        }
    }

    /// A behaviour that opens interrupt windows where the processor does not has to check by itself.
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

    fn handle_exit(&mut self, reason: ExitReason, in_delivery: bool) -> Option<Exit> {
        match reason {
            ExitReason::Exception(event) => return self.reflect(event),
            ExitReason::Io { port, size, input, string, rep, length, .. } => {
                let io = PendingIo { port, size, input, string, rep, length, data: Vec::new() };
                return self.exit_for_io(io);
            }
            ExitReason::EptViolation { gpa, write, unblocked_nmis } => {
                if unblocked_nmis && self.behaviour.blocks_nmis_again {
                    self.processor.nmi_blocking = true;
                }
                if !in_delivery && !self.behaviour.keeps_shadow {
                    self.processor.sti_blocking = false;
                    self.processor.mov_ss_blocking = false;
                }
                return self.second_stage_violation(gpa, write, in_delivery);
            }
            // Without a LAPIC of KVM's the MP state stays runnable, and the next entry continues after HLT
            // (__kvm_emulate_halt).
            ExitReason::Halt => {
                self.processor.halted = false;
                return Some(Exit::Halt);
            }
            ExitReason::TripleFault => return Some(Exit::Shutdown),
            ExitReason::UnknownInstruction { text, rip } => {
                return Some(Exit::UnknownInstruction { text, rip });
            }
            ExitReason::InterruptWindow => return Some(Exit::InterruptWindow),
            ExitReason::Budget | ExitReason::NmiWindow => {}
        }
        None
    }

    /// An intercepted exception goes to the guest through the queue: `handle_exception_nmi`.
    fn reflect(&mut self, event: Event) -> Option<Exit> {
        let event = (self.behaviour.intercept)(event, &self.event_registers());
        // INT1 has no condition to report, and sets no bit of DR6.
        let reports =
            event.event_type == EventType::HardwareException && vector::has_event_data(event.vector);
        let payload = reports.then_some(event.data);
        // The event type has no instruction length: the instruction counts as skipped.
        let skipped = !event.event_type.has_instruction_length() && event.length != 0;
        if skipped {
            self.processor.skip_instruction(event.length);
        }
        self.queue_after_injected(QueuedException {
            event_type: event.event_type,
            nested: event.nested,
            length: if skipped { 0 } else { event.length },
            ..QueuedException::pending(event.vector, event.error_code, payload)
        })
    }

    /// Combines the exception in the queue with one that was met in its delivery:
    /// `kvm_multiple_exception`.
    fn queue_after_injected(&mut self, met: QueuedException) -> Option<Exit> {
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
                return Some(Exit::Shutdown);
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
            // The hypervisor applies the double-fault rules to what it intercepts.
            let ends =
                if behaviour.name == INTERCEPT_EVERYTHING.name { Exit::Shutdown } else { Exit::Deadline };
            assert_eq!(vm.run(RunMode::Normal), Ok(ends.clone()), "{}", behaviour.name);
            if ends == Exit::Deadline {
                assert!(vm.queue.in_flight(), "the event still waits for its delivery");
            }
        }
    }

    #[test]
    fn a_delivery_without_a_table_shuts_down() {
        assert_eq!(vm(&CORRECT, &[0x0F, 0x0B]).run(RunMode::Normal), Ok(Exit::Shutdown));
    }
}
