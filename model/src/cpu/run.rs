//! One VM entry: instruction boundaries, and one instruction between two of them.

use super::cache::DecodeCache;
use super::decoded::Decoded;
use super::{Step, Stop};
use crate::event::Event;
use crate::memory::Memory;
use crate::msr::BTF;
use crate::processor::{Entry, Exit, ExitReason, Processor};
use fred::control::rflags;
use fred::event::EventType;

/// What one entry, or one instruction, keeps beside the architectural state.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Run {
    /// Where RIP goes when the instruction completes.
    pub(crate) next_rip: u64,
    /// Data breakpoints that the instruction has hit, B0..B3.
    pub(crate) breakpoints: u64,
    /// The instruction establishes blocking by STI.
    pub(crate) sti: bool,
    /// The instruction establishes blocking by MOV SS.
    pub(crate) mov_ss: bool,
    /// The instruction loaded RF, so it stays.
    pub(crate) keep_rf: bool,
    /// An iteration of a REP instruction that is not the last: RIP stays, RF is set.
    pub(crate) repeat: bool,
    /// Iterations of a REP instruction that this step has made beyond the first.
    pub(crate) iterations: u64,
    /// The instruction is a branch that was taken.
    pub(crate) branched: bool,
    /// The instruction is not followed by its single-step trap.
    pub(crate) no_single_step: bool,
    /// A single-step trap follows at once, whatever TF was before.
    pub(crate) single_step: bool,
    /// MAXPHYADDR.
    pub(crate) physical_bits: u32,
    /// What CPUID offers.
    pub(crate) offered: super::offered::Offered,
    /// Whose processor CPUID says this is.
    pub(crate) vendor: crate::cpuid::Vendor,
    /// 1-GiB pages.
    pub(crate) page_1g: bool,
    /// The I/O string instruction of the last exit: its address size, segment, and REP.
    pub(crate) io: Option<super::io::StringItem>,
    /// A fault of a test's: no exception met in a delivery becomes #DF.
    #[cfg(test)]
    pub(crate) no_double_fault: bool,
}

impl PartialEq for Run {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Processor {
    /// See [`Processor::enter`].
    pub(crate) fn enter_guest(&mut self, memory: &mut Memory, entry: &Entry) -> Exit {
        // Outside the processor while it runs, so that an instruction is executed where it is kept.
        let mut cache = std::mem::take(&mut self.cache);
        let exit = self.run_guest(memory, entry, &mut cache);
        self.cache = cache;
        exit
    }

    fn run_guest(&mut self, memory: &mut Memory, entry: &Entry, cache: &mut DecodeCache) -> Exit {
        self.prepare();
        let mut executed = 0;
        let mut left = entry.instructions;
        let exit = |reason, original, instructions| Exit { reason, original, instructions };
        if let Some(event) = entry.injected {
            self.forget_pending_debug(&event);
            if let Err((reason, original)) = self.deliver_injected(memory, event, entry.intercepts) {
                return exit(reason, original, executed);
            }
        }
        loop {
            let (done, outcome) = self.run_plain(memory, cache, entry, left);
            executed += done;
            left -= done;
            let outcome = match outcome {
                Err(stop) => Err(stop),
                Ok(()) => match self.boundary(entry, left) {
                    Boundary::Exit(reason) => return exit(reason, None, executed),
                    Boundary::Deliver(event) => Err(Stop::Fault(event)),
                    Boundary::Execute => self.step(memory, cache),
                },
            };
            let event = match outcome {
                Ok(()) => {
                    executed += 1;
                    None
                }
                Err(Stop::Fault(event)) => Some(event),
                Err(stop) => return exit(self.stopped(memory, stop), None, executed),
            };
            left = left.saturating_sub(1 + std::mem::take(&mut self.run.iterations));
            if let Some(event) = event {
                // INT n and its like are instructions that complete.
                executed += u64::from(event.event_type.has_instruction_length());
                self.forget_pending_debug(&event);
                if let Err((reason, original)) = self.deliver_raised(memory, event, entry.intercepts) {
                    return exit(reason, original, executed);
                }
            }
        }
    }

    /// Public fields may have changed since the last entry.
    pub(crate) fn prepare(&mut self) {
        self.tlb.flush();
        let physical = self.cpuid.get(0x8000_0008, 0)[0] & 0xFF;
        self.run.physical_bits = physical;
        self.run.offered = super::offered::Offered::by(&self.cpuid);
        self.run.vendor = self.cpuid.vendor();
        self.run.page_1g = self.cpuid.has(fred::cpuid::PAGE_1G);
        self.rflags |= rflags::FIXED;
    }

    fn forget_pending_debug(&mut self, event: &Event) {
        if !(self.mov_ss_blocking && keeps_held_back(event)) {
            self.pending_debug = 0;
        }
    }

