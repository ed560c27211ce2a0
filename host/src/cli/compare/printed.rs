//! A comparison with a machine that cannot be stopped: of what images print of their deliveries.

use super::Comparing;
use crate::cli::error::CliError;
use crate::compare::Comparison;
use crate::compare::excuse::Excuses;
use crate::compare::observe::Observations;
use crate::compare::printed::observations;
use crate::engine::emulator::Boot;
use crate::engine::job::Job;
use crate::engine::options::RunOptions;
use crate::engine::plan::met_needs;
use crate::engine::{asker, emulator, pool};
use crate::machines::emulator::Emulator;
use crate::machines::{Described, Description, Opened};
use crate::report::finding::Finding;
use crate::report::outcome::{Frames, Outcome, Report};
use crate::scenario::Scenario;
use std::collections::HashMap;
use std::ops::ControlFlow;
use vm::Machine;

/// What each case did on a machine.
type Seen = HashMap<Scenario, Observations>;

impl Comparing<'_> {
    /// Runs each case on both machines, one after the other, and compares what was printed.
    pub(super) fn printed(mut self, scenarios: &[(usize, Scenario)]) -> Result<u8, CliError> {
        let [first, second] = self.pair.0.clone();
        let seen = [self.seen_on(&first, scenarios)?, self.seen_on(&second, scenarios)?];
        let excuses = Excuses { known: &self.known, facts: &self.facts };
        self.each(scenarios, |(index, scenario)| {
            let comparison = || Comparison::new(&self.pair, scenario);
            let [Some(first), Some(second)] = seen.each_ref().map(|seen| seen.get(scenario)) else {
                let why = Finding::program("it did not run on both machines");
                return comparison().concluded(Outcome::Error, why);
            };
            let skipped = [first, second].into_iter().find(|one| one.report.outcome == Outcome::Skip);
            match skipped.and_then(|one| one.report.why.clone()) {
                Some(why) => comparison().concluded(Outcome::Skip, why),
                None => Comparison::of(&self.pair, &self.images[*index], scenario, [first, second], &excuses),
            }
        })
    }

    fn seen_on(&mut self, on: &Description, scenarios: &[(usize, Scenario)]) -> Result<Seen, CliError> {
        let reports = match on.open()? {
            Opened::Machine(machine) => self.on_machine(on, machine.as_ref(), scenarios)?,
            Opened::Qemu(qemu) => {
                self.facts.add_emulator(&qemu.version);
                self.on_emulator(on, qemu.as_ref(), scenarios)
            }
            Opened::Emulator(emulator) => {
                self.facts.add_emulator(emulator.version());
                self.on_emulator(on, emulator.as_ref(), scenarios)
            }
        };
        let image_of: HashMap<&Scenario, usize> =
            scenarios.iter().map(|(index, one)| (one, *index)).collect();
        let seen = reports.into_iter().filter_map(|report| {
            let image = &self.images[*image_of.get(&report.scenario)?];
            Some((report.scenario.clone(), observations(image, report)))
        });
        Ok(seen.collect())
    }

    fn on_machine(
        &self,
        on: &Description,
        machine: &dyn Machine,
        scenarios: &[(usize, Scenario)],
    ) -> Result<Vec<Report>, CliError> {
        let name = on.quirks().name;
        let found = asker::abilities(on, name, met_needs(machine), self.images, scenarios)?;
        let (run, mut reports) = found.split(scenarios.to_vec(), self.images, on.behaviour());
        pool::run(&Job::On(on.clone()), &self.with_frames(), self.images, &run, |_, report| {
            reports.push(report);
            ControlFlow::Continue(())
        });
        Ok(reports)
    }

    fn on_emulator(
        &self,
        on: &Description,
        emulator: &dyn Emulator,
        scenarios: &[(usize, Scenario)],
    ) -> Vec<Report> {
        let name = on.quirks().name;
        let lacks = |scenario: &Scenario| emulator.lacks(scenario.delivery);
        let (able, unable): (Vec<_>, Vec<_>) =
            scenarios.iter().cloned().partition(|(_, scenario)| lacks(scenario).is_none());
        let skip = |(_, scenario): &(usize, Scenario)| {
            let why = lacks(scenario).map(|what| Finding::Lacks { what });
            Report::new(scenario, name, None).concluded(Outcome::Skip, why)
        };
        let mut reports: Vec<Report> = unable.iter().map(skip).collect();
        let (boots, options) = (emulator::boots(self.images, &able), self.with_frames());
        let run = |boot: &Boot<'_>| emulator::run(emulator, name, boot, &options);
        emulator::run_all(&boots, run, None, |more| {
            reports.extend(more);
            ControlFlow::Continue(())
        });
        reports
    }

    fn with_frames(&self) -> RunOptions {
        RunOptions { frames: Frames::OfAll, ..self.options.clone() }
    }
}
