//! An external emulator: it boots an image by itself, and cannot be stopped during a delivery.

use super::transcript::ImageRun;
use crate::image::{DeliveryMode, Image};
use std::time::Instant;

/// A program that boots images.
pub trait Emulator: Sync {
    /// What it is called in sentences.
    fn name(&self) -> &'static str;

    /// The program and its version, for host facts.
    fn version(&self) -> &str;

    /// Why it cannot deliver events so; `None` where it can.
    fn lacks(&self, delivery: DeliveryMode) -> Option<String>;

    /// Boots `image` with the kernel command line `append`
    /// (`delivery=idt frames=1`), and reads its verdicts.
    ///
    /// # Errors
    /// When there are no verdicts, or none that can be trusted.
    fn boot(&self, image: &Image, append: &str, deadline: Instant) -> Result<ImageRun, BootError>;
}

/// An image that was booted has no verdicts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BootError {
    /// It did not end in time.
    #[error("{what}")]
    Late {
        /// What happened.
        what: String,
        /// The guest's RIP, where the emulator said it.
        rip: Option<u64>,
    },
    /// Another reason.
    #[error("{0}")]
    Other(String),
}
