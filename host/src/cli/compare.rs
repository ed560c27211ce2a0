//! `midflight compare`.

mod chosen;

use super::again::Given;
use super::args::{CompareArgs, CompareFormat};
use super::host::host_facts;
use super::known::known_issues;
use super::run::{behaviour_named, progress_bar};
use super::{CliError, mounted};
use crate::compare::across;
use crate::compare::excuse::{Excuses, not_shown};
use crate::compare::observe::observe;
use crate::compare::pair::{Pair, PairError, ROUTES, Subject};
use crate::compare::{self, Comparison};
use crate::ending;
use crate::engine::plan::{Abilities, met_needs};
use crate::engine::pool::{self, Engine};
use crate::engine::questions::{Question, StopSupport, probe};
use crate::engine::worker::{Worker, WorkerError, WorkerOptions};
use crate::image::Image;
use crate::kernel_log::KernelSaid;
use crate::report::facts::HostFacts;
use crate::report::known::{By, JudgedWarnings, KnownIssues, Of};
use crate::report::outcome::{Outcome, Report};
use crate::report::{Early, Totals, compare as report, human, json};
use crate::scenario::Scenario;
use crate::stops::storm::StormBounds;
use kvm::KvmMachine;
use model::ModelMachine;
use std::io::{BufWriter, Write, stdout};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use vm::Machine;

pub(super) fn compare(
    args: &CompareArgs,
    files: &[PathBuf],
    kvm: &Path,
    given: &Given,
) -> Result<u8, CliError> {
    let pair = chosen::pair(args)?;
    mounted::check(pair.has_kvm())?;
    let (images, files) = chosen::images(args.image.as_deref(), files)?;
    let known = known_issues(&args.known, &files, files.is_empty())?;
    let facts = host_facts(kvm, &args.known)?;
    let scenarios_of = if args.migrate { across::scenarios } else { compare::scenarios };
    let scenarios = chosen::scenarios(args, &images, scenarios_of)?;
    let machine = if pair.has_kvm() { Some(KvmMachine::open(kvm)?) } else { None };
    let options = WorkerOptions {
        kvm: kvm.to_owned(),
        images: files,
        timeout: args.timeout,
        frames: false,
        storm: StormBounds::DEFAULT,
    };
    let run = Run { args, given, pair, images: &images, options, facts, known };
    let machine = machine.as_ref().map(|machine| machine as &dyn Machine);
    let abilities = run.abilities(machine, &scenarios)?;
    if args.migrate {
        run.migrate(scenarios, &abilities)
    } else {
        run.compare(&scenarios, &abilities, machine)
    }
}

struct Run<'a> {
    args: &'a CompareArgs,
    given: &'a Given,
    pair: Pair,
    images: &'a [Image],
    options: WorkerOptions,
    facts: HostFacts,
    known: KnownIssues,
}

