//! A field that differs from what was expected.

use crate::state::Field;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A field that differed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference<F = Field> {
    /// The field.
    pub field: F,
    /// What was expected; after a restore, what was saved.
    pub expected: Value,
    /// What was found.
    pub got: Value,
}

/// A value that was compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Value {
    /// A number.
    Number(u64),
    /// Bytes of an area, from the first that differs.
    Bytes {
        /// At most eight of them.
        bytes: Vec<u8>,
        /// Where the first lies in its area.
        at: usize,
    },
    /// Numbers that have a meaning only together, by name.
    Group(Vec<(String, u64)>),
    /// It exists, and has no single value.
    Present,
    /// It does not exist.
    Nothing,
}

/// The first bytes that differ; their area begins at `start`.
pub(crate) fn first_difference(was: &[u8], is: &[u8], start: usize) -> Option<(Value, Value)> {
    const SHOWN: usize = 8;
    // Most ranges are equal, and memcmp finds that many times faster than a loop over the bytes.
    if was == is {
        return None;
    }
    let at = was.iter().zip(is).position(|(was, is)| was != is)?;
    let value = |all: &[u8]| {
        let end = (at + SHOWN).min(all.len());
        Value::Bytes { bytes: all[at..end].to_vec(), at: start + at }
    };
    Some((value(was), value(is)))
}

impl<N: Into<u64>> From<N> for Value {
    fn from(number: N) -> Self {
        Self::Number(number.into())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number:#x}"),
            Self::Bytes { bytes, at } => {
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                write!(f, " at byte {at}")
            }
            Self::Group(parts) => {
                let parts: Vec<_> = parts.iter().map(|(name, part)| format!("{name} {part:#x}")).collect();
                write!(f, "{{{}}}", parts.join(", "))
            }
            Self::Present => f.write_str("present"),
            Self::Nothing => f.write_str("nothing"),
        }
    }
}

/// A text is neither a hexadecimal number nor `present` nor `nothing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoValue;

impl FromStr for Value {
    type Err = NoValue;

    fn from_str(text: &str) -> Result<Self, NoValue> {
        match text {
            "present" => Ok(Self::Present),
            "nothing" => Ok(Self::Nothing),
            number => {
                let digits = number.strip_prefix("0x").ok_or(NoValue)?;
                let value = u64::from_str_radix(digits, 16).map_err(|_| NoValue)?;
                // As it is printed: no capitals, no sign, no zero before it.
                if format!("{value:x}") == digits { Ok(Self::Number(value)) } else { Err(NoValue) }
            }
        }
    }
}
