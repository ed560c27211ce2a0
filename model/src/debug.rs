//! Breakpoints, and what a #DB does to DR6 and DR7.

use crate::cpu::{Step, Stop};
use crate::event::Event;
use crate::mmu::Kind;
use crate::processor::Processor;
use fred::control::{CR4_DE, rflags};
use fred::debug::{BreakOn, Dr6, Dr7};

impl Processor {
    /// Raises the fault of an execution breakpoint at RIP, unless RF is set.
    pub(crate) fn check_execution_breakpoints(&self) -> Step {
        if self.flag(rflags::RF) {
            return Ok(());
        }
        let base = if self.is_64_bit() { 0 } else { self.segments.cs.base };
        let linear = base.wrapping_add(self.rip);
        let hits = self.hits(|index, dr7| {
            dr7.break_on(index) == BreakOn::Execute && self.dr[usize::from(index)] == linear
        });
        if hits == 0 { Ok(()) } else { Err(Stop::Fault(Event::debug(hits))) }
    }

    /// Remembers the data breakpoints that an access of the current instruction hits.
    #[inline]
    pub(crate) fn watch_data(&mut self, linear: u64, size: u64, kind: Kind) {
        if self.dr7 & Dr7::ENABLES == 0 {
            return;
        }
        self.run.breakpoints |= self.hits(|index, dr7| {
            let watched = match dr7.break_on(index) {
                BreakOn::Write => kind == Kind::Write,
                BreakOn::ReadWrite => true,
                BreakOn::Execute | BreakOn::Io => false,
            };
            let length = dr7.length(index);
            let start = self.dr[usize::from(index)] & !(length - 1);
            let overlaps = linear.wrapping_sub(start) < length || start.wrapping_sub(linear) < size;
            watched && overlaps
        });
    }

    /// See [`Processor::io_breakpoints`].
    pub(crate) fn hit_by_port(&self, port: u16, size: u8) -> u64 {
        if self.cr4 & CR4_DE == 0 {
            return 0;
        }
        let (port, size) = (u64::from(port), u64::from(size));
        self.hits(|index, dr7| {
            let length = dr7.length(index);
            let start = self.dr[usize::from(index)] & !(length - 1);
            let overlaps = port.wrapping_sub(start) < length || start.wrapping_sub(port) < size;
            dr7.break_on(index) == BreakOn::Io && overlaps
        })
    }

    /// B0..B3 of the enabled breakpoints that `hit` says are met.
    fn hits(&self, hit: impl Fn(u8, Dr7) -> bool) -> u64 {
        let dr7 = Dr7(self.dr7);
        (0..4u8).filter(|index| dr7.enabled(*index) && hit(*index, dr7)).map(|index| 1 << index).sum()
    }

    /// What a #DB with these conditions does to DR6 and DR7 before it is delivered (SDM vol. 3,
    /// "Debug status register"): B0..B3 are rewritten, BD and BS (and BT) only ever set, RTM and
    /// BLD are active low, DR7.GD and IA32_DEBUGCTL.BTF are cleared.
    pub(crate) fn record_debug_conditions(&mut self, data: u64) {
        let mut dr6 = self.dr6 & !Dr6::B | Dr6::RTM;
        dr6 &= !(data & Dr6::ACTIVE_LOW);
        dr6 |= data & (Dr6::B | Dr6::BD | Dr6::BS);
        self.dr6 = dr6;
        self.dr7 &= !Dr7::GD;
        self.msrs.debugctl &= !crate::msr::BTF;
    }
}
