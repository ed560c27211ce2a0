//! The lines that `midflight trace` prints.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A trace to which several machines add lines, one after the other. It has no line before it begins.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    begun: Arc<AtomicBool>,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Trace {
    /// From now on lines are kept.
    pub fn begin(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }

    /// Whether lines are kept.
    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    /// Adds a line.
    pub fn line(&self, line: String) {
        if self.has_begun() {
            self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    }

    /// Every line so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
