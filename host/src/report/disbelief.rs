//! Why a guest's verdict is not believed.

use serde::{Deserialize, Serialize};

/// Why a verdict is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Disbelief {
    /// A pass with too few fields compared.
    #[error("the guest says pass and compared {compared} fields, not {least}")]
    Compared {
        /// So many were.
        compared: u32,
        /// So many are in the case's deliveries.
        least: u32,
    },
    /// A pass with fields that differ.
    #[error("the guest says pass with {0} fields different")]
    Differing(u32),
    /// A pass with another number of deliveries than the case has.
    #[error("the guest says pass after {got} deliveries; the case has {stated}")]
    Entries {
        /// So many came.
        got: u32,
        /// So many are stated.
        stated: u32,
    },
    /// A pass with another number of captured frames than the case has deliveries.
    #[error("the image says pass with {captured} frames captured; the case has {stated}")]
    Frames {
        /// So many were captured.
        captured: usize,
        /// So many deliveries are stated.
        stated: u32,
    },
    /// A pass, and no cut was proved.
    #[error("the guest says pass and no cut was proved")]
    NoCut,
    /// A failure that names neither a field nor a reason.
    #[error("the guest says fail and names neither a field nor a reason")]
    NoReason,
    /// `Done` without a verdict.
    #[error("the guest rang Done without a verdict")]
    None,
    /// A number that is no verdict.
    #[error("the guest's verdict {0} is unknown")]
    Unknown(u32),
    /// The image printed none for the case.
    #[error("the image printed no verdict for the case")]
    NotPrinted,
    /// The image ended as failed before this case's.
    #[error("the image ended as failed before this case's verdict")]
    EndedAsFailed,
}
