//! RDMSR and WRMSR.
//!
//! [`table`] has a row for each MSR: what it needs, where it lives, what it takes, and how a
//! hypervisor saves it. RDMSR and WRMSR, KVM_GET_MSRS and KVM_SET_MSRS all read that table, so that
//! there is no MSR that a guest can write and a migration forgets.

pub mod table;

use crate::state::CpuState;
use table::{Row, TABLE};

/// IA32_DEBUGCTL.BTF: RFLAGS.TF traps after taken branches only.
pub const BTF: u64 = 1 << 1;

/// WRMSR raises #GP(0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("MSR {index:#x} does not exist on this processor or does not take {value:#x}")]
pub struct RefusedMsr {
    /// The MSR.
    pub index: u32,
    /// The value refused.
    pub value: u64,
}

/// The row of an MSR.
pub(crate) fn row(index: u32) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.index == index)
}

impl Row {
    /// Whether `cpu` has the MSR.
    fn exists(&self, cpu: &CpuState) -> bool {
        self.needs.is_none_or(|feature| cpu.cpuid.has(feature))
    }
}

impl CpuState {
    /// The value of an MSR; `None` when it does not exist here and RDMSR raises #GP(0).
    pub fn read_msr(&self, index: u32) -> Option<u64> {
        row(index).filter(|row| row.exists(self)).map(|row| (row.read)(self))
    }

    /// Writes an MSR with the checks of WRMSR.
    ///
    /// # Errors
    /// When it does not exist or refuses the value: WRMSR raises #GP(0). Nothing has changed then.
    pub fn write_msr(&mut self, index: u32, value: u64) -> Result<(), RefusedMsr> {
        match row(index) {
            Some(row) if row.exists(self) && (row.takes)(self, value) => {
                (row.write)(self, value);
                Ok(())
            }
            _ => Err(RefusedMsr { index, value }),
        }
    }
}
