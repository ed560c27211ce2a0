//! Another process of this program, which receives a guest.
//!
//! It is started for one guest, and is killed by the kernel when the thread that started it ends, and by us
//! when it does not answer in time.

use super::channel::send;
use super::timed::Timed;
use super::{GRACE, Migrated, MigrationError, MigrationRequest};
use crate::image::Image;
use crate::machines::Description;
use crate::process::{THIS_PROGRAM, put_line, start_piped};
use crate::stream::{Guest, StreamError};
use kvm::process::{end, let_end, status};
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Instant;

/// How such a process is started.
#[derive(Clone, Debug)]
pub struct Destination {
    /// This program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// The machine on which it resumes guests.
    pub machine: Description,
}

impl Destination {
    /// This very program, with `machine`.
    pub fn of(machine: &Description) -> Self {
        let arguments = vec!["destination".into()];
        Self { program: THIS_PROGRAM.into(), arguments, machine: machine.clone() }
    }
}

/// Sends a guest to another process, and reads the result. Fails when the process cannot be run, does not
/// answer in time, or refuses the guest.
pub fn migrate_to_process(
    destination: &Destination,
    guest: &Guest,
    image: &Image,
    request: MigrationRequest,
) -> Result<Migrated, MigrationError> {
    let deadline = Instant::now() + request.time_left + GRACE;
    let (mut process, from, to) = Process::start(destination).map_err(MigrationError::Start)?;
    let mut to = Timed::new(to, deadline);
    // One that does not read it has ended, or will not answer.
    let _ = put_line(&mut to, &destination.machine);
    match send(Timed::new(from, deadline), to, guest, image, request) {
        Err(MigrationError::Stream(error @ (StreamError::Truncated(_) | StreamError::Io(_)))) => {
            Err(MigrationError::Died { status: status(&mut process.0), error })
        }
        Ok(migrated) => {
            // It has said its last.
            let_end(&process.0);
            Ok(migrated)
        }
        Err(error) => Err(error),
    }
}

/// The process; killed and reaped when dropped.
struct Process(Child);

impl Process {
    /// Starts it; its output and its input.
    fn start(destination: &Destination) -> io::Result<(Self, OwnedFd, OwnedFd)> {
        let mut command = Command::new(&destination.program);
        command.args(&destination.arguments);
        let (child, to, from) = start_piped(command)?;
        Ok((Self(child), from.into(), to.into()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}