    fn boundary(&mut self, entry: &Entry, left: u64) -> Boundary {
        if left == 0 {
            return Boundary::Exit(ExitReason::Budget);
        }
        if self.pending_debug != 0 && !self.mov_ss_blocking {
            let data = std::mem::take(&mut self.pending_debug) & fred::data::DebugData::DEFINED;
            if data != 0 {
                return Boundary::Deliver(Event::debug(data));
            }
        }
        let shadow = self.sti_blocking || self.mov_ss_blocking;
        if entry.nmi_window && !self.nmi_blocking && !shadow {
            return Boundary::Exit(ExitReason::NmiWindow);
        }
        if entry.interrupt_window && self.flag(rflags::IF) && !shadow {
            return Boundary::Exit(ExitReason::InterruptWindow);
        }
        if self.halted {
            return Boundary::Exit(ExitReason::Halt);
        }
        Boundary::Execute
    }

    /// Executes one instruction.
    #[inline]
    fn step(&mut self, memory: &mut Memory, cache: &mut DecodeCache) -> Step {
        if self.dr7 & fred::debug::Dr7::ENABLES != 0 {
            self.check_execution_breakpoints()?;
        }
        let decoded = self.fetch(memory, cache)?;
        let single_step = self.flag(rflags::TF);
        begin(&mut self.run);
        self.run.next_rip = self.rip.wrapping_add(decoded.length.into());
        if !self.is_64_bit() {
            self.run.next_rip &= 0xFFFF_FFFF;
        }
        (decoded.run)(self, memory, decoded)?;
        self.complete(single_step);
        Ok(())
    }

    /// The end of an instruction.
    #[inline]
    fn complete(&mut self, single_step: bool) {
        let run = &self.run;
        if run.repeat {
            self.rflags |= rflags::RF;
        } else {
            self.rip = run.next_rip;
            if !run.keep_rf {
                self.rflags &= !rflags::RF;
            }
        }
        self.sti_blocking = run.sti;
        self.mov_ss_blocking = run.mov_ss;
        if run.breakpoints != 0 {
            self.pending_debug |= run.breakpoints;
        }
        let step = single_step && !run.no_single_step && (run.branched || self.msrs.debugctl & BTF == 0);
        if step || run.single_step {
            self.pending_debug |= fred::data::DebugData::BS;
        }
        self.msrs.tsc = self.msrs.tsc.wrapping_add(1);
    }

    /// See [`Processor::skip_instruction`].
    pub(crate) fn advance(&mut self, length: u8) {
        self.rip = self.rip.wrapping_add(length.into());
        if !self.is_64_bit() {
            self.rip &= 0xFFFF_FFFF;
        }
        self.rflags &= !rflags::RF;
        self.sti_blocking = false;
        self.mov_ss_blocking = false;
    }

    /// The exit of an instruction that raised no event.
    fn stopped(&mut self, memory: &mut Memory, stop: Stop) -> ExitReason {
        match stop {
            Stop::Refused(refused) => {
                // What VMX saves for an EPT violation outside delivery.
                self.rflags |= rflags::RF;
                ExitReason::StageTwo { gpa: refused.gpa, write: refused.write }
            }
            Stop::Exit(reason) => {
                self.rflags &= !rflags::RF;
                reason
            }
            Stop::Unsupported(text) => {
                ExitReason::UnknownInstruction { text: text.to_owned(), rip: self.rip }
            }
            Stop::Unknown | Stop::Fault(_) => {
                let rip = self.rip;
                let mut cache = DecodeCache::default();
                let text = self.fetch(memory, &mut cache).map_or_else(|_| "?".to_owned(), |d| text(d, rip));
                ExitReason::UnknownInstruction { text, rip: self.rip }
            }
        }
    }
}

/// Before an instruction: it has asked for nothing yet.
#[inline]
pub(super) fn begin(run: &mut Run) {
    run.breakpoints = 0;
    run.sti = false;
    run.mov_ss = false;
    run.keep_rf = false;
    run.repeat = false;
    run.no_single_step = false;
    run.iterations = 0;
    run.branched = false;
    run.single_step = false;
}

/// Whether an event leaves debug exceptions that MOV SS holds back to its handler; the others end
/// them.
///
/// A doubt, in `docs/open-questions.md`: the manual says so of the injection of software interrupts and
/// software exceptions (vol. 3, "Delivery of pending debug exceptions after VM entry"), and no source
/// has the words for FRED.
fn keeps_held_back(event: &Event) -> bool {
    matches!(event.event_type, EventType::SoftwareInterrupt | EventType::SoftwareException)
}

enum Boundary {
    Exit(ExitReason),
    Deliver(Event),
    Execute,
}

/// The instruction's text in Intel syntax.
fn text(decoded: &Decoded, rip: u64) -> String {
    use iced_x86::{Formatter, IntelFormatter};
    let mut instruction = decoded.instruction;
    if instruction.is_ip_rel_memory_operand() {
        instruction.set_memory_displacement64(instruction.memory_displacement64().wrapping_add(rip));
    }
    let mut text = String::new();
    IntelFormatter::new().format(&instruction, &mut text);
    text
}
