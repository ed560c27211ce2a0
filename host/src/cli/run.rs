//! `midflight run`.

use super::args::{MachineName, RunArgs};
use super::tell::tell;
use super::{CliError, select};
use crate::facts::HostFacts;
use crate::image::Image;
use crate::images;
use crate::kernel_log::KernelLog;
use crate::known::{BUILT_IN, KnownIssues};
use crate::machine::model::ModelMachine;
use crate::machine::qemu;
use crate::probe::probe;
use crate::result::{Outcome, Report};
use crate::run::plan::{Abilities, met_needs, with_delivery};
use crate::run::pool::{self, Engine};
use crate::run::storm::StormBounds;
use crate::run::worker::{Worker, WorkerOptions};
use crate::scenario::{Plan, Scenario};
use indicatif::{ProgressBar, ProgressStyle};
use kvm::KvmMachine;
use model::hypervisor::behaviour::{self, Behaviour};
use std::cell::RefCell;
use std::collections::HashMap;
use std::io::stdout;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(super) fn run(args: &RunArgs, files: &[PathBuf], kvm: &Path) -> Result<u8, CliError> {
    // Before anything that the kernel could object to.
    let kernel_log = RefCell::new(KernelLog::watch(&args.kernel_log));
    let behaviour = behaviour_for(args.machine, args.behaviour.as_deref())?;
    let images = images::load(files)?;
    let known = known_issues(args.known_issues.as_deref())?;
    let mut scenarios = select::select(&images, &args.filters)?;
    with_delivery(&mut scenarios, args.delivery);
    // The default may be longer: a timeout is often given to scenarios without a storm.
    if args.storm_seconds != StormBounds::DEFAULT.time.as_secs_f64()
        && args.storm_seconds >= args.timeout.as_secs_f64()
    {
        let what = "--storm-seconds must be less than --timeout, which would end the storm first";
        return Err(CliError::Usage(what.to_owned()));
    }
    let machine = if args.behaviour.is_some() { Some(MachineName::Model) } else { args.machine };
    let mut facts = host_facts(kvm, &args.host_facts)?;
    let qemu = qemu::Qemu::find();
    if let Ok(qemu) = &qemu {
        // Known issues depend on it: a QEMU that does not say its version is no machine to judge.
        facts.emulator = qemu
            .version(Instant::now() + PATIENCE)
            .map_err(|error| CliError::Usage(format!("QEMU does not say its version: {error}")))?;
    }
    require(&args.require, kvm, &qemu)?;

    let run = Run { args, files, kvm, images: &images, behaviour, kernel_log: &kernel_log };
    let mut reports = Vec::new();
    if machine.is_none_or(|name| name == MachineName::Model) {
        reports.extend(run.on_model(scenarios.clone())?);
    }
    if machine.is_none_or(|name| name == MachineName::Kvm) {
        reports.extend(run.on_kvm(scenarios.clone(), machine.is_some())?);
    }
    if machine.is_none_or(|name| name == MachineName::Qemu) {
        reports.extend(run.on_qemu(scenarios, qemu, machine.is_some())?);
    }
    if reports.is_empty() {
        return Err(CliError::NothingSelected(machine.map_or("any machine", MachineName::name).to_owned()));
    }
    tell(args.format, reports, &known, &facts, kernel_log.into_inner(), stdout().lock(), |report| {
        Some(report.command())
    })
}

struct Run<'a> {
    args: &'a RunArgs,
    files: &'a [PathBuf],
    kvm: &'a Path,
    images: &'a [Image],
    behaviour: &'static Behaviour,
    kernel_log: &'a RefCell<KernelLog>,
}

