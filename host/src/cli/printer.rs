//! How `run`, `save` and `resume` report: each scenario as it ends, and a summary at the end.

use super::CliError;
use crate::ending;
use crate::engine::repeat::Runs;
use crate::kernel_log::KernelLog;
use crate::machines::quirks;
use crate::report::known::{JudgedWarnings, KnownIssues};
use crate::report::{Early, Ended, Format, HostFacts, Report, Totals};
use crate::scenario::Scenario;
use indicatif::ProgressBar;
use std::collections::HashMap;
use std::io::{BufWriter, Result, Write};

/// What a report depends on besides the scenarios' outcomes.
pub(super) struct Reporting<'a> {
    pub(super) format: Format,
    pub(super) known: &'a KnownIssues,
    /// The facts about the host that are known so far.
    pub(super) facts: HostFacts,
    /// The command that repeats a failure, where there is one.
    pub(super) again: &'a dyn Fn(&Report) -> Option<String>,
    /// How often each scenario runs.
    pub(super) times: u32,
}

/// Writes a report as the scenarios end.
pub(super) struct Printer<'a, W: Write> {
    pub(super) how: Reporting<'a>,
    /// The progress bar on the terminal while scenarios run.
    pub(super) bar: ProgressBar,
    output: BufWriter<W>,
    runs: Runs,
    printed: Vec<Report>,
}

impl<'a, W: Write> Printer<'a, W> {
    pub(super) fn new(how: Reporting<'a>, output: W) -> Self {
        let (runs, output) = (Runs::new(how.times), BufWriter::new(output));
        Self { how, bar: ProgressBar::hidden(), output, runs, printed: Vec::new() }
    }

    /// A scenario has run once, or once more.
    pub(super) fn ran(&mut self, mut report: Report) -> Result<()> {
        self.judge(&mut report);
        self.runs.add(report).map_or(Ok(()), |report| self.print(report))
    }

    /// A scenario that was planned does not run.
    pub(super) fn does_not_run(&mut self, mut report: Report) -> Result<()> {
        self.judge(&mut report);
        self.print(report)
    }

    /// Whether nothing has run and nothing was printed.
    pub(super) fn is_silent(&self) -> bool {
        self.printed.is_empty() && self.runs.is_empty()
    }

    /// How many scenarios were printed.
    pub(super) fn count(&self) -> usize {
        self.printed.len()
    }

    fn judge(&self, report: &mut Report) {
        let quirks = quirks(&report.machine);
        if !quirks.may_skip {
            report.deny_skip();
        }
        self.how.known.apply(report, &self.how.facts);
        if quirks.on_this_processor {
            report.vendor = Some(self.how.facts.vendor.clone());
        }
    }

    fn print(&mut self, report: Report) -> Result<()> {
        let again = (self.how.again)(&report);
        self.judged(report, again)
    }

    /// Prints the report of a scenario that was judged, and keeps it for the summary.
    pub(super) fn judged(&mut self, report: Report, again: Option<String>) -> Result<()> {
        let Self { how, bar, output, .. } = self;
        let mut text = Vec::new();
        how.format.writer().one(&mut text, &report, &|| again.clone())?;
        if !text.is_empty() {
            bar.suspend(|| output.write_all(&text).and_then(|()| output.flush()))?;
        }
        self.printed.push(report);
        Ok(())
    }

    /// Writes the summary, with the scenarios in the order given by `order`, machine
    /// by machine. `planned` scenarios were to run, and where the run was `cut_short` fewer did. Returns
    /// the exit code.
    pub(super) fn finish(
        mut self,
        kernel_log: KernelLog,
        order: &HashMap<Scenario, usize>,
        planned: usize,
        cut_short: bool,
    ) -> std::result::Result<u8, CliError> {
        for report in std::mem::replace(&mut self.runs, Runs::new(1)).rest() {
            self.print(report)?;
        }
        let not_run = planned.saturating_sub(self.printed.len());
        let early = cut_short.then(|| Early { signal: ending::signal(), not_run });
        let kernel = self.how.known.excuse(kernel_log.finish(), &self.how.facts);
        self.summary(order, &kernel, early)
    }

    /// As [`finish`](Self::finish), of reports that were all printed.
    pub(super) fn summary(
        self,
        order: &HashMap<Scenario, usize>,
        kernel: &JudgedWarnings,
        early: Option<Early>,
    ) -> std::result::Result<u8, CliError> {
        let Self { how, mut output, printed: mut reports, .. } = self;
        let mut machines: Vec<String> = Vec::new();
        for report in &reports {
            if !machines.contains(&report.machine) {
                machines.push(report.machine.clone());
            }
        }
        reports.sort_by_key(|report| {
            (machines.iter().position(|name| *name == report.machine), order.get(&report.scenario))
        });
        let run = Ended { reports: &reports, host: &how.facts, kernel, early };
        how.format.writer().end(&mut output, &run)?;
        output.flush()?;
        Ok(Totals::of(&reports).exit_code().max(kernel.exit_code()))
    }
}
