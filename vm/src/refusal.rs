//! A refused KVM_SET_*, with the fields that it refused.

use crate::difference::Value;
use serde::{Deserialize, Serialize};
use std::fmt;

/// KVM_SET_* refused what KVM_GET_* had given, or that with one thing changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The ioctl.
    pub call: String,
    /// Without one of these it is accepted; none where no single field makes the difference.
    pub fields: Vec<RefusedField>,
    /// What the ioctl said.
    pub error: String,
}

/// A field that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedField {
    /// Its name.
    pub name: String,
    /// The value that was refused.
    pub refused: Value,
    /// The value with which everything else is accepted: that of a fresh vCPU, or the one before.
    pub accepted: Value,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { call, fields, error } = self;
        write!(f, "{call} refuses ")?;
        for (index, RefusedField { name, refused, accepted }) in fields.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{name} {refused} where it accepts {accepted}")?;
        }
        if fields.is_empty() {
            f.write_str("what no single field makes it refuse")?;
        }
        write!(f, " ({error})")
    }
}

impl std::error::Error for Refusal {}
