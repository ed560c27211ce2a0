//! `midflight migrate`, and the destination process behind `migrate-process`.

use super::CliError;
use super::args::{DestinationArgs, MachineName};
use super::run::behaviour_named;
use crate::machine::Machine;
use crate::machine::kvm::KvmMachine;
use crate::machine::model::ModelMachine;
use crate::migration::{MigrationError, destination};
use crate::stream::{Reader, StreamError, Writer};
use std::io::{BufWriter, stdin, stdout};
use std::path::Path;

/// The child's side of `migrate-process`: a guest on standard input, the answer on standard output.
pub(super) fn destination(args: &DestinationArgs, kvm: &Path) -> Result<u8, CliError> {
    let machine = machine_named(args.machine, args.behaviour.as_deref(), kvm)?;
    let behaviour = args.behaviour.as_deref();
    let mut to = Writer::new(BufWriter::new(stdout().lock())).map_err(MigrationError::Stream)?;
    let mut from = Reader::new(stdin().lock()).map_err(MigrationError::Stream)?;
    match destination::serve(machine.as_ref(), behaviour, &mut from, &mut to) {
        // The parent is told, or is gone; neither is for the child to report.
        Ok(_) | Err(MigrationError::Refused(_) | MigrationError::Stream(StreamError::Io(_))) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

fn machine_named(
    name: MachineName,
    behaviour: Option<&str>,
    kvm: &Path,
) -> Result<Box<dyn Machine>, CliError> {
    Ok(match name {
        MachineName::Model => Box::new(ModelMachine::new(behaviour_named(behaviour)?)),
        MachineName::Kvm => Box::new(KvmMachine::open(kvm)?),
        MachineName::Qemu => {
            return Err(CliError::Usage("QEMU receives no guests from midflight".to_owned()));
        }
    })
}
