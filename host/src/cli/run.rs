//! `midflight run`.

mod on;

use super::args::RunArgs;
use super::host::{host_facts, kernel_log};
use super::known::known_issues;
use super::machines::{Candidate, Machines};
use super::printer::{Printer, Reporting};
use super::select::{Selected, select};
use super::{CliError, Given, mounted};
use crate::ending;
use crate::engine::plan::with_delivery;
use crate::engine::{self, RunOptions};
use crate::image::{DeliveryMode, Image};
use crate::images;
use crate::machines::{Described, Description};
use crate::report::Report;
use crate::scenario::{Plan, Scenario};
use crate::stops::storm::StormBounds;
use on::MachineRuns;
use std::collections::HashMap;
use std::io::stdout;
use std::path::{Path, PathBuf};

/// The scenarios that `args` mean, and the place of each id in the list.
pub(super) struct Meant {
    /// How many are to run, on all machines together.
    pub(super) count: usize,
    /// The place of each id in the list.
    pub(super) order: HashMap<Scenario, usize>,
}

impl Meant {
    /// Those of a run with `args`, on this host or on another.
    ///
    /// # Errors
    /// As [`run`], before anything has run.
    pub(super) fn of(args: &RunArgs, files: &[PathBuf], kvm: &Path) -> Result<Self, CliError> {
        let machines = Machines::of(args.machine, args.machine_options(kvm))?;
        let plan = Planned::of(&machines, selected(args, &images::load(files)?)?);
        plan.check(args, &machines)?;
        Ok(Self { count: plan.len(), order: plan.order })
    }
}

fn selected(args: &RunArgs, images: &[Image]) -> Result<Selected, CliError> {
    let mut scenarios = select(images, &args.filters, args.allow_empty)?.scenarios;
    with_delivery(&mut scenarios, args.delivery);
    args.part.keep(images, &mut scenarios);
    Ok(scenarios)
}

pub(super) fn run(args: &RunArgs, files: &[PathBuf], kvm: &Path, given: &Given) -> Result<u8, CliError> {
    // Before anything that the kernel could object to.
    let kernel_log = kernel_log(args.watch.kernel_log.as_deref())?;
    let machines = Machines::of(args.machine, args.machine_options(kvm))?;
    let images = images::load(files)?;
    let known = known_issues(&args.watch.known, files, files.is_empty())?;
    let scenarios = selected(args, &images)?;
    // The default may be longer: a timeout is often given to scenarios without a storm.
    let storm = args.storm.bounds();
    if storm.time != StormBounds::DEFAULT.time && storm.time >= args.timeout {
        let what = "--storm-seconds must be less than --timeout, which would end the storm first";
        return Err(CliError::Usage(what.to_owned()));
    }
    let plan = Planned::of(&machines, scenarios);
    plan.check(args, &machines)?;
    let on_this_processor =
        |(machine, _): &(&Candidate, Selected)| machine.description.quirks().on_this_processor;
    mounted::check(plan.on.iter().any(on_this_processor) && kvm.exists())?;
    let facts = host_facts(kvm, &args.watch.known)?;
    machines.require(&args.require)?;

    let again = |report: &Report| Some(again(given, "run", report, &NOT_AGAIN));
    let how = Reporting { format: args.format, known: &known, facts, again: &again, times: args.repeat };
    let within = RunOptions::within(args.timeout);
    let mut run = MachineRuns {
        options: RunOptions { images: files.to_vec(), frames: args.frames, storm, ..within },
        repeat: args.repeat,
        images: &images,
        kernel_log,
        printer: Printer::new(how, stdout().lock()),
    };
    let done = run.on_machines(&plan.on);
    let MachineRuns { kernel_log, printer, .. } = run;
    match done {
        // The reader has closed the pipe.
        Err(error @ CliError::Output(_)) => Err(error),
        Err(error) if printer.is_silent() && ending::signal().is_none() => Err(error),
        done => {
            let cut_short = done.is_err() || ending::signal().is_some();
            let code = printer.finish(kernel_log, &plan.order, plan.len(), cut_short)?;
            // The results of other machines are still reported if one cannot be used.
            done.map(|()| code)
        }
    }
}

/// What a command that runs one scenario again leaves out: the id has the delivery, the machine is named, and
/// the command is for a person who has it before them.
pub(super) const NOT_AGAIN: [&str; 8] =
    ["machine", "behaviour", "delivery", "require", "allow_empty", "format", "cover", "partition"];

/// The command that runs a scenario again by `subcommand`, on its machine alone.
pub(super) fn again(given: &Given, subcommand: &str, report: &Report, without: &[&str]) -> String {
    let id = report.scenario.to_string();
    let mut words = vec![id.as_str(), "--machine", &report.machine];
    words.extend(report.behaviour.iter().flat_map(|name| ["--behaviour", name]));
    given.command(subcommand, &words, without)
}

/// Which scenarios run on which machine.
struct Planned<'m> {
    on: Vec<(&'m Candidate, Selected)>,
    /// The place of each id in the list.
    order: HashMap<Scenario, usize>,
}

impl<'m> Planned<'m> {
    fn of(machines: &'m Machines, scenarios: Selected) -> Self {
        let order = scenarios.iter().map(|(_, scenario)| scenario.clone()).zip(0..).collect();
        let on = machines.chosen().map(|machine| {
            let takes = |(_, scenario): &&(usize, Scenario)| takes(machine, scenario);
            (machine, scenarios.iter().filter(takes).cloned().collect())
        });
        Self { on: on.collect(), order }
    }

    /// A part may be empty, the whole must not.
    fn check(&self, args: &RunArgs, machines: &Machines) -> Result<(), CliError> {
        if self.len() > 0 || args.part.partition.is_some() {
            return Ok(());
        }
        let on = machines.asked.map_or("any machine", |kind| kind.quirks().name);
        Err(CliError::NothingSelected(on.to_owned()))
    }

    /// How many scenarios are to run, on all machines together.
    fn len(&self) -> usize {
        self.on.iter().map(|(_, scenarios)| scenarios.len()).sum()
    }
}

/// Whether a scenario is for a machine at all. One that boots each image once, without a host that could stop
/// it, is for the cold ones; so is a QEMU that was not asked for, whose other scenarios take minutes.
fn takes(machine: &Candidate, scenario: &Scenario) -> bool {
    let quirks = machine.description.quirks();
    let boots = scenario.delivery == DeliveryMode::Idt || quirks.boots_fred;
    let boots = boots && scenario.plan == Plan::Cold;
    match &machine.description {
        Description::Qemu(_) if machine.must => engine::qemu::plan::takes(scenario),
        Description::Kvm(_) | Description::Model(_) | Description::Qemu(_) | Description::Bochs(_) => {
            quirks.stops || boots
        }
    }
}
