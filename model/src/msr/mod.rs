//! RDMSR and WRMSR, and what KVM_GET_MSRS and KVM_SET_MSRS do with an MSR.
//!
//! [`vm::msr::TABLE`] says which MSRs there are, which features they need, which values they accept, and how
//! they are saved, so that a migration cannot forget one that a guest can write. `accessors` has the MSRs that
//! are more than a number, [`Plain`] the others.

mod accessors;
mod plain;

use crate::state::CpuState;
pub use plain::Plain;
use plain::reset;
pub use vm::msr::BTF;
use vm::msr::{Access, TABLE, position};

/// WRMSR raises #GP(0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("MSR {index:#x} does not exist on this processor or does not take {value:#x}")]
pub struct RefusedMsr {
    /// The MSR.
    pub index: u32,
    /// The value refused.
    pub value: u64,
}

impl CpuState {
    /// The value of an MSR; `None` when it does not exist here and RDMSR raises #GP(0).
    pub fn read_msr(&self, index: u32) -> Option<u64> {
        if self.has_msr(index) { self.get_msr(index) } else { None }
    }

    /// Writes an MSR with the checks of WRMSR.
    ///
    /// # Errors
    /// When it does not exist or refuses the value: WRMSR raises #GP(0). Nothing has changed then.
    pub fn write_msr(&mut self, index: u32, value: u64) -> Result<(), RefusedMsr> {
        if !self.has_msr(index) {
            return Err(RefusedMsr { index, value });
        }
        self.set_msr(index, value)
    }

    fn has_msr(&self, index: u32) -> bool {
        position(index).is_some_and(|n| TABLE[n].exists(&self.cpuid.entries))
    }

    /// The same whatever CPUID offers.
    pub(crate) fn get_msr(&self, index: u32) -> Option<u64> {
        let n = position(index).filter(|n| TABLE[*n].is_modelled())?;
        Some(accessors::of(index).map_or(self.msrs.plain.0[n], |accessor| (accessor.read)(self)))
    }

    /// The same whatever CPUID offers.
    pub(crate) fn set_msr(&mut self, index: u32, value: u64) -> Result<(), RefusedMsr> {
        let refused = RefusedMsr { index, value };
        let n = position(index).ok_or(refused)?;
        let accessor = accessors::of(index);
        let taken = match TABLE[n].access {
            Access::Everywhere { takes, .. } => takes(value),
            Access::Kvm => false,
        };
        if !taken || accessor.is_some_and(|accessor| !(accessor.takes)(self, value)) {
            return Err(refused);
        }
        match accessor {
            Some(accessor) => (accessor.write)(self, value),
            None => self.msrs.plain.0[n] = value,
        }
        Ok(())
    }

    /// Every MSR has its value after reset.
    pub(crate) fn reset_msrs(&mut self) {
        for row in TABLE {
            if let (Some(value), Some(accessor)) = (reset(row), accessors::of(row.index)) {
                (accessor.write)(self, value);
            }
        }
    }
}
