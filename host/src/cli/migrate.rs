//! `midflight migrate`, and the destination process behind `migrate-process`.

use super::again::Given;
use super::args::{DestinationArgs, MachineName, MigrateArgs};
use super::host::{host_facts, kernel_log};
use super::known::known_issues;
use super::run::{behaviour_for, behaviour_named};
use super::tell::{Reporting, Teller};
use super::{CliError, mounted, select};
use crate::engine::plan::{Abilities, met_needs};
use crate::engine::runner::Runner;
use crate::engine::worker::{Worker, WorkerOptions};
use crate::image::Image;
use crate::images;
use crate::migration::address::Address;
use crate::migration::destination::Terms;
use crate::migration::remote::{move_to, receive_from};
use crate::migration::token::Token;
use crate::migration::transport::Listener;
use crate::migration::{GRACE, MigrationError, destination};
use crate::report::outcome::{Outcome, Report};
use crate::scenario::{Action, Migration, Plan, Scenario, Stop};
use crate::stops::probe::{Question, StopSupport, probe};
use crate::stops::storm::StormBounds;
use crate::stream::{Reader, StreamError, Writer};
use kvm::KvmMachine;
use model::ModelMachine;
use std::collections::HashMap;
use std::io::{BufWriter, IsTerminal, Write, stderr, stdin, stdout};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
use vm::Machine;

