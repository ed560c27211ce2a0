//! Another process of this program, which receives guests.
//!
//! It is started for the first and receives the next ones as well, one at a time. It is killed by the kernel when the
//! thread that started it ends, and by us when it does not answer in time; the next guest gets another.

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

#[derive(Debug)]
/// Another process, which runs while there are guests for it.
pub struct OtherProcess {
    destination: Destination,
    process: Option<Process>,
}

impl OtherProcess {
    /// One that is started when the first guest goes there.
    pub fn new(destination: Destination) -> Self {
        Self { destination, process: None }
    }

    /// Sends a guest there, and reads the result. Fails when the process cannot be run, does not answer in time, or
    /// refuses the guest.
    pub fn migrate(
        &mut self,
        guest: &Guest,
        image: &Image,
        request: MigrationRequest,
    ) -> Result<Migrated, MigrationError> {
        let deadline = Instant::now() + request.time_left + GRACE;
        let mut process = match self.process.take() {
            Some(process) => process,
            None => Process::start(&self.destination, deadline).map_err(MigrationError::Start)?,
        };
        let (from, to) = process.pipes(deadline).map_err(MigrationError::Start)?;
        match send(from, to, guest, image, request) {
            Err(MigrationError::Stream(error @ (StreamError::Truncated(_) | StreamError::Io(_)))) => {
                Err(MigrationError::Died { status: status(&mut process.child), error })
            }
            Ok(migrated) => {
                self.process = Some(process);
                Ok(migrated)
            }
            Err(error) => Err(error),
        }
    }
}

impl Drop for OtherProcess {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // It has nothing more to read, and has said its last.
            process.to = None;
            let_end(&process.child);
        }
    }
}

/// The process; killed and reaped when dropped.
#[derive(Debug)]
struct Process {
    child: Child,
    from: OwnedFd,
    to: Option<OwnedFd>,
}

impl Process {
    /// Starts it and tells it its machine, until `deadline`.
    fn start(destination: &Destination, deadline: Instant) -> io::Result<Self> {
        let mut command = Command::new(&destination.program);
        command.args(&destination.arguments);
        let (child, to, from) = start_piped(command)?;
        let process = Self { child, from: from.into(), to: Some(to.into()) };
        let (_, mut to) = process.pipes(deadline)?;
        // One that does not read it has ended, or will not answer.
        let _ = put_line(&mut to, &destination.machine);
        Ok(process)
    }

    /// Its output and its input, until `deadline`.
    fn pipes(&self, deadline: Instant) -> io::Result<(Timed, Timed)> {
        let to = self.to.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok((Timed::new(self.from.try_clone()?, deadline), Timed::new(to.try_clone()?, deadline)))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}
