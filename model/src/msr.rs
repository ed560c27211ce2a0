//! RDMSR and WRMSR.

use crate::processor::Processor;

impl Processor {
    /// The value of an MSR; `None` when it does not exist here and RDMSR raises #GP(0).
    pub fn read_msr(&self, _index: u32) -> Option<u64> {
        None
    }

    /// Writes an MSR with the checks of WRMSR.
    ///
    /// # Errors
    /// When it does not exist or refuses the value: WRMSR raises #GP(0). Nothing has changed then.
    pub fn write_msr(&mut self, index: u32, value: u64) -> Result<(), RefusedMsr> {
        Err(RefusedMsr { index, value })
    }
}

/// WRMSR raises #GP(0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("MSR {index:#x} does not exist or does not take {value:#x}")]
pub struct RefusedMsr {
    /// The MSR.
    pub index: u32,
    /// The value refused.
    pub value: u64,
}
