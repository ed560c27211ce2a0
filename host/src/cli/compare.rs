//! `midflight compare`.

mod chosen;
mod printed;

use super::args::CompareArgs;
use super::host::host_facts;
use super::known::known_issues;
use super::progress::progress_bar;
use super::{CliError, Given, mounted};
use crate::compare::across;
use crate::compare::excuse::{Excuses, not_shown};
use crate::compare::observe::{Observations, observe};
use crate::compare::pair::{PATHS, Pair};
use crate::compare::{self, Comparison};
use crate::ending;
use crate::engine::plan::{Abilities, met_needs};
use crate::engine::worker::{Setup, Worker, WorkerError};
use crate::engine::{Job, RunOptions, asker, pool};
use crate::image::Image;
use crate::kernel_log::KernelSaid;
use crate::machines::Described;
use crate::machines::narrowed::Narrowed;
use crate::report::compare::{Ended, totals};
use crate::report::known::{By, JudgedWarnings, KnownIssues, Of};
use crate::report::{self, Begun, Cause, Early, Finding, HostFacts, Outcome, Report, Totals, Verbosity};
use crate::scenario::Scenario;
use std::io::{BufWriter, Write, stdout};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

pub(super) fn compare(
    args: &CompareArgs,
    files: &[PathBuf],
    kvm: &Path,
    given: &Given,
) -> Result<u8, CliError> {
    let pair = chosen::pair(args, kvm)?;
    let is_on_this_processor = pair.any(|quirks| quirks.on_this_processor);
    mounted::check(is_on_this_processor)?;
    let (images, files) = chosen::images(args.image.as_deref(), files)?;
    let known = known_issues(&args.known, &files, files.is_empty())?;
    let facts = host_facts(kvm, &args.known)?;
    let scenarios_of = if args.migrate { across::scenarios } else { compare::scenarios };
    let scenarios = chosen::scenarios(args, &images, scenarios_of)?;
    let options = RunOptions { images: files, ..RunOptions::within(args.timeout) };
    if pair.any(|quirks| !quirks.stops) {
        return Comparing { args, given, pair, images: &images, options, facts, known }.printed(&scenarios);
    }
    let machines = pair.open()?;
    let run = Comparing { args, given, pair, images: &images, options, facts, known };
    let abilities = run.abilities(&machines, &scenarios)?;
    if args.migrate {
        run.migrate(scenarios, &abilities)
    } else {
        run.compare(&scenarios, &abilities, &machines)
    }
}

/// Looks at a guest on a machine.
type Observer<'m> = Box<dyn FnMut(&Image, &Scenario) -> Result<Observations, WorkerError> + 'm>;

struct Comparing<'a> {
    args: &'a CompareArgs,
    given: &'a Given,
    pair: Pair,
    images: &'a [Image],
    options: RunOptions,
    facts: HostFacts,
    known: KnownIssues,
}

