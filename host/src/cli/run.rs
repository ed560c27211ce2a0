//! `midflight run`.

use super::again::Given;
use super::args::{MachineName, RunArgs};
use super::host::{host_facts, kernel_log, require};
use super::known::known_issues;
use super::tell::{Reporting, Teller};
use super::{CliError, mounted, select};
use crate::ending;
use crate::engine::plan::{Abilities, met_needs, with_delivery};
use crate::engine::pool::{self, Engine};
use crate::engine::questions::{Question, probe};
use crate::engine::worker::{Worker, WorkerError, WorkerOptions};
use crate::image::Image;
use crate::images;
use crate::kernel_log::KernelLog;
use crate::machines::qemu::{Qemu, QemuError, TRY};
use crate::report::outcome::{Outcome, Report};
use crate::scenario::{Delivery, Plan, Scenario};
use crate::stops::storm::StormBounds;
use indicatif::{ProgressBar, ProgressStyle};
use kvm::KvmMachine;
use model::ModelMachine;
use model::hypervisor::behaviour::{self, Behaviour};
use std::cell::OnceCell;
use std::collections::HashMap;
use std::io::{Write, stdout};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

pub(super) fn run(args: &RunArgs, files: &[PathBuf], kvm: &Path, given: &Given) -> Result<u8, CliError> {
    // Before anything that the kernel could object to.
    let kernel_log = kernel_log(args.watch.kernel_log.as_deref())?;
    let behaviour = behaviour_for(args.machine, args.behaviour.as_deref())?;
    let images = images::load(files)?;
    let known = known_issues(&args.watch.known, files, files.is_empty())?;
    let mut scenarios = select::select(&images, &args.filters, args.allow_empty)?.scenarios;
    with_delivery(&mut scenarios, args.delivery);
    // The default may be longer: a timeout is often given to scenarios without a storm.
    if args.storm.bounds().time != StormBounds::DEFAULT.time && args.storm.bounds().time >= args.timeout {
        let what = "--storm-seconds must be less than --timeout, which would end the storm first";
        return Err(CliError::Usage(what.to_owned()));
    }
    let machine = if args.behaviour.is_some() { Some(MachineName::Model) } else { args.machine };
    let plan = Planned::of(machine, scenarios);
    if plan.len() == 0 {
        return Err(CliError::NothingSelected(machine.map_or("any machine", MachineName::name).to_owned()));
    }
    mounted::check(plan.on_kvm && kvm.exists())?;
    let facts = host_facts(kvm, &args.watch.known)?;
    let qemu = OnceCell::new();
    require(&args.require, kvm, || qemu.get_or_init(|| Qemu::tried(TRY)))?;

    let again = |report: &Report| Some(again(given, report));
    let how = Reporting { format: args.format, known: &known, facts, again: &again, times: args.repeat };
    let teller = Teller::new(how, stdout().lock());
    let asked = machine.is_some();
    let mut run = Run { args, files, kvm, images: &images, behaviour, asked, kernel_log, teller };
    let done = run.on_machines(&plan, &qemu);
    let Run { kernel_log, teller, .. } = run;
    match done {
        // Nobody reads it any more.
        Err(error @ CliError::Output(_)) => Err(error),
        Err(error) if teller.is_silent() && ending::told().is_none() => Err(error),
        done => {
            let cut_short = done.is_err() || ending::told().is_some();
            let code = teller.finish(kernel_log, &plan.order(), plan.len(), cut_short)?;
            // What other machines gave is not lost with one that is no use.
            done.map(|()| code)
        }
    }
}

/// The command that runs a scenario again, on its machine alone.
pub(super) fn again(given: &Given, report: &Report) -> String {
    let id = report.scenario.to_string();
    let mut words = vec![id.as_str(), "--machine", &report.machine];
    words.extend(report.behaviour.iter().flat_map(|name| ["--behaviour", name]));
    // The id has the delivery; the command is for a person who has the machine before them.
    let without = ["machine", "behaviour", "delivery", "require", "allow_empty", "format"];
    given.command("run", &words, &without)
}

/// Image index and scenario.
type Selected = Vec<(usize, Scenario)>;

