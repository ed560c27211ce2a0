//! How `run`, `save` and `resume` report: each scenario as it ends, and a summary at the end.

use super::CliError;
use super::sink::{ReportFile, Sink};
use crate::ending;
use crate::engine::repeat::Runs;
use crate::kernel_log::{KernelLog, KernelSaid};
use crate::machines::quirks;
use crate::report::known::{JudgedWarnings, KnownIssues};
use crate::report::{Begun, Cause, Early, Ended, Format, HostFacts, Outcome, Report, Totals, Verbosity};
use crate::scenario::Scenario;
use indicatif::ProgressBar;
use std::collections::HashMap;
use std::io::{Result, Write};

/// What a report depends on besides the scenarios' outcomes.
pub(super) struct Reporting<'a> {
    /// How it is reported on standard output.
    pub(super) format: Format,
    /// Where else.
    pub(super) files: &'a [ReportFile],
    /// How the run begins.
    pub(super) begun: Begun,
    pub(super) known: &'a KnownIssues,
    /// The facts about the host that are known so far.
    pub(super) facts: HostFacts,
    /// The command that repeats a failure, where there is one.
    pub(super) again: &'a dyn Fn(&Report) -> Option<String>,
    /// How often each scenario runs.
    pub(super) times: u32,
    /// After how many failures the run ends.
    pub(super) max_fail: Option<usize>,
}

impl<'a> Reporting<'a> {
    /// A report of one scenario, which runs once.
    pub(super) fn of_one(
        format: Format,
        known: &'a KnownIssues,
        facts: HostFacts,
        again: &'a dyn Fn(&Report) -> Option<String>,
    ) -> Self {
        let begun = Begun::now(1, Verbosity::Normal);
        Self { format, files: &[], begun, known, facts, again, times: 1, max_fail: None }
    }
}

/// Writes a report as the scenarios end.
pub(super) struct Printer<'a> {
    pub(super) how: Reporting<'a>,
    /// The progress bar on the terminal while scenarios run.
    pub(super) bar: ProgressBar,
    sinks: Vec<Sink<'a>>,
    runs: Runs,
    printed: Vec<Report>,
    failed: usize,
    /// What the kernel is taken to have said while the run goes on.
    not_yet: JudgedWarnings,
}

impl<'a> Printer<'a> {
    /// A printer that writes to `output`, and to the files that are named. Fails when one cannot be written.
    pub(super) fn new(how: Reporting<'a>, output: impl Write + 'a) -> Result<Self> {
        let stream = Sink::stream(how.format, Box::new(output));
        let files = how.files.iter().map(Sink::file);
        let mut sinks = std::iter::once(Ok(stream)).chain(files).collect::<Result<Vec<_>>>()?;
        let bar = ProgressBar::hidden();
        sinks.iter_mut().try_for_each(|sink| sink.begin(&bar, &how.begun))?;
        let unwatched = Some("the run has not ended".to_owned());
        let not_yet =
            JudgedWarnings { said: KernelSaid { unwatched, ..KernelSaid::default() }, known: vec![] };
        let runs = Runs::new(how.times);
        Ok(Self { how, bar, sinks, runs, printed: Vec::new(), failed: 0, not_yet })
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

    /// Whether as many scenarios have failed as may.
    pub(super) fn has_enough(&self) -> bool {
        self.how.max_fail.is_some_and(|most| self.failed >= most)
    }

    /// How many scenarios were printed.
    pub(super) fn count(&self) -> usize {
        self.printed.len()
    }

    /// Shows what runs at the moment, and says what has become slow.
    pub(super) fn live(&self, now: Option<String>, slow: Vec<String>) {
        if !self.bar.is_hidden() {
            let failed = (self.failed > 0).then(|| format!("{} failed", self.failed));
            self.bar.set_message(failed.into_iter().chain(now).collect::<Vec<_>>().join("; "));
        }
        let wanted = self.how.format == Format::Human && self.how.begun.verbosity != Verbosity::Quiet;
        for sentence in slow.iter().filter(|_| wanted) {
            self.bar.suspend(|| eprintln!("midflight: {sentence}"));
        }
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

    fn print(&mut self, mut report: Report) -> Result<()> {
        report.again = (self.how.again)(&report);
        self.judged(report)
    }

    /// Prints the report of a scenario that was judged, and keeps it for the summary.
    pub(super) fn judged(&mut self, report: Report) -> Result<()> {
        self.failed += usize::from(matches!(report.outcome, Outcome::Fail | Outcome::Error));
        self.printed.push(report);
        let Self { how: Reporting { begun, facts, .. }, bar, sinks, printed, not_yet, .. } = self;
        let not_run = begun.planned.saturating_sub(printed.len());
        let early = Some(Early { cause: Cause::Unfinished, not_run });
        let so_far = Ended { begun, reports: printed, host: facts, kernel: not_yet, early };
        let Some(report) = printed.last() else { return Ok(()) };
        sinks.iter_mut().try_for_each(|sink| sink.one(bar, report, &so_far))
    }

    /// Writes the summary, with the scenarios in the order given by `order`, machine
    /// by machine. Where the run was `cut_short` fewer ran than were planned. Returns
    /// the exit code.
    pub(super) fn finish(
        mut self,
        kernel_log: KernelLog,
        order: &HashMap<Scenario, usize>,
        cut_short: bool,
    ) -> std::result::Result<u8, CliError> {
        for report in std::mem::replace(&mut self.runs, Runs::new(1)).rest() {
            self.print(report)?;
        }
        let not_run = self.how.begun.planned.saturating_sub(self.printed.len());
        let early = match (ending::signal(), cut_short) {
            (Some(signal), _) => Some(Early { cause: Cause::Signal(signal), not_run }),
            (None, true) => Some(Early { cause: Cause::Error, not_run }),
            (None, false) if self.has_enough() && not_run > 0 => {
                Some(Early { cause: Cause::MaxFail, not_run })
            }
            (None, false) => None,
        };
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
        let Self { how, bar, mut sinks, printed: mut reports, .. } = self;
        let mut machines: Vec<String> = Vec::new();
        for report in &reports {
            if !machines.contains(&report.machine) {
                machines.push(report.machine.clone());
            }
        }
        reports.sort_by_key(|report| {
            (machines.iter().position(|name| *name == report.machine), order.get(&report.scenario))
        });
        let run = Ended { begun: &how.begun, reports: &reports, host: &how.facts, kernel, early };
        sinks.iter_mut().try_for_each(|sink| sink.end(&bar, &run))?;
        let totals = Totals::of(&reports);
        let nothing = if totals.nothing_tested() { how.format.nothing_tested() } else { 0 };
        Ok(totals.exit_code().max(kernel.exit_code()).max(nothing))
    }
}