impl Comparing<'_> {
    /// What each machine can do with what both have, as far as `scenarios` depend on it.
    fn abilities(
        &self,
        machines: &[Narrowed; 2],
        scenarios: &[(usize, Scenario)],
    ) -> Result<[Abilities; 2], CliError> {
        let of = |side: usize| {
            let description = &self.pair.0[side];
            let (name, meets) = (description.to_string(), met_needs(&machines[side]));
            asker::abilities(description, &name, meets, self.images, scenarios)
        };
        Ok([of(0)?, of(1)?])
    }

    /// Looks at a guest on one of the machines.
    fn observer<'m>(&'m self, machines: &'m [Narrowed; 2], side: usize) -> Observer<'m> {
        let job = Job::Across { pair: self.pair.clone(), path: vec![side] };
        let timeout = self.args.timeout;
        if job.may_hang() {
            let mut worker = Worker::new(Setup { job, options: self.options.clone() });
            return Box::new(move |_, scenario| worker.observe(scenario));
        }
        Box::new(move |image, scenario| Ok(observe(&machines[side], image, scenario, timeout, None)))
    }

    /// Runs each case on both machines.
    fn compare(
        &self,
        scenarios: &[(usize, Scenario)],
        abilities: &[Abilities; 2],
        machines: &[Narrowed; 2],
    ) -> Result<u8, CliError> {
        let excuses = Excuses { known: &self.known, facts: &self.facts };
        let mut observers = [0, 1].map(|side| self.observer(machines, side));
        self.each(scenarios, |(index, scenario)| {
            let image = &self.images[*index];
            if let Some(reason) = compare::skip_reason(abilities, image, scenario) {
                return Comparison::new(&self.pair, scenario)
                    .concluded(Outcome::Skip, Finding::Lacks { what: reason });
            }
            let mut look = |side: usize| observers[side](image, scenario);
            let seen = look(0).and_then(|first| Ok([first, look(1)?]));
            match &seen {
                Ok([first, second]) => Comparison::of(&self.pair, image, scenario, [first, second], &excuses),
                Err(error) => {
                    Comparison::new(&self.pair, scenario).concluded(Outcome::Error, Finding::program(error))
                }
            }
        })
    }

    /// Compares each case, and reports.
    fn each(
        &self,
        scenarios: &[(usize, Scenario)],
        mut one: impl FnMut(&(usize, Scenario)) -> Comparison,
    ) -> Result<u8, CliError> {
        let excuses = Excuses { known: &self.known, facts: &self.facts };
        let bar = progress_bar("compare", scenarios.len());
        let mut output = BufWriter::new(stdout().lock());
        let mut comparisons: Vec<Comparison> = Vec::new();
        for scenario in scenarios {
            bar.inc(1);
            bar.set_message(scenario.1.to_string());
            let mut comparison = one(scenario);
            if !self.may_skip() {
                comparison.deny_skip();
            }
            // A scenario that was aborted because this process ends has no result.
            if ending::signal().is_some() {
                break;
            }
            bar.suspend(|| self.print(&mut output, &comparison))?;
            comparisons.push(comparison);
        }
        bar.finish_and_clear();
        let early = early(scenarios.len() - comparisons.len());
        let compared: Vec<_> = scenarios.iter().map(|(_, one)| one).zip(&comparisons).collect();
        // A case that has not run has shown no issue.
        let not_shown = match self.pair.known() {
            Some(machine) if early.is_none() => not_shown(machine, &compared, &excuses),
            Some(_) | None => Vec::new(),
        };
        let (pair, host) = (&self.pair, &self.facts);
        let ended = Ended { pair, comparisons: &comparisons, not_shown: &not_shown, host, early };
        self.args.format.writer().end(&mut output, &ended)?;
        output.flush()?;
        Ok(totals(&comparisons).exit_code().max(u8::from(!not_shown.is_empty())))
    }

    fn print(&self, output: &mut impl Write, comparison: &Comparison) -> std::io::Result<()> {
        let again = || Some(self.command(&comparison.scenario));
        self.args.format.writer().one(output, comparison, &again)?;
        output.flush()
    }

    /// Lets guests migrate on every path.
    fn migrate(&self, scenarios: Vec<(usize, Scenario)>, abilities: &[Abilities; 2]) -> Result<u8, CliError> {
        let mut output = BufWriter::new(stdout().lock());
        let mut reports = Vec::new();
        for path in PATHS.into_iter().take_while(|_| ending::signal().is_none()) {
            let name = self.pair.describe(path);
            let (mut run, mut skipped) = (Vec::new(), Vec::new());
            for (index, scenario) in scenarios.clone() {
                match across::skip_reason(abilities, path, &self.images[index], &scenario) {
                    None => run.push((index, scenario)),
                    Some(why) => skipped.push(Report::lacking(&scenario, &name, None, why)),
                }
            }
            let job = Job::Across { pair: self.pair.clone(), path: path.to_vec() };
            let bar = progress_bar(&name, run.len());
            if !self.may_skip() {
                skipped.iter_mut().for_each(Report::deny_skip);
            }
            let mut printed = skipped.iter().try_for_each(|report| self.print_migrated(&mut output, report));
            reports.extend(skipped);
            pool::run(&job, &self.options, self.images, &run, |_, mut report| {
                bar.inc(1);
                bar.set_message(report.scenario.to_string());
                if !self.may_skip() {
                    report.deny_skip();
                }
                self.excuse(&mut report);
                printed = bar.suspend(|| self.print_migrated(&mut output, &report));
                reports.push(report);
                if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            bar.finish_and_clear();
            printed?;
        }
        let early = early(PATHS.len() * scenarios.len() - reports.len());
        let (begun, kernel) = (Begun::now(PATHS.len() * scenarios.len(), Verbosity::Normal), unwatched());
        let run =
            report::Ended { begun: &begun, reports: &reports, host: &self.facts, kernel: &kernel, early };
        self.args.format.writer().end_migrated(&mut output, &self.pair, &run)?;
        output.flush()?;
        Ok(Totals::of(&reports).exit_code())
    }

    fn print_migrated(&self, output: &mut impl Write, report: &Report) -> std::io::Result<()> {
        let report = Report { again: Some(self.command(&report.scenario)), ..report.clone() };
        self.args.format.writer().one_migrated(output, &report)?;
        output.flush()
    }

    /// Whether a machine may lack something. A skip on two models is a failure.
    fn may_skip(&self) -> bool {
        self.pair.any(|quirks| quirks.may_skip)
    }

    /// A failure that is known of a machine is known of a way that leads over it, too.
    fn excuse(&self, report: &mut Report) {
        let Some(machine) = self.pair.known() else { return };
        if !matches!(report.outcome, Outcome::Fail | Outcome::Error) {
            return;
        }
        let on_it = Of { machine: machine.quirks().name, scenario: &report.scenario, by: By::Judge };
        if let Some(issue) = self.known.explain(on_it, (&*report).into(), &[&self.facts]) {
            report.outcome = Outcome::Known;
            report.known = Some(issue.cited());
        }
    }

    /// The command that repeats a case.
    fn command(&self, scenario: &Scenario) -> String {
        let Scenario { image, case, delivery, .. } = scenario;
        let delivery = delivery.to_string();
        // A file that was named is named again: it may hold what another image of that name does not.
        let named = self.args.image.as_deref().unwrap_or(image);
        let words = [named, "--case", case, "--delivery", &delivery];
        self.given.command("compare", &words, &["case", "delivery", "format"])
    }
}

/// Why `not_run` scenarios did not run, where a signal is the reason.
fn early(not_run: usize) -> Option<Early> {
    ending::signal().map(|signal| Early { cause: Cause::Signal(signal), not_run })
}

/// What a comparison reports about the kernel's warnings: only `run` watches them.
fn unwatched() -> JudgedWarnings {
    let why = "midflight compare does not watch the kernel's log".to_owned();
    JudgedWarnings { said: KernelSaid { unwatched: Some(why), ..KernelSaid::default() }, known: Vec::new() }
}