/// The child's side of `migrate-process`: a guest on standard input, the answer on standard output.
pub(super) fn destination(args: &DestinationArgs, kvm: &Path) -> Result<u8, CliError> {
    let machine = Choice::of(Some(args.machine), args.behaviour.as_deref(), kvm)?.open()?;
    let behaviour = args.behaviour.as_deref();
    let mut to = Writer::new(BufWriter::new(stdout().lock())).map_err(MigrationError::Stream)?;
    let mut from = Reader::new(stdin().lock()).map_err(MigrationError::Stream)?;
    match destination::serve(machine.as_ref(), behaviour, &Terms::OWN, &mut from, &mut to) {
        // The parent is told, or is gone; neither is for the child to report.
        Ok(_) | Err(MigrationError::Refused(_) | MigrationError::Stream(StreamError::Io(_))) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// Which machine a side has.
#[derive(Clone, Debug)]
enum Choice {
    Kvm(PathBuf),
    Model(&'static str),
}

impl Choice {
    /// What was named; kvm where there is one, else the model, where nothing was.
    fn of(name: Option<MachineName>, behaviour: Option<&str>, kvm: &Path) -> Result<Self, CliError> {
        let model = behaviour_for(name, behaviour)?.name;
        match name {
            Some(MachineName::Kvm) => Ok(Self::Kvm(kvm.to_owned())),
            Some(MachineName::Model) => Ok(Self::Model(model)),
            Some(MachineName::Qemu) => Err(CliError::Usage(
                "guests go from midflight to midflight, on kvm or the model; QEMU takes none".into(),
            )),
            None if behaviour.is_none() && KvmMachine::open(kvm).is_ok() => Ok(Self::Kvm(kvm.to_owned())),
            None => Ok(Self::Model(model)),
        }
    }

    fn open(&self) -> Result<Box<dyn Machine>, CliError> {
        Ok(match self {
            Self::Kvm(device) => Box::new(KvmMachine::open(device)?),
            Self::Model(behaviour) => Box::new(ModelMachine::new(behaviour_named(Some(behaviour))?)),
        })
    }

    fn behaviour(&self) -> Option<&'static str> {
        match self {
            Self::Kvm(_) => None,
            Self::Model(behaviour) => Some(behaviour),
        }
    }
}

pub(super) fn migrate(
    args: &MigrateArgs,
    files: &[PathBuf],
    kvm: &Path,
    given: &Given,
) -> Result<u8, CliError> {
    // Before anything that the kernel could object to.
    let kernel_log = kernel_log(args.kernel_log.as_deref())?;
    // A guest that is received brings its image.
    let all_images = files.is_empty() && args.listen.is_none();
    let known = known_issues(args.known_issues.as_deref(), files, all_images)?;
    mounted::check(matches!(args.machine, None | Some(MachineName::Kvm)) && kvm.exists())?;
    let facts = host_facts(kvm, &args.host_facts)?;
    let choice = Choice::of(args.machine, args.behaviour.as_deref(), kvm)?;
    let (address, report) = match (&args.listen, &args.scenario, &args.to) {
        (Some(address), ..) => (address, receive(args, address, choice)?),
        (None, Some(id), Some(address)) => (address, send(args, id, address, choice, files)?),
        _ => return Err(CliError::Usage("give a scenario and --to, or --listen".to_owned())),
    };
    let output: Box<dyn Write> = match address {
        // Standard output is the stream's.
        Address::Pipe => Box::new(stderr().lock()),
        _ => Box::new(stdout().lock()),
    };
    let again = |report: &Report| args.to.as_ref().map(|_| again(given, report));
    let mut teller =
        Teller::new(Reporting { format: args.format, known: &known, facts, again: &again, times: 1 }, output);
    teller.ran(report)?;
    teller.finish(kernel_log, &HashMap::new(), 1, false)
}

/// The command that repeats what a sender did; a listener needs somebody who sends.
fn again(given: &Given, report: &Report) -> String {
    let mut words = vec![report.id.as_str(), "--machine", &report.machine];
    words.extend(report.behaviour.iter().flat_map(|name| ["--behaviour", name]));
    // The next listener has another token.
    given.command("migrate", &words, &["machine", "behaviour", "format", "token"])
}

fn receive(args: &MigrateArgs, address: &Address, choice: Choice) -> Result<Report, CliError> {
    if *address == Address::Pipe && (stdin().is_terminal() || stdout().is_terminal()) {
        let what = "--listen -: a guest comes on standard input and its report goes to standard output: connect both to the sender's";
        return Err(CliError::Usage(what.to_owned()));
    }
    // A machine that cannot be had is said before anybody comes.
    drop(choice.open()?);
    let listener = Listener::open(address)?;
    let token = match address {
        Address::Tcp { .. } => Some(Token::random()?),
        Address::Unix(_) | Address::Pipe => None,
    };
    let token_said = token.as_ref().map_or(String::new(), |token| format!(", token {}", token.digits()));
    eprintln!("midflight: waiting for a guest at {}{token_said}", listener.address());
    let connection = listener.accept(args.wait)?;
    let longest = args.timeout;
    within(longest + 2 * GRACE, move || {
        let terms = Terms { token: token.as_ref(), longest };
        let machine = choice.open()?;
        Ok(receive_from(connection, machine.as_ref(), choice.behaviour(), &terms)?)
    })
}

fn send(
    args: &MigrateArgs,
    id: &str,
    address: &Address,
    choice: Choice,
    files: &[PathBuf],
) -> Result<Report, CliError> {
    if *address == Address::Pipe && (stdin().is_terminal() || stdout().is_terminal()) {
        let what = "--to -: the guest goes to standard output and its report comes on standard input: connect both to the listener's";
        return Err(CliError::Usage(what.to_owned()));
    }
    let token = token_for(args, address)?;
    let images = images::load(files)?;
    let (index, scenario) = select::one(&images, id, "migrate sends the guest of")?;
    let image = images[index].clone();
    goes_for_good(&scenario)?;
    if let Some(lack) = lack(&choice, &image, &scenario, args.timeout)? {
        let (name, behaviour) = (choice.open()?.name(), choice.behaviour());
        return Ok(Report::new(&scenario, name, behaviour).concluded(Outcome::Skip, lack));
    }
    let (address, timeout, frames) = (address.clone(), args.timeout, args.frames);
    within(timeout + 2 * GRACE, move || {
        let machine = choice.open()?;
        let mut runner = Runner::new(machine.as_ref(), choice.behaviour().map(str::to_owned), timeout);
        runner.frames = frames;
        runner.elsewhere =
            Some(Box::new(move |guest, image| move_to(&address, token.as_deref(), guest, image)));
        Ok(runner.run(&image, &scenario))
    })
}

/// The token that `address` wants.
fn token_for(args: &MigrateArgs, address: &Address) -> Result<Option<String>, CliError> {
    let given = args.token.clone();
    match (address, given) {
        (Address::Tcp { .. }, None) => match std::env::var("MIDFLIGHT_TOKEN") {
            Ok(token) => Ok(Some(token)),
            Err(_) => Err(CliError::Usage(
                "--to tcp needs the token that the listener printed: --token TOKEN, or MIDFLIGHT_TOKEN"
                    .to_owned(),
            )),
        },
        (Address::Tcp { .. }, token) => Ok(token),
        (_, Some(_)) => {
            Err(CliError::Usage("--token is for tcp; nobody else can reach the others".to_owned()))
        }
        (_, None) => Ok(None),
    }
}

/// Whether the guest of a scenario leaves once, and for good.
fn goes_for_good(scenario: &Scenario) -> Result<(), CliError> {
    let why = match scenario.plan {
        Plan::Cut(Stop::Storm(_) | Stop::Access(_, Some(_)), _) | Plan::Cut(_, Action { again: 1.., .. }) => {
            "its guest would have to come back to be cut again"
        }
        Plan::Cut(Stop::Evict(_), _) => "its guest is not stopped by the page, which is only slower to reach",
        Plan::Cut(_, Action { migrate: Some(Migration::Process), .. }) => return Ok(()),
        Plan::Cut(..) | Plan::Cold | Plan::None => "its guest does not leave this process",
    };
    let what = format!(
        "`{scenario}` cannot be sent: {why}; give a scenario that cuts once and ends in `migrate-process`, \
         perhaps with `+disturb`"
    );
    Err(CliError::Usage(what))
}

/// What the machine lacks for a scenario, found out as `run` does.
fn lack(
    choice: &Choice,
    image: &Image,
    scenario: &Scenario,
    timeout: Duration,
) -> Result<Option<String>, CliError> {
    let machine = choice.open()?;
    let ask = |payload, questions: &[Question]| -> Result<StopSupport, CliError> {
        match choice {
            Choice::Kvm(device) => {
                let mut worker = Worker::new(WorkerOptions {
                    kvm: device.clone(),
                    images: Vec::new(),
                    timeout,
                    frames: false,
                    storm: StormBounds::DEFAULT,
                });
                Ok(worker.probe(payload, questions)?)
            }
            Choice::Model(_) => Ok(probe(machine.as_ref(), payload, questions)?),
        }
    };
    let (images, scenarios) = ([image.clone()], [(0, scenario.clone())]);
    let meets = met_needs(machine.as_ref());
    let mut abilities = Abilities::find_out(machine.name(), meets, &images, &scenarios, ask)?;
    if matches!(choice, Choice::Model(_)) {
        abilities = abilities.with_accesses();
    }
    Ok(abilities.skip_reason(image, scenario))
}

/// Does `work` in a thread, with a hard bound behind its own: an ill KVM spins where no signal but
/// SIGKILL reaches it, which the kernel sends the thread when this process ends.
fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> Result<T, CliError> + Send + 'static,
) -> Result<T, CliError> {
    let (sender, result) = channel();
    std::thread::spawn(move || sender.send(work()));
    let hung =
        || format!("timeout: the guest did not stop within {:.1} s, and was given up", limit.as_secs_f64());
    result.recv_timeout(limit).unwrap_or_else(|error| {
        Err(CliError::Usage(match error {
            RecvTimeoutError::Timeout => hung(),
            RecvTimeoutError::Disconnected => "the thread that ran the guest ended by itself".to_owned(),
        }))
    })
}