/// What is to run on which machine.
struct Planned {
    on_model: bool,
    on_kvm: bool,
    scenarios: Selected,
    /// QEMU boots each image once, without a host that could stop it: cold scenarios under the IDT.
    on_qemu: Selected,
}

impl Planned {
    /// On `machine`, or on all of them.
    fn of(machine: Option<MachineName>, scenarios: Selected) -> Self {
        let on = |name| machine.is_none_or(|machine| machine == name);
        let for_qemu = |(_, scenario): &&(usize, Scenario)| {
            on(MachineName::Qemu) && scenario.plan == Plan::Cold && scenario.delivery == Delivery::Idt
        };
        let on_qemu = scenarios.iter().filter(for_qemu).cloned().collect();
        Self { on_model: on(MachineName::Model), on_kvm: on(MachineName::Kvm), scenarios, on_qemu }
    }

    /// How many scenarios are to run, on all machines together.
    fn len(&self) -> usize {
        self.scenarios.len() * (usize::from(self.on_model) + usize::from(self.on_kvm)) + self.on_qemu.len()
    }

    /// The place of each scenario in the list.
    fn order(&self) -> HashMap<Scenario, usize> {
        self.scenarios.iter().map(|(_, scenario)| scenario.clone()).zip(0..).collect()
    }
}

/// QEMU and its version, or why there is none to use; found out when somebody asks first.
type TriedQemu = OnceCell<Result<(Qemu, String), QemuError>>;

struct Run<'a, W: Write> {
    args: &'a RunArgs,
    files: &'a [PathBuf],
    kvm: &'a Path,
    images: &'a [Image],
    behaviour: &'static Behaviour,
    /// Whether a machine was asked for: then it must be there.
    asked: bool,
    kernel_log: KernelLog,
    teller: Teller<'a, W>,
}

