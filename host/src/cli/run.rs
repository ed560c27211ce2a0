//! `midflight run`.

mod on;
mod watch;

use super::again::Repeated;
use super::args::RunArgs;
use super::host::{host_facts, kernel_log, marks};
use super::known::known_issues;
use super::list::{self, ListFormat};
use super::machines::{Candidate, Machines};
use super::printer::{Printer, Reporting};
use super::rerun::Failed;
use super::select::{Selected, select};
use super::terminal::standard_output;
use super::{CliError, Given, mounted};
use crate::ending;
use crate::engine::plan::with_delivery;
use crate::engine::{self, RunOptions};
use crate::image::{DeliveryMode, Image};
use crate::images;
use crate::machines::{Described, Description};
use crate::report::outcome::Frames;
use crate::report::{Begun, Format, Report};
use crate::scenario::filter::Filter;
use crate::scenario::{Plan, Scenario};
use crate::stops::storm::StormBounds;
use on::MachineRuns;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use watch::Watching;

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
        let failed = args.rerun_failed.as_deref().map(Failed::read).transpose()?;
        let plan =
            Planned::of(&machines, selected(args, &images::load(files)?, failed.as_ref())?, failed.as_ref());
        plan.check(args, &machines)?;
        Ok(Self { count: plan.len(), order: plan.order })
    }
}

fn selected(args: &RunArgs, images: &[Image], failed: Option<&Failed>) -> Result<Selected, CliError> {
    let mut scenarios = match failed {
        Some(failed) => {
            let filters = args.filters.iter().map(|text| Filter::new(text, images));
            let filters: Vec<Filter> = filters.collect::<Result<_, _>>()?;
            let meant = |id: &str| filters.is_empty() || filters.iter().any(|filter| filter.matches(id));
            let mut scenarios = failed.scenarios(images)?;
            scenarios.retain(|(_, scenario)| meant(&scenario.to_string()));
            scenarios
        }
        None => select(images, &args.filters, args.allow_empty)?.scenarios,
    };
    with_delivery(&mut scenarios, args.delivery);
    if let Some(seed) = args.seed {
        scenarios.iter_mut().for_each(|(_, scenario)| scenario.plan = scenario.plan.seeded(seed));
    }
    args.part.keep(images, &mut scenarios, args.allow_empty)?;
    Ok(scenarios)
}

pub(super) fn run(args: &RunArgs, files: &[PathBuf], kvm: &Path, given: &Given) -> Result<u8, CliError> {
    // Before anything that the kernel could object to.
    let kernel_log = kernel_log(args.watch.kernel_log.as_deref())?;
    let marks = marks(args.kmsg.as_deref())?;
    let machines = Machines::of(args.machine, args.machine_options(kvm))?;
    let images = images::load(files)?;
    let known = known_issues(&args.watch.known, files, files.is_empty())?;
    let failed = args.rerun_failed.as_deref().map(Failed::read).transpose()?;
    let scenarios = selected(args, &images, failed.as_ref())?;
    if args.list {
        return listed(args, &images, &scenarios);
    }
    // The default may be longer: a timeout is often given to scenarios without a storm.
    let storm = args.storm.bounds();
    if storm.time != StormBounds::DEFAULT.time && storm.time >= args.timeout {
        let what = "--storm-seconds must be less than --timeout, which would end the storm first";
        return Err(CliError::Usage(what.to_owned()));
    }
    let plan = Planned::of(&machines, scenarios, failed.as_ref());
    plan.check(args, &machines)?;
    let on_this_processor =
        |(machine, _): &(&Candidate, Selected)| machine.description.quirks().on_this_processor;
    mounted::check(plan.on.iter().any(on_this_processor) && kvm.exists())?;
    let facts = host_facts(kvm, &args.watch.known)?;
    machines.require(&args.require)?;

    let again = Again::new(given, "run", &NOT_AGAIN);
    let again = |report: &Report| Some(again.of(report));
    let how = Reporting {
        format: args.report.format,
        files: &args.report.files,
        begun: Begun { frames: args.frames, ..Begun::now(plan.len(), args.report.verbosity()) },
        known: &known,
        facts,
        again: &again,
        times: args.repeat,
        max_fail: args.end.max_fail(),
    };
    let within = RunOptions::within(args.timeout);
    let mut run = MachineRuns {
        options: RunOptions { images: files.to_vec(), frames: wanted(args), storm, ..within },
        repeat: args.repeat,
        jobs: args.jobs,
        images: &images,
        watching: Arc::new(Watching::new(kernel_log, marks)),
        printer: Printer::new(how, standard_output(args.report.format))?,
    };
    let done = run.on_machines(&plan.on);
    let MachineRuns { watching, printer, .. } = run;
    match done {
        // The reader has closed the pipe.
        Err(error @ CliError::Output(_)) => Err(error),
        Err(error) if printer.is_silent() && ending::signal().is_none() => Err(error),
        done => {
            let cut_short = done.is_err();
            let code = printer.finish(watching.take_log(), &plan.order, cut_short)?;
            // The results of other machines are still reported if one cannot be used.
            done.map(|()| code)
        }
    }
}

