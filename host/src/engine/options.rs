//! How scenarios are run: one struct, which travels to worker processes as it is.

use crate::report::outcome::Frames;
use crate::stops::storm::StormBounds;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// How scenarios are run, on any machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunOptions {
    /// Image files, or none for the embedded images.
    pub images: Vec<PathBuf>,
    /// How long a scenario may take.
    pub timeout: Duration,
    /// Which reports carry captured frames.
    pub frames: Frames,
    /// How long storms last.
    pub storm: StormBounds,
    /// Whether a guest that migrates to another process goes through the same conversation in memory
    /// instead: where that is done for each of many behaviours, processes are most of the time.
    pub in_memory: bool,
}

impl RunOptions {
    /// The embedded images and what else there is by default; each scenario may take `timeout`.
    pub(crate) const fn within(timeout: Duration) -> Self {
        Self {
            images: Vec::new(),
            timeout,
            frames: Frames::OfNone,
            storm: StormBounds::DEFAULT,
            in_memory: false,
        }
    }
}
