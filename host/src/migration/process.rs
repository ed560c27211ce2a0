//! Another process of this program as a destination.
//!
//! It is started for one guest, gets it over a socket pair, and is killed by the kernel when the
//! thread that started it ends, and by us when it does not answer in time.

use super::patient::Patient;
use super::{GRACE, MigrationError, Moved, converse};
use crate::image::Image;
use crate::process::THIS_PROGRAM;
use crate::stream::{Guest, StreamError};
use kvm::process::{die_with_parent, end, let_end, status};
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// How a destination process is started.
#[derive(Clone, Debug)]
pub struct Destination {
    /// This program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

impl Destination {
    /// This very program, on KVM behind `device`.
    pub fn on_kvm(device: &Path) -> Self {
        let arguments =
            ["destination".into(), "--kvm".into(), device.into(), "--machine".into(), "kvm".into()];
        Self { program: THIS_PROGRAM.into(), arguments: arguments.into() }
    }

    /// This very program, on the model with a behaviour.
    pub fn on_model(behaviour: &str) -> Self {
        let arguments = ["destination", "--machine", "model", "--behaviour", behaviour];
        Self { program: THIS_PROGRAM.into(), arguments: arguments.map(OsString::from).into() }
    }
}

/// Does a guest's errand in another process.
///
/// # Errors
/// When the process cannot be run, does not answer in time, or refuses the guest.
pub fn move_through_process(
    destination: &Destination,
    guest: &Guest,
    image: &Image,
) -> Result<Moved, MigrationError> {
    let deadline = Instant::now() + guest.time_left + GRACE;
    let (ours, theirs) = UnixStream::pair().map_err(MigrationError::Start)?;
    ours.set_nonblocking(true).map_err(MigrationError::Start)?;
    let mut process = Process::start(destination, theirs).map_err(MigrationError::Start)?;
    let reading = ours.try_clone().map_err(MigrationError::Start)?;
    let to = Patient::new(OwnedFd::from(ours), deadline);
    let from = Patient::new(OwnedFd::from(reading), deadline);
    match converse(from, to, None, guest, image) {
        Err(MigrationError::Stream(error)) if is_gone(&error) => Err(process.died(error)),
        Ok(moved) => {
            // It has said its last.
            let_end(&process.0);
            Ok(moved)
        }
        Err(error) => Err(error),
    }
}

fn is_gone(error: &StreamError) -> bool {
    matches!(error, StreamError::Truncated(_) | StreamError::Io(_))
}

/// The process; killed and reaped when dropped.
struct Process(Child);

impl Process {
    fn start(destination: &Destination, socket: UnixStream) -> io::Result<Self> {
        let mut command = Command::new(&destination.program);
        command.args(&destination.arguments);
        command
            .stdin(OwnedFd::from(socket.try_clone()?))
            .stdout(OwnedFd::from(socket))
            .stderr(Stdio::inherit());
        die_with_parent(&mut command);
        command.spawn().map(Self)
    }

    fn died(&mut self, error: StreamError) -> MigrationError {
        MigrationError::Died { status: status(&mut self.0), error }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}
