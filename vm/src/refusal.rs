//! A KVM_SET_* that was refused, and the fields that caused it.

use crate::difference::Value;
use serde::{Deserialize, Serialize};
use std::fmt;

/// KVM_SET_* refused a state that KVM_GET_* had returned, or that state with one field changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The ioctl.
    pub call: String,
    /// Each of these is enough: without it the state is accepted. None where no single field is the cause.
    pub fields: Vec<RefusedField>,
    /// The ioctl's error.
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