impl Run<'_> {
    fn on_model(&self, scenarios: Vec<(usize, Scenario)>) -> Result<Vec<Report>, CliError> {
        let machine = ModelMachine::new(self.behaviour);
        let abilities = Abilities {
            machine: "model".to_owned(),
            meets: met_needs(&machine),
            with_payload: probe(&machine, true)?,
            without_payload: probe(&machine, false)?,
            accesses: true,
        };
        let engine = Engine::Model {
            processes: true,
            behaviour: self.behaviour,
            timeout: self.args.timeout,
            frames: self.args.frames,
            storm: self.storm(),
        };
        Ok(self.on_engine(&engine, &abilities, scenarios, Some(self.behaviour.name)))
    }

    fn on_kvm(&self, scenarios: Vec<(usize, Scenario)>, asked: bool) -> Result<Vec<Report>, CliError> {
        let machine = match KvmMachine::open(self.kvm) {
            Ok(machine) => machine,
            Err(error) if asked => return Err(error.into()),
            Err(error) => return Ok(skip_all(&scenarios, "kvm", &error.to_string())),
        };
        let options = WorkerOptions {
            kvm: self.kvm.to_owned(),
            images: self.files.to_vec(),
            timeout: self.args.timeout,
            frames: self.args.frames,
            storm: self.storm(),
        };
        // A probe has a guest of its own and needs no image.
        let mut worker = Worker::new(WorkerOptions { images: Vec::new(), ..options.clone() });
        let probed = worker.probe(true).and_then(|with| Ok((with, worker.probe(false)?)));
        let (with_payload, without_payload) = match probed {
            Ok(support) => support,
            // What the other machines gave must not be lost with it.
            Err(error) => return Ok(conclude_all(&scenarios, "kvm", Outcome::Error, &error.to_string())),
        };
        let abilities = Abilities {
            machine: "kvm".to_owned(),
            meets: met_needs(&machine),
            with_payload,
            without_payload,
            accesses: false,
        };
        drop(worker);
        Ok(self.on_engine(&Engine::Kvm(options), &abilities, scenarios, None))
    }

    fn storm(&self) -> StormBounds {
        StormBounds { cuts: self.args.storm_cuts, time: Duration::from_secs_f64(self.args.storm_seconds) }
    }

    fn on_engine(
        &self,
        engine: &Engine,
        abilities: &Abilities,
        scenarios: Vec<(usize, Scenario)>,
        behaviour: Option<&str>,
    ) -> Vec<Report> {
        let ids = scenarios.iter().map(|(_, scenario)| scenario.to_string());
        let order: HashMap<String, usize> = ids.zip(0..).collect();
        let (once, mut reports) = abilities.split(scenarios, self.images, behaviour);
        let run = repeated(once, self.args.repeat);
        let bar = progress_bar(&abilities.machine, run.len());
        reports.extend(pool::run(engine, self.images, &run, |report| {
            bar.inc(1);
            bar.set_message(report.id.clone());
            self.kernel_log.borrow_mut().follow();
        }));
        bar.finish_and_clear();
        reports.sort_by_key(|report| order.get(&report.id));
        reports
    }

    /// QEMU boots each image once, without a host that could stop it: cold scenarios under the IDT.
    fn on_qemu(
        &self,
        mut scenarios: Vec<(usize, Scenario)>,
        qemu: Result<qemu::Qemu, qemu::QemuError>,
        asked: bool,
    ) -> Result<Vec<Report>, CliError> {
        scenarios.retain(|(_, scenario)| {
            scenario.plan == Plan::Cold && scenario.delivery == crate::scenario::Delivery::Idt
        });
        let qemu = match qemu {
            Ok(qemu) => qemu,
            Err(error) if asked => return Err(CliError::Usage(error.to_string())),
            Err(error) => return Ok(skip_all(&scenarios, "qemu", &error.to_string())),
        };
        let bar = progress_bar("qemu", scenarios.len());
        let mut reports = Vec::new();
        for (index, image) in self.images.iter().enumerate() {
            let mine: Vec<&Scenario> =
                scenarios.iter().filter(|(i, _)| *i == index).map(|(_, scenario)| scenario).collect();
            if !mine.is_empty() {
                for _ in 0..self.args.repeat {
                    let (timeout, frames) = (self.args.timeout, self.args.frames);
                    reports.extend(crate::run::qemu::run(&qemu, image, &mine, timeout, frames));
                }
                bar.inc(mine.len() as u64);
            }
        }
        bar.finish_and_clear();
        Ok(reports)
    }
}

/// The whole list again and again, not each scenario: what one of them leaves behind can hurt the next.
fn repeated(once: Vec<(usize, Scenario)>, times: u32) -> Vec<(usize, Scenario)> {
    (0..times).flat_map(|_| once.iter().cloned()).collect()
}

/// How long QEMU may take to say its version.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn progress_bar(machine: &str, scenarios: usize) -> ProgressBar {
    let bar = ProgressBar::new(scenarios as u64);
    if let Ok(style) = ProgressStyle::with_template("{prefix:>6} [{elapsed}] {pos}/{len} {wide_msg}") {
        bar.set_style(style);
    }
    bar.with_prefix(machine.to_owned())
}

fn skip_all(scenarios: &[(usize, Scenario)], machine: &str, reason: &str) -> Vec<Report> {
    conclude_all(scenarios, machine, Outcome::Skip, reason)
}

fn conclude_all(
    scenarios: &[(usize, Scenario)],
    machine: &str,
    outcome: Outcome,
    reason: &str,
) -> Vec<Report> {
    let one = |scenario| Report::new(scenario, machine, None).concluded(outcome, reason.to_owned());
    scenarios.iter().map(|(_, scenario)| one(scenario)).collect()
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

/// What the host says, and what the user states.
pub(super) fn host_facts(kvm: &Path, stated: &[String]) -> Result<HostFacts, CliError> {
    let mut facts = HostFacts::gather(kvm);
    for fact in stated {
        facts.state(fact).map_err(|why| CliError::Usage(format!("--host-fact: {why}")))?;
    }
    Ok(facts)
}

/// The list in `file`, or the built-in one.
pub(super) fn known_issues(file: Option<&Path>) -> Result<KnownIssues, CliError> {
    let Some(file) = file else { return Ok(KnownIssues::parse(BUILT_IN)?) };
    let text = std::fs::read_to_string(file)
        .map_err(|error| CliError::File { file: file.display().to_string(), error })?;
    Ok(KnownIssues::parse(&text)?)
}

/// Checks `--require`: what it names must be there on a machine that is not the model.
fn require(needs: &[String], kvm: &Path, qemu: &Result<qemu::Qemu, qemu::QemuError>) -> Result<(), CliError> {
    for need in needs {
        let unmet = |reason: String| CliError::Required { need: need.clone(), reason };
        match need.as_str() {
            "kvm" => drop(KvmMachine::open(kvm).map_err(|error| unmet(error.to_string()))?),
            "qemu" => {
                if let Err(error) = qemu {
                    return Err(unmet(error.to_string()));
                }
            }
            "fred" | "xfd" | "amx" => {
                let machine = KvmMachine::open(kvm).map_err(|error| unmet(error.to_string()))?;
                if !met_needs(&machine).names().any(|met| met == need) {
                    return Err(unmet("KVM on this host does not offer it; see `midflight doctor`".into()));
                }
            }
            other => {
                return Err(CliError::Usage(format!(
                    "--require {other}: there is no such need; there are kvm, qemu, fred, xfd, amx"
                )));
            }
        }
    }
    Ok(())
}