impl<W: Write> Run<'_, W> {
    /// Runs what is planned, machine by machine, until all has run or this process is told to end.
    fn on_machines(&mut self, plan: &Planned, qemu: &TriedQemu) -> Result<(), CliError> {
        if plan.on_model {
            self.on_model(&plan.scenarios)?;
        }
        if plan.on_kvm && ending::told().is_none() {
            self.on_kvm(&plan.scenarios)?;
        }
        if !plan.on_qemu.is_empty() && ending::told().is_none() {
            let tried = qemu.get_or_init(|| Qemu::tried(TRY));
            self.on_qemu(&plan.on_qemu, tried)?;
        }
        Ok(())
    }

    fn on_model(&mut self, scenarios: &[(usize, Scenario)]) -> Result<(), CliError> {
        let machine = ModelMachine::new(self.behaviour);
        let ask = |payload, questions: &[Question]| probe(&machine, payload, questions);
        let abilities = Abilities::find_out("model", met_needs(&machine), self.images, scenarios, ask)?;
        let engine = Engine::Model {
            processes: true,
            behaviour: self.behaviour,
            timeout: self.args.timeout,
            frames: self.args.frames,
            storm: self.args.storm.bounds(),
        };
        self.on_engine(&engine, &abilities, scenarios, Some(self.behaviour.name))
    }

    fn on_kvm(&mut self, scenarios: &[(usize, Scenario)]) -> Result<(), CliError> {
        let machine = match KvmMachine::open(self.kvm) {
            Ok(machine) => machine,
            Err(error) if self.asked => return Err(error.into()),
            Err(error) => return self.skip_all(scenarios, "kvm", &error.to_string()),
        };
        let options = WorkerOptions {
            kvm: self.kvm.to_owned(),
            images: self.files.to_vec(),
            timeout: self.args.timeout,
            frames: self.args.frames,
            storm: self.args.storm.bounds(),
        };
        // A probe has a guest of its own and needs no image.
        let mut worker = Worker::new(WorkerOptions { images: Vec::new(), ..options.clone() });
        let ask = |payload, questions: &[Question]| worker.probe(payload, questions);
        let abilities = match Abilities::find_out("kvm", met_needs(&machine), self.images, scenarios, ask) {
            Err(WorkerError::ToldToEnd) => return Ok(()),
            abilities => abilities?,
        };
        drop(worker);
        self.on_engine(&Engine::Kvm(options), &abilities, scenarios, None)
    }

    fn on_engine(
        &mut self,
        engine: &Engine,
        abilities: &Abilities,
        scenarios: &[(usize, Scenario)],
        behaviour: Option<&str>,
    ) -> Result<(), CliError> {
        let Self { args, images, kernel_log, teller, .. } = self;
        let (once, skipped) = abilities.split(scenarios.to_vec(), images, behaviour);
        skipped.into_iter().try_for_each(|report| teller.does_not_run(report))?;
        let run = repeated(once, args.repeat);
        teller.bar = progress_bar(abilities.machine(), run.len());
        let mut told = Ok(());
        pool::run(engine, images, &run, |_, report| {
            teller.bar.inc(1);
            teller.bar.set_message(report.scenario.to_string());
            kernel_log.follow();
            told = teller.ran(report);
            if told.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        teller.bar.finish_and_clear();
        Ok(told?)
    }

    fn on_qemu(
        &mut self,
        scenarios: &[(usize, Scenario)],
        tried: &Result<(Qemu, String), QemuError>,
    ) -> Result<(), CliError> {
        let qemu = match tried {
            Ok((qemu, version)) => {
                self.teller.how.facts.emulator.clone_from(version);
                qemu
            }
            Err(QemuError::ToldToEnd) => return Ok(()),
            Err(error) if self.asked => return Err(CliError::Usage(error.to_string())),
            Err(error) => return self.skip_all(scenarios, "qemu", &error.to_string()),
        };
        self.teller.bar = progress_bar("qemu", scenarios.len());
        for (index, image) in self.images.iter().enumerate() {
            let mine: Vec<&Scenario> =
                scenarios.iter().filter(|(i, _)| *i == index).map(|(_, scenario)| scenario).collect();
            if mine.is_empty() {
                continue;
            }
            for _ in 0..self.args.repeat {
                let (timeout, frames) = (self.args.timeout, self.args.frames);
                let reports = crate::engine::qemu::run(qemu, image, &mine, timeout, frames);
                // What breaks off because this process is to end is no result.
                if ending::told().is_some() {
                    return Ok(());
                }
                reports.into_iter().try_for_each(|report| self.teller.ran(report))?;
            }
            self.teller.bar.inc(mine.len() as u64);
        }
        self.teller.bar.finish_and_clear();
        Ok(())
    }

    fn skip_all(
        &mut self,
        scenarios: &[(usize, Scenario)],
        machine: &str,
        reason: &str,
    ) -> Result<(), CliError> {
        for (_, scenario) in scenarios {
            let report = Report::new(scenario, machine, None).concluded(Outcome::Skip, reason.to_owned());
            self.teller.does_not_run(report)?;
        }
        Ok(())
    }
}

/// The whole list again and again, not each scenario: what one of them leaves behind can hurt the next.
fn repeated(once: Vec<(usize, Scenario)>, times: u32) -> Vec<(usize, Scenario)> {
    (0..times).flat_map(|_| once.iter().cloned()).collect()
}

pub(super) fn progress_bar(machine: &str, scenarios: usize) -> ProgressBar {
    let bar = ProgressBar::new(scenarios as u64);
    if let Ok(style) = ProgressStyle::with_template("{prefix:>6} [{elapsed}] {pos}/{len} {wide_msg}") {
        bar.set_style(style);
    }
    bar.with_prefix(machine.to_owned())
}

/// The behaviour of the model, which no other machine takes.
pub(super) fn behaviour_for(
    machine: Option<MachineName>,
    behaviour: Option<&str>,
) -> Result<&'static Behaviour, CliError> {
    if let Some(machine) = machine.filter(|machine| *machine != MachineName::Model)
        && behaviour.is_some()
    {
        return Err(CliError::Usage(format!(
            "--behaviour is for the model; {} behaves as it does",
            machine.name()
        )));
    }
    behaviour_named(behaviour)
}

/// The behaviour of that name, or the default one.
pub(super) fn behaviour_named(name: Option<&str>) -> Result<&'static Behaviour, CliError> {
    let Some(name) = name else { return Ok(&behaviour::CORRECT) };
    behaviour::by_name(name).ok_or_else(|| {
        let names: Vec<_> = behaviour::all().map(|behaviour| behaviour.name).collect();
        CliError::Usage(format!("there is no behaviour `{name}`; there are {}", names.join(", ")))
    })
}
