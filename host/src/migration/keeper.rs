//! The file of a unix socket, and the process that takes it away again.
//!
//! A file outlives a process that is killed. So the file is made by a child, the *keeper*, which does
//! nothing else than wait for its parent's end and remove it: whatever ends the parent, a signal
//! included, closes its end of the string between them. A keeper that is killed is noticed by the
//! parent, which removes the file itself. Only who kills both at once leaves the file.
//!
//! The keeper is the one child here that outlives its parent, by as long as it takes to remove a file.

use super::MigrationError;
use super::patient::Patient;
use crate::process::THIS_PROGRAM;
use kvm::process::{end, let_end};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use std::fs::symlink_metadata;
use std::io::{self, BufRead, BufReader, Read, Write, stdin, stdout};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The keeper, as its parent sees it. Dropped, it removes the file.
#[derive(Debug)]
pub(super) struct Keeper {
    path: PathBuf,
    /// `None` when it is being dropped.
    string: Option<UnixStream>,
    child: Child,
}

/// How long a keeper may take to make the file.
const PATIENCE: Duration = Duration::from_secs(10);

impl Keeper {
    /// A listening socket whose file at `path` is only for this user, and its keeper.
    pub(super) fn open(path: &Path) -> Result<(UnixListener, Self), MigrationError> {
        let failed =
            |error: String| MigrationError::Listen { address: format!("unix:{}", path.display()), error };
        if symlink_metadata(path).is_ok() {
            return Err(failed(occupied(path)));
        }
        let opened = || -> io::Result<(OwnedFd, Self)> {
            let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
            let (ours, theirs) = UnixStream::pair()?;
            let mut command = Command::new(THIS_PROGRAM);
            command.arg("keeper").arg(path);
            // A socket has one address, whichever process names it.
            command.stdin(socket.try_clone()?).stdout(OwnedFd::from(theirs)).stderr(Stdio::null());
            // What a terminal sends to the parent's group is not for the keeper.
            command.process_group(0);
            let child = command.spawn()?;
            Ok((socket, Self { path: path.to_owned(), string: Some(ours), child }))
        };
        let (socket, keeper) = opened().map_err(|error| failed(error.to_string()))?;
        keeper.answer().map_err(failed)?;
        // One connection is all that is wanted.
        listen(&socket, 1).map_err(|error| failed(error.to_string()))?;
        Ok((UnixListener::from(socket), keeper))
    }

    /// Waits until the file is there; else why it is not.
    fn answer(&self) -> Result<(), String> {
        let string = self.string.as_ref().map(UnixStream::try_clone);
        let Some(Ok(string)) = string else { return Err("its keeper cannot be spoken to".to_owned()) };
        let mut line = String::new();
        let read =
            BufReader::new(Patient::new(string.into(), Instant::now() + PATIENCE)).read_line(&mut line);
        match (read, line.trim_end()) {
            (Ok(1..), "") => Ok(()),
            (Ok(1..), why) => Err(why.to_owned()),
            (Ok(0), _) => Err("the process that makes the socket's file has ended".to_owned()),
            (Err(error), _) => Err(error.to_string()),
        }
    }

    /// Becomes readable when the keeper ends.
    pub(super) fn string(&self) -> Option<BorrowedFd<'_>> {
        self.string.as_ref().map(AsFd::as_fd)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.string = None;
        let_end(&self.child);
        let kept = end(&mut self.child).is_some_and(|status| status.success());
        // There was no file before the keeper made it, so one at which nobody listens is its own.
        if !kept && is_left_over(&self.path) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The keeper's own side: standard input is the socket, standard output the string.
///
/// # Errors
/// When the parent is gone before the file is.
pub fn keep(path: &Path) -> io::Result<()> {
    let mut string = UnixStream::from(stdout().as_fd().try_clone_to_owned()?);
    // Nobody but this user may connect, from the first moment on.
    rustix::process::umask(Mode::from_raw_mode(0o177));
    let named = SocketAddrUnix::new(path).and_then(|address| bind(stdin(), &address));
    if let Err(error) = named {
        return writeln!(string, "{}", io::Error::from(error));
    }
    let made = identity(path);
    // Whether or not anybody hears of it.
    let _ = string.write_all(b"\n");
    let _ = string.read_to_end(&mut Vec::new());
    match identity(path) {
        Some(found) if Some(found) == made => std::fs::remove_file(path),
        _ => Ok(()),
    }
}

/// Which file it is.
fn identity(path: &Path) -> Option<(u64, u64)> {
    symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// Whether it is a socket at which nobody listens any more.
fn is_left_over(path: &Path) -> bool {
    symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
        && try_connect(path) == Err(Errno::CONNREFUSED)
}

/// Asks for a connection without waiting for it: a listener may have as many as it can hold.
fn try_connect(path: &Path) -> Result<(), Errno> {
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    connect(&socket, &SocketAddrUnix::new(path)?)
}

fn occupied(path: &Path) -> String {
    let what = if is_left_over(path) {
        "it is a socket at which nobody listens, left by a listener that was killed together with its keeper"
    } else {
        "it exists"
    };
    format!("{what}; remove it, or give another path")
}
