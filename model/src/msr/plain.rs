//! The MSRs that are a number and nothing else.

use vm::msr::{Access, Row, TABLE};

/// The MSRs that only RDMSR and WRMSR use, by their row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plain(pub(super) [u64; TABLE.len()]);

impl Default for Plain {
    /// After reset.
    fn default() -> Self {
        Self(std::array::from_fn(|n| reset(&TABLE[n]).unwrap_or(0)))
    }
}

/// The value after reset of an MSR that the model has.
pub(super) fn reset(row: &Row) -> Option<u64> {
    match row.access {
        Access::Everywhere { reset, .. } => Some(reset),
        Access::Kvm => None,
    }
}
