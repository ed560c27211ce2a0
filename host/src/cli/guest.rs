//! What `save` and `resume` share: the machine that a guest is on, and a bound that holds whatever it does.
//! And the process behind `migrate-process`, which resumes guests for its parent.

use super::CliError;
use super::args::{DestinationArgs, MachineName, OnArgs};
use super::run::{behaviour_for, behaviour_named};
use crate::migration::channel;
use kvm::KvmMachine;
use model::ModelMachine;
use std::io::{BufReader, stdin, stdout};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
use vm::Machine;

/// Which machine a guest is on.
#[derive(Clone)]
pub(super) enum Choice {
    Kvm(PathBuf),
    Model(&'static str),
}

impl Choice {
    /// What was named; `otherwise` where nothing was.
    pub(super) fn of(
        on: &OnArgs,
        kvm: &Path,
        otherwise: impl FnOnce() -> MachineName,
    ) -> Result<Self, CliError> {
        let behaviour = on.behaviour.as_deref();
        let model = behaviour_for(on.machine, behaviour)?.name;
        let name = match (on.machine, behaviour) {
            (Some(name), _) => name,
            (None, Some(_)) => MachineName::Model,
            (None, None) => otherwise(),
        };
        match name {
            MachineName::Kvm => Ok(Self::Kvm(kvm.to_owned())),
            MachineName::Model => Ok(Self::Model(model)),
            MachineName::Qemu => Err(CliError::Usage(
                "guests are saved and resumed on kvm and on the model; QEMU takes none".to_owned(),
            )),
        }
    }

    pub(super) fn open(&self) -> Result<Box<dyn Machine>, CliError> {
        Ok(match self {
            Self::Kvm(device) => Box::new(KvmMachine::open(device)?),
            Self::Model(behaviour) => Box::new(ModelMachine::new(behaviour_named(Some(behaviour))?)),
        })
    }

    pub(super) fn behaviour(&self) -> Option<&'static str> {
        match self {
            Self::Kvm(_) => None,
            Self::Model(behaviour) => Some(behaviour),
        }
    }

    pub(super) fn is_kvm(&self) -> bool {
        match self {
            Self::Kvm(_) => true,
            Self::Model(_) => false,
        }
    }
}

/// The child's side of `migrate-process`: a guest on standard input, the answer on standard output.
pub(super) fn destination(args: &DestinationArgs, kvm: &Path) -> Result<u8, CliError> {
    let behaviour = args.behaviour.clone();
    let machine =
        Choice::of(&OnArgs { machine: Some(args.machine), behaviour }, kvm, || args.machine)?.open()?;
    channel::serve(machine.as_ref(), args.behaviour.as_deref(), BufReader::new(stdin()), stdout())?;
    Ok(0)
}

/// Does `work` in a thread, with a hard bound after its own: a hung KVM spins where no signal but SIGKILL
/// reaches it, which the kernel sends the thread when this process ends.
pub(super) fn within<T: Send + 'static>(
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