/// The frames that reports carry: those of failures too where nobody asks, but for records on a serial line, where each
/// character counts.
fn wanted(args: &RunArgs) -> Frames {
    match (args.frames, args.report.format) {
        (true, _) => Frames::OfAll,
        (false, Format::Records) => Frames::OfNone,
        (false, Format::Human | Format::Ktap | Format::Tap | Format::Junit | Format::Json) => {
            Frames::OfFailures
        }
    }
}

/// Prints the ids of what would run.
fn listed(args: &RunArgs, images: &[Image], scenarios: &Selected) -> Result<u8, CliError> {
    let format = match args.report.format {
        Format::Json => ListFormat::Json,
        Format::Human => ListFormat::Human,
        Format::Ktap | Format::Tap | Format::Junit | Format::Records => {
            return Err(CliError::Usage("--list prints ids: --format human or json".to_owned()));
        }
    };
    list::scenarios_as(format, images, scenarios)?;
    Ok(0)
}

/// What a command that runs one scenario again leaves out: the id has the delivery and the seed, the machine is
/// named, and the command is for a person who has it before them.
pub(super) const NOT_AGAIN: [&str; 18] = [
    "machine",
    "behaviour",
    "delivery",
    "seed",
    "require",
    "allow_empty",
    "exclude",
    "cover",
    "partition",
    "rerun_failed",
    "list",
    "format",
    "files",
    "verbose",
    "quiet",
    "max_fail",
    "fail_fast",
    "jobs",
];

/// The commands that run single scenarios again, each on its machine alone.
pub(super) struct Again(Repeated);

impl Again {
    /// Commands of `subcommand`, with the options that were given but those that `without` names.
    pub(super) fn new(given: &Given, subcommand: &str, without: &[&str]) -> Self {
        Self(given.repeated(subcommand, without))
    }

    /// The one that repeats a report's scenario.
    pub(super) fn of(&self, report: &Report) -> String {
        let id = report.scenario.to_string();
        let mut words = vec![id.as_str(), "--machine", &report.machine];
        words.extend(report.behaviour.iter().flat_map(|name| ["--behaviour", name]));
        self.0.with(&words)
    }
}

/// Which scenarios run on which machine.
struct Planned<'m> {
    on: Vec<(&'m Candidate, Selected)>,
    /// The place of each id in the list.
    order: HashMap<Scenario, usize>,
}

impl<'m> Planned<'m> {
    fn of(machines: &'m Machines, scenarios: Selected, failed: Option<&Failed>) -> Self {
        let order = scenarios.iter().map(|(_, scenario)| scenario.clone()).zip(0..).collect();
        let on = machines.chosen().map(|machine| {
            let name = machine.description.quirks().name;
            let takes = |(_, scenario): &&(usize, Scenario)| {
                takes(machine, scenario) && failed.is_none_or(|failed| failed.has(name, scenario))
            };
            (machine, scenarios.iter().filter(takes).cloned().collect())
        });
        Self { on: on.collect(), order }
    }

    /// A part may be empty, and so may what has failed; the whole must not.
    fn check(&self, args: &RunArgs, machines: &Machines) -> Result<(), CliError> {
        if self.len() > 0 || args.part.partition.is_some() || args.rerun_failed.is_some() {
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
