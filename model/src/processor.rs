//! The processor: its architectural state, and one VM entry to one VM exit.

use crate::cpu::cache::DecodeCache;
use crate::cpu::core::Core;
use crate::cpuid::CpuidTable;
use crate::event::Event;
pub use crate::exit::{Entry, Exit, ExitReason};
use crate::memory::Memory;
pub use crate::segment::{DescriptorTable, Segment, Segments};
pub use crate::state::{CpuState, FredMsrs, Msrs};
use std::ops::{Deref, DerefMut};

/// A processor: its architectural state, and its caches, which have no visible effect.
pub struct Processor {
    pub(crate) core: Core,
    pub(crate) cache: DecodeCache,
}

impl Deref for Processor {
    type Target = CpuState;

    fn deref(&self) -> &CpuState {
        &self.core.state
    }
}

impl DerefMut for Processor {
    fn deref_mut(&mut self) -> &mut CpuState {
        &mut self.core.state
    }
}

impl Clone for Processor {
    /// The decoded instructions are not copied: they hold pages of the memory that this one ran on.
    fn clone(&self) -> Self {
        Self { core: self.core.clone(), cache: DecodeCache::default() }
    }
}

impl PartialEq for Processor {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl std::fmt::Debug for Processor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

impl Processor {
    /// The state after reset (SDM vol. 3, table 10-1), with a CPUID.
    pub fn new(cpuid: CpuidTable) -> Self {
        Self { core: Core::new(CpuState::new(cpuid)), cache: DecodeCache::default() }
    }

    /// One VM entry to one VM exit.
    pub fn enter(&mut self, memory: &mut Memory, entry: &Entry) -> Exit {
        self.core.enter(memory, &mut self.cache, entry)
    }

    /// Stores one item of the INS at which this processor last exited: at ES:(E)DI through the MMU
    /// with the current CPL, RDI moved by DF, RCX counted under REP. RIP stays. `data` holds `size`
    /// bytes (1, 2 or 4).
    ///
    /// This is the hypervisor's access, so the second-stage page tables do not apply.
    ///
    /// # Errors
    /// The guest's fault, usually #PF. Registers, memory and CR2 are unchanged then.
    pub fn finish_ins(&mut self, memory: &mut Memory, data: &[u8], size: u8) -> Result<(), Event> {
        self.core.finish_ins(memory, data, size)
    }

    /// Reads into `data` (`size` bytes: 1, 2 or 4) the item that the OUTS at which this processor
    /// last exited writes to its port, and moves RSI and, under REP, RCX.
    ///
    /// # Errors
    /// As [`finish_ins`](Self::finish_ins).
    pub fn outs_data(&mut self, memory: &mut Memory, data: &mut [u8], size: u8) -> Result<(), Event> {
        self.core.outs_data(memory, data, size)
    }

    /// B0..B3 of the data breakpoints that the items since the last exit have hit.
    pub(crate) fn take_breakpoints(&mut self) -> u64 {
        std::mem::take(&mut self.core.scratch.breakpoints)
    }
}
