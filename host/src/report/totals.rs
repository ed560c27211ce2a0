//! Counts of a run, and the exit code they give.

use crate::report::{Outcome, Report};
use serde::Serialize;

/// The number of scenarios by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Passed.
    pub pass: usize,
    /// Failed.
    pub fail: usize,
    /// Failed as known-issues.toml says.
    pub known: usize,
    /// Skipped.
    pub skip: usize,
    /// Came to no verdict.
    pub error: usize,
    /// Cuts that were proved.
    pub cuts: usize,
}

impl Totals {
    /// Counts reports.
    pub fn of<'r>(reports: impl IntoIterator<Item = &'r Report>) -> Self {
        let mut totals = Self::default();
        for report in reports {
            totals.count(report);
        }
        totals
    }

    /// Counts a report.
    pub fn count(&mut self, report: &Report) {
        self.add(report.outcome);
        self.cuts += report.cuts as usize;
    }

    /// Counts one more.
    pub fn add(&mut self, outcome: Outcome) {
        *self.count_of(outcome) += 1;
    }

    /// All scenarios counted.
    pub fn all(&self) -> usize {
        self.pass + self.fail + self.known + self.skip + self.error
    }

    /// Whether no scenario has a verdict.
    pub fn nothing_tested(&self) -> bool {
        self.skip == self.all()
    }

    /// Exit code: 2 when the harness erred, else 1 when something failed, else 0.
    pub fn exit_code(&self) -> u8 {
        if self.error > 0 {
            2
        } else if self.fail > 0 {
            1
        } else {
            0
        }
    }

    fn count_of(&mut self, outcome: Outcome) -> &mut usize {
        match outcome {
            Outcome::Pass => &mut self.pass,
            Outcome::Skip => &mut self.skip,
            Outcome::Known => &mut self.known,
            Outcome::Fail => &mut self.fail,
            Outcome::Error => &mut self.error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_outrank_failures() {
        let failed = Totals { fail: 1, pass: 5, ..Totals::default() };
        assert_eq!(failed.exit_code(), 1);
        assert_eq!(Totals { error: 1, ..failed }.exit_code(), 2);
        assert_eq!(Totals { pass: 1, skip: 3, known: 2, ..Totals::default() }.exit_code(), 0);
    }

    #[test]
    fn a_run_of_skips_tested_nothing() {
        assert!(Totals { skip: 3, ..Totals::default() }.nothing_tested());
        assert!(!Totals { skip: 3, known: 1, ..Totals::default() }.nothing_tested());
    }
}
