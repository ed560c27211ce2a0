//! What every format of a comparison's report is asked to write.

use crate::compare::Comparison;
use crate::compare::pair::Pair;
use crate::report::format::{self, Early};
use crate::report::{Finding, HostFacts, Report, Totals};
use std::io::{Result, Write};

/// Writes the report of a comparison in one format; each method fails when `output` cannot be written.
pub(crate) trait Writer {
    /// Writes what is to be said of one case that two machines ran.
    fn one(&self, output: &mut dyn Write, comparison: &Comparison, again: &Again<'_>) -> Result<()>;

    /// Writes what is to be said once each case has run on both machines.
    fn end(&self, output: &mut dyn Write, ended: &Ended<'_>) -> Result<()>;

    /// Writes what is to be said of one guest that migrated between them.
    fn one_migrated(&self, output: &mut dyn Write, report: &Report) -> Result<()>;

    /// Writes what is to be said once every guest has migrated between them.
    fn end_migrated(&self, output: &mut dyn Write, pair: &Pair, run: &format::Ended<'_>) -> Result<()>;
}

/// Gives the command that repeats a case, where there is one.
pub(crate) type Again<'a> = dyn Fn() -> Option<String> + 'a;

/// A comparison that has ended.
pub(crate) struct Ended<'a> {
    /// The two machines.
    pub(crate) pair: &'a Pair,
    /// What each case came to.
    pub(crate) comparisons: &'a [Comparison],
    /// Known issues that did not show.
    pub(crate) not_shown: &'a [Finding],
    /// Where it ran.
    pub(crate) host: &'a HostFacts,
    /// Where not every case ran: why.
    pub(crate) early: Option<Early>,
}

/// Counts of comparisons.
pub(crate) fn totals<'c>(comparisons: impl IntoIterator<Item = &'c Comparison>) -> Totals {
    let mut totals = Totals::default();
    for comparison in comparisons {
        totals.add(comparison.outcome);
    }
    totals
}
