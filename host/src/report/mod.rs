//! Reports: of a run for people, as JSON lines, as JUnit XML; of a comparison.

pub mod compare;
pub(crate) mod decode;
pub mod difference;
pub mod facts;
pub mod finding;
pub mod human;
pub(crate) mod json;
pub(crate) mod junit;
pub mod known;
pub(crate) mod matrix;
pub mod outcome;
pub(crate) mod plain;
pub mod totals;
pub mod words;

pub use totals::Totals;

use crate::ending::Signal;

/// A run in which not every selected scenario ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Early {
    /// The signal that ended it; `None` if an error did, which is on standard error.
    pub signal: Option<Signal>,
    /// How many scenarios did not run.
    pub not_run: usize,
}

impl Early {
    /// What ended the run, in a word.
    pub fn by(self) -> &'static str {
        self.signal.map_or("error", Signal::name)
    }
}

impl std::fmt::Display for Early {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let by = self.signal.map_or("an error", Signal::name);
        write!(f, "{by} ended the run: {} scenarios did not run", self.not_run)
    }
}
