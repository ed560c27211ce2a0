//! One VM entry: instruction boundaries, and one instruction between two of them.

use super::cache::{DecodeCache, Window};
use super::core::Core;
use super::decoded::Decoded;
use super::features::Features;
use crate::delivery::{Interrupted, Origin};
use crate::event::Event;
use crate::exit::{Entry, Exit, ExitReason};
use crate::memory::{Memory, PAGE};
use crate::msr::BTF;
use crate::stop::{Step, Stop};
use fred::control::rflags;

impl Core {
    /// See [`enter`](crate::processor::Processor::enter).
    pub(crate) fn enter(&mut self, memory: &mut Memory, cache: &mut DecodeCache, entry: &Entry) -> Exit {
        self.prepare();
        let mut count = Count { executed: 0, left: entry.instructions };
        let mut outcome = match entry.injected {
            Some(event) => self.deliver(memory, event, Origin::Injected, entry.intercepts),
            None => Ok(()),
        };
        loop {
            if let Err((reason, original)) = outcome {
                return Exit { reason, original, instructions: count.executed };
            }
            outcome = self.go_on(memory, cache, entry, &mut count);
        }
    }

    /// A run of plain instructions, and what comes after it: an exit, an event, one other instruction.
    #[inline]
    fn go_on(
        &mut self,
        memory: &mut Memory,
        cache: &mut DecodeCache,
        entry: &Entry,
        count: &mut Count,
    ) -> Result<(), Interrupted> {
        let (done, outcome) = self.run_plain(memory, cache, entry, count.left);
        count.executed += done;
        count.left -= done;
        let outcome = match outcome {
            Err(stop) => Err(stop),
            Ok(()) => match self.boundary(entry, count.left) {
                Boundary::Exit(reason) => return Err((reason, None)),
                Boundary::Deliver(event) => Err(Stop::Fault(event).into()),
                Boundary::Execute => self.step(memory, cache),
            },
        };
        let raised = match outcome.map_err(|stop| *stop) {
            Ok(()) => None,
            Err(Stop::Fault(event)) => Some(event),
            Err(stop) => return Err((self.stopped(memory, stop), None)),
        };
        count.left = count.left.saturating_sub(1 + std::mem::take(&mut self.scratch.iterations));
        // INT n and its like are instructions that complete.
        count.executed += u64::from(raised.is_none_or(|event| event.event_type.has_instruction_length()));
        match raised {
            None => Ok(()),
            Some(event) => self.deliver(memory, event, Origin::Raised, entry.intercepts),
        }
    }

    /// Public fields may have changed since the last entry.
    pub(crate) fn prepare(&mut self) {
        self.tlb.enter([self.state.cr0, self.state.cr3, self.state.cr4, self.state.efer]);
        self.features = Features::of(&self.cpuid);
        self.rflags |= rflags::FIXED;
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
        if self.has_breakpoints() {
            self.check_execution_breakpoints()?;
        }
        let decoded = self.fetch(memory, cache)?;
        let single_step = self.flag(rflags::TF);
        self.scratch.begin();
        self.scratch.next_rip = self.rip.wrapping_add(decoded.length.into());
        if !self.is_64_bit() {
            self.scratch.next_rip &= 0xFFFF_FFFF;
        }
        (decoded.run)(self, memory, decoded)?;
        self.complete(single_step);
        Ok(())
    }

    /// The end of an instruction.
    #[inline]
    fn complete(&mut self, single_step: bool) {
        let Self { state, scratch, .. } = self;
        if scratch.repeat {
            state.rflags |= rflags::RF;
        } else {
            state.rip = scratch.next_rip;
            if !scratch.keep_rf {
                state.rflags &= !rflags::RF;
            }
        }
        state.sti_blocking = scratch.sti;
        state.mov_ss_blocking = scratch.mov_ss;
        if scratch.breakpoints != 0 {
            state.pending_debug |= scratch.breakpoints;
        }
        let steps = scratch.branched || state.msrs.debugctl & BTF == 0;
        if scratch.single_step || single_step && !scratch.no_single_step && steps {
            state.pending_debug |= fred::data::DebugData::BS;
        }
        state.msrs.tsc = state.msrs.tsc.wrapping_add(1);
    }

    /// The exit of an instruction that raised no event.
    fn stopped(&mut self, memory: &mut Memory, stop: Stop) -> ExitReason {
        match stop {
            Stop::Refused(refused) => {
                // What VMX saves for an EPT violation outside delivery.
                self.rflags |= rflags::RF;
                let unblocked_nmis = std::mem::take(&mut self.scratch.unblocked_nmis);
                ExitReason::EptViolation { gpa: refused.gpa, write: refused.write, unblocked_nmis }
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

impl Core {
    /// Whether the boundaries between plain instructions have nothing to do.
    #[inline]
    fn is_quiet(&self, entry: &Entry) -> bool {
        let shadow = self.sti_blocking || self.mov_ss_blocking;
        let waiting = entry.nmi_window || entry.interrupt_window || self.halted || self.pending_debug != 0;
        self.rflags & (rflags::TF | rflags::RF) == 0 && !self.has_breakpoints() && !shadow && !waiting
    }

    /// Executes plain instructions as long as they were decoded before, at most `left` of them. Returns
    /// how many completed, and how the one after them ended when it did not.
    #[inline]
    fn run_plain(
        &mut self,
        memory: &mut Memory,
        cache: &DecodeCache,
        entry: &Entry,
        left: u64,
    ) -> (u64, Step) {
        let Some((code, window)) = self.window(memory, cache).filter(|_| self.is_quiet(entry)) else {
            return (0, Ok(()));
        };
        let Window { page, index, epoch, .. } = *window;
        memory.note_executed(index);
        self.scratch.begin();
        self.begin_known(memory);
        let mut done = 0;
        let mut outcome = Ok(());
        // A plain instruction changes neither the mode nor the rights; it may leave the page. If it writes to the page or to
        // the page tables, the epoch changes.
        while done < left
            && self.rip >> 12 == page
            && memory.epoch() == epoch
            && let Some(decoded) = code.at(self.rip as usize % PAGE)
            && decoded.plain
        {
            self.scratch.next_rip = self.rip.wrapping_add(decoded.length.into());
            outcome = (decoded.run)(self, memory, decoded);
            if outcome.is_err() {
                break;
            }
            self.rip = self.scratch.next_rip;
            done += 1;
        }
        self.end_known();
        self.msrs.tsc = self.msrs.tsc.wrapping_add(done);
        (done, outcome)
    }
}

/// Instructions of an entry.
struct Count {
    executed: u64,
    left: u64,
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
