//! The lines that `midflight trace` prints.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A story that several machines tell, one after the other. Nothing is written until it is begun.
#[derive(Clone, Debug, Default)]
pub struct Story {
    told: Arc<AtomicBool>,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Story {
    /// From now on lines are kept.
    pub fn begin(&self) {
        self.told.store(true, Ordering::Relaxed);
    }

    /// Whether lines are kept.
    pub fn is_told(&self) -> bool {
        self.told.load(Ordering::Relaxed)
    }

    /// Adds a line.
    pub fn line(&self, line: String) {
        if self.is_told() {
            self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    }

    /// Every line so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