impl Run<'_> {
    /// What each machine can do with what both have, as far as `scenarios` depend on it.
    fn abilities(
        &self,
        kvm: Option<&dyn Machine>,
        scenarios: &[(usize, Scenario)],
    ) -> Result<[Abilities; 2], CliError> {
        let meets = self.pair.with(kvm, |machines| machines.map(met_needs)).map_err(unavailable)?;
        let of = |side: usize| {
            let subject = &self.pair.0[side];
            let name = subject.to_string();
            let ask = |payload, questions: &[Question]| self.ask(subject, payload, questions);
            Abilities::find_out(&name, meets[side], self.images, scenarios, ask)
        };
        Ok([of(0)?, of(1)?])
    }

    fn ask(&self, subject: &Subject, payload: bool, questions: &[Question]) -> Result<StopSupport, CliError> {
        match subject {
            Subject::Kvm => {
                // A probe has a guest of its own and needs no image.
                let options = WorkerOptions { images: Vec::new(), ..self.options.clone() };
                Ok(Worker::new(options).probe(payload, questions)?)
            }
            Subject::Model(behaviour) => {
                let machine = ModelMachine::new(behaviour_named(Some(behaviour))?);
                Ok(probe(&machine, payload, questions)?)
            }
        }
    }

    /// Runs each case on both machines.
    fn compare(
        &self,
        scenarios: &[(usize, Scenario)],
        abilities: &[Abilities; 2],
        kvm: Option<&dyn Machine>,
    ) -> Result<u8, CliError> {
        let excuses = Excuses { known: &self.known, facts: &self.facts };
        let bar = progress_bar("compare", scenarios.len());
        let mut output = BufWriter::new(stdout().lock());
        let mut comparisons: Vec<Comparison> = Vec::new();
        let done = self.pair.with(kvm, |machines| {
            let mut worker = Worker::new(self.options.clone());
            let mut one = |(index, scenario): &(usize, Scenario)| {
                bar.inc(1);
                bar.set_message(scenario.to_string());
                let image = &self.images[*index];
                if let Some(reason) = compare::skip_reason(abilities, image, scenario) {
                    return Comparison::new(&self.pair, scenario).concluded(Outcome::Skip, reason);
                }
                let mut look = |side: usize| match self.pair.0[side] {
                    Subject::Kvm => worker.observe(scenario, &self.pair, side),
                    Subject::Model(_) => {
                        Ok(observe(machines[side], image, scenario, self.args.timeout, None))
                    }
                };
                let seen = look(0).and_then(|first| Ok([first, look(1)?]));
                match &seen {
                    Ok([first, second]) => {
                        Comparison::of(&self.pair, image, scenario, [first, second], &excuses)
                    }
                    Err(error) => self.no_answer(scenario, error),
                }
            };
            for scenario in scenarios {
                let mut comparison = one(scenario);
                if !self.pair.has_kvm() {
                    comparison.deny_skip();
                }
                // What breaks off because this process is to end is no result.
                if ending::told().is_some() {
                    break;
                }
                bar.suspend(|| self.tell(&mut output, &comparison))?;
                comparisons.push(comparison);
            }
            Ok::<(), std::io::Error>(())
        });
        bar.finish_and_clear();
        done.map_err(unavailable)??;
        let early = early(scenarios.len() - comparisons.len());
        let compared: Vec<_> = scenarios.iter().map(|(_, one)| one).zip(&comparisons).collect();
        // What has not run has shown nothing.
        let judged = self.pair.has_kvm() && early.is_none();
        let not_shown = if judged { not_shown(&compared, &excuses) } else { Vec::new() };
        match self.args.format {
            CompareFormat::Human => {
                report::human_summary(&mut output, &self.pair, &comparisons, &not_shown, early)?;
            }
            CompareFormat::Json => {
                let pair = &self.pair;
                report::json_summary(&mut output, pair, &comparisons, &not_shown, &self.facts, early)?;
            }
        }
        output.flush()?;
        Ok(report::totals(&comparisons).exit_code().max(u8::from(!not_shown.is_empty())))
    }

    fn tell(&self, output: &mut impl Write, comparison: &Comparison) -> std::io::Result<()> {
        match self.args.format {
            CompareFormat::Human => report::human(output, comparison, || self.command(&comparison.scenario)),
            CompareFormat::Json => report::json(output, comparison),
        }?;
        output.flush()
    }

    fn no_answer(&self, scenario: &Scenario, error: &WorkerError) -> Comparison {
        Comparison::new(&self.pair, scenario).concluded(Outcome::Error, error.to_string())
    }

    /// Lets guests migrate on every route.
    fn migrate(&self, scenarios: Vec<(usize, Scenario)>, abilities: &[Abilities; 2]) -> Result<u8, CliError> {
        let mut output = BufWriter::new(stdout().lock());
        let mut reports = Vec::new();
        for route in ROUTES.into_iter().take_while(|_| ending::told().is_none()) {
            let name = self.pair.describe(route);
            let (mut run, mut skipped) = (Vec::new(), Vec::new());
            for (index, scenario) in scenarios.clone() {
                match across::skip_reason(abilities, route, &self.images[index], &scenario) {
                    None => run.push((index, scenario)),
                    Some(why) => {
                        skipped.push(Report::new(&scenario, &name, None).concluded(Outcome::Skip, why));
                    }
                }
            }
            let engine = Engine::Across { pair: self.pair.clone(), route, options: self.options.clone() };
            let bar = progress_bar(&name, run.len());
            if !self.pair.has_kvm() {
                skipped.iter_mut().for_each(Report::deny_skip);
            }
            let mut told = skipped.iter().try_for_each(|report| self.tell_of(&mut output, report));
            reports.extend(skipped);
            pool::run(&engine, self.images, &run, |_, mut report| {
                bar.inc(1);
                bar.set_message(report.scenario.to_string());
                if !self.pair.has_kvm() {
                    report.deny_skip();
                }
                self.excuse(&mut report);
                told = bar.suspend(|| self.tell_of(&mut output, &report));
                reports.push(report);
                if told.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            bar.finish_and_clear();
            told?;
        }
        let early = early(ROUTES.len() * scenarios.len() - reports.len());
        match self.args.format {
            CompareFormat::Human => report::crossings(&mut output, &self.pair, &reports, early)?,
            CompareFormat::Json => {
                json::summary(&mut output, &reports, &self.facts, &unwatched(), early)?;
            }
        }
        output.flush()?;
        Ok(Totals::of(&reports).exit_code())
    }

    fn tell_of(&self, output: &mut impl Write, report: &Report) -> std::io::Result<()> {
        match self.args.format {
            CompareFormat::Human => {
                let command = self.command(&report.scenario);
                human::one(output, report, Some(&command))
            }
            CompareFormat::Json => json::one(output, report),
        }?;
        output.flush()
    }

    /// A failure that is known of KVM is known of a way that leads over KVM, too.
    fn excuse(&self, report: &mut Report) {
        if !self.pair.has_kvm() || !matches!(report.outcome, Outcome::Fail | Outcome::Error) {
            return;
        }
        let on_kvm = Of { machine: "kvm", scenario: &report.scenario, by: By::Judge };
        if let Some(issue) = self.known.explain(on_kvm, (&*report).into(), &[&self.facts]) {
            report.outcome = Outcome::Known;
            report.reason = Some(issue.to_string());
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
    ending::told().map(|signal| Early { signal: Some(signal), not_run })
}

fn unavailable(error: PairError) -> CliError {
    CliError::Usage(error.to_string())
}

/// What a comparison says of the kernel's warnings: `run` is there to watch them.
fn unwatched() -> JudgedWarnings {
    let why = "midflight compare does not watch the kernel's log".to_owned();
    JudgedWarnings { said: KernelSaid { unwatched: Some(why), ..KernelSaid::default() }, known: Vec::new() }
}
