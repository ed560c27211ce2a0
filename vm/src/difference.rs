//! A field that is not as it was expected.

use serde::{Deserialize, Serialize};

/// A field that differed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The field's name, as in the guest's FAIL lines.
    pub field: String,
    /// What the judge expected, in hexadecimal.
    pub expected: String,
    /// What it got, in hexadecimal.
    pub got: String,
}
