//! Lines of our own in the kernel's log: which scenario runs, for whoever reads the log of a kernel that crashed.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where marks are written.
#[derive(Clone, Debug)]
pub struct Marks(PathBuf);

impl Marks {
    /// Marks in `file`, usually [`DEVICE`](super::DEVICE). Fails when it cannot be written.
    pub fn new(file: &Path) -> io::Result<Self> {
        OpenOptions::new().append(true).open(file)?;
        Ok(Self(file.to_owned()))
    }

    /// Says that a scenario begins. Fails when it cannot be written.
    pub fn begins(&self, scenario: &str) -> io::Result<()> {
        // The kernel drops what one open file writes faster than ten lines in five seconds
        // (devkmsg_write, kernel/printk/printk.c): each line gets an open file of its own.
        let mut file = OpenOptions::new().append(true).open(&self.0)?;
        // One write is one record; KERN_INFO, which nothing takes for a warning.
        file.write_all(format!("<6>midflight: {scenario}\n").as_bytes())
    }
}
