//! A run, machine by machine.

use super::watch::Watching;
use crate::cli::CliError;
use crate::cli::machines::Candidate;
use crate::cli::printer::Printer;
use crate::cli::progress::{progress_bar, waiting};
use crate::cli::select::Selected;
use crate::ending;
use crate::engine::emulator::Boot;
use crate::engine::plan::met_needs;
use crate::engine::pool::{Event, Watched};
use crate::engine::qemu::probe::StormProbe;
use crate::engine::{Job, RunOptions, asker, emulator, pool, qemu};
use crate::image::Image;
use crate::machines::emulator::Emulator;
use crate::machines::qemu::TriedQemu;
use crate::machines::{Described, Description, Opened};
use crate::report::Report;
use crate::scenario::Scenario;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Arc;
use vm::Machine;

pub(super) struct MachineRuns<'a> {
    pub(super) options: RunOptions,
    /// How often each scenario runs.
    pub(super) repeat: u32,
    /// How many scenarios run at a time; without it, as many as there are processors.
    pub(super) jobs: Option<NonZeroUsize>,
    pub(super) images: &'a [Image],
    pub(super) watching: Arc<Watching>,
    pub(super) printer: Printer<'a>,
}

impl MachineRuns<'_> {
    /// Runs the planned scenarios, machine by machine, until all have run or a signal ends this process.
    pub(super) fn on_machines(&mut self, planned: &[(&Candidate, Selected)]) -> Result<(), CliError> {
        for (machine, scenarios) in planned {
            if ending::signal().is_some() || self.printer.has_enough() {
                break;
            }
            if !scenarios.is_empty() {
                self.on(machine, scenarios)?;
            }
        }
        Ok(())
    }

    fn on(&mut self, machine: &Candidate, scenarios: &[(usize, Scenario)]) -> Result<(), CliError> {
        let description = &machine.description;
        match machine.opened() {
            Ok(Opened::Machine(machine)) => self.on_machine(description, machine.as_ref(), scenarios),
            Ok(Opened::Emulator(emulator)) => self.on_emulator(description, emulator.as_ref(), scenarios),
            Ok(Opened::Qemu(qemu)) => self.on_qemu(description, qemu, scenarios),
            Err(_) if ending::signal().is_some() => Ok(()),
            Err(error) if machine.must => Err(error.clone().into()),
            Err(error) => self.skip_all(scenarios, description.quirks().name, &error.to_string()),
        }
    }

    fn on_machine(
        &mut self,
        description: &Description,
        machine: &dyn Machine,
        scenarios: &[(usize, Scenario)],
    ) -> Result<(), CliError> {
        let name = description.quirks().name;
        self.printer.bar = waiting(name, "finding out which stops work");
        let found = asker::abilities(description, name, met_needs(machine), self.images, scenarios);
        self.printer.bar.finish_and_clear();
        if ending::signal().is_some() {
            return Ok(());
        }
        let (once, skipped) = found?.split(scenarios.to_vec(), self.images, description.behaviour());
        let Self { options, repeat, jobs, images, watching, printer } = self;
        skipped.into_iter().try_for_each(|report| printer.does_not_run(report))?;
        let run = repeated(once, *repeat);
        printer.bar = progress_bar(name, run.len());
        watching.on_this_kernel(description.quirks().on_this_processor);
        let watched = Watched { jobs: *jobs, watch: watching.clone() };
        let mut printed = Ok(());
        pool::watched(&Job::On(description.clone()), options, images, &run, &watched, |event| {
            if let Event::Ended(_, report) = event {
                printer.bar.inc(1);
                watching.follow();
                printed = printer.ran(*report);
            }
            printer.live(watching.now(), watching.slow());
            go_on(printer, &printed)
        });
        printer.bar.finish_and_clear();
        Ok(printed?)
    }

    fn on_emulator(
        &mut self,
        description: &Description,
        emulator: &dyn Emulator,
        scenarios: &[(usize, Scenario)],
    ) -> Result<(), CliError> {
        let name = description.quirks().name;
        self.printer.how.facts.add_emulator(emulator.version());
        let able = self.able(name, scenarios, |_, scenario| emulator.lacks(scenario.delivery))?;
        self.in_boots(name, &able, |boot, options| emulator::run(emulator, name, boot, options))
    }

    fn on_qemu(
        &mut self,
        description: &Description,
        qemu: &TriedQemu,
        scenarios: &[(usize, Scenario)],
    ) -> Result<(), CliError> {
        let name = description.quirks().name;
        self.printer.how.facts.add_emulator(&qemu.version);
        self.printer.how.facts.emulator_destination = qemu.destination_version.clone().unwrap_or_default();
        let storms = StormProbe::new(qemu, name, self.images, &self.options);
        let able = self.able(name, scenarios, |image, scenario| {
            qemu::plan::lacks(qemu, image, scenario).or_else(|| storms.lacks(image, scenario))
        })?;
        self.in_boots(name, &able, |boot, options| qemu::run(qemu, name, boot, options))
    }

    /// The scenarios that nothing speaks against; the others are skipped.
    fn able(
        &mut self,
        machine: &str,
        scenarios: &[(usize, Scenario)],
        lacks: impl Fn(&Image, &Scenario) -> Option<String>,
    ) -> Result<Selected, CliError> {
        let mut able = Vec::new();
        for (index, scenario) in scenarios {
            match lacks(&self.images[*index], scenario) {
                None => able.push((*index, scenario.clone())),
                Some(why) => self.skip(scenario, machine, &why)?,
            }
        }
        Ok(able)
    }

    fn in_boots(
        &mut self,
        machine: &str,
        scenarios: &[(usize, Scenario)],
        run: impl Fn(&Boot<'_>, &RunOptions) -> Vec<Report> + Sync,
    ) -> Result<(), CliError> {
        let boots = emulator::boots(self.images, scenarios);
        let Self { options, repeat, jobs, printer, .. } = self;
        printer.bar = progress_bar(machine, scenarios.len() * *repeat as usize);
        let mut printed = Ok(());
        for _ in 0..*repeat {
            let run = |boot: &Boot<'_>| run(boot, options);
            emulator::run_all(&boots, run, *jobs, |reports| {
                printer.bar.inc(reports.len() as u64);
                // Those after the last failure that may be were not asked for.
                printed = reports.into_iter().try_for_each(|report| match printer.has_enough() {
                    true => Ok(()),
                    false => printer.ran(report),
                });
                go_on(printer, &printed)
            });
            if go_on(printer, &printed).is_break() || ending::signal().is_some() {
                break;
            }
        }
        self.printer.bar.finish_and_clear();
        Ok(printed?)
    }

    fn skip_all(
        &mut self,
        scenarios: &[(usize, Scenario)],
        machine: &str,
        reason: &str,
    ) -> Result<(), CliError> {
        scenarios.iter().try_for_each(|(_, scenario)| self.skip(scenario, machine, reason))
    }

    fn skip(&mut self, scenario: &Scenario, machine: &str, reason: &str) -> Result<(), CliError> {
        Ok(self.printer.does_not_run(Report::lacking(scenario, machine, None, reason.to_owned()))?)
    }
}

/// Whether more is to run.
fn go_on(printer: &Printer<'_>, printed: &std::io::Result<()>) -> ControlFlow<()> {
    if printed.is_ok() && !printer.has_enough() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

/// The whole list is repeated, not each scenario: state that one of them leaves in the host can affect the next.
fn repeated(once: Selected, times: u32) -> Selected {
    (0..times).flat_map(|_| once.iter().cloned()).collect()
}
