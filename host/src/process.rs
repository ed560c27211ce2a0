//! A child process that ends with its parent, and whose outputs are read as they arrive until a
//! deadline, or until this process is told to end.

use crate::ending;
use kvm::process::{die_with_parent, end, will_end_with_parent};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Serialize;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{self, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The program that runs, even if its file was replaced or removed meanwhile.
pub(crate) const THIS_PROGRAM: &str = "/proc/self/exe";

/// How often a child that has closed its outputs is asked whether it has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(1);
/// The most that one [`ChildEvent`] carries, in bytes.
const CHUNK: usize = 4096;

/// Looks for a program as a shell does: a name without `/` in PATH.
pub(crate) fn find(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 || program.is_absolute() {
        return is_executable(program).then(|| program.to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|file| is_executable(file))
}

/// A program that [`find`] does not find, and why: the beginning of a sentence.
pub(crate) fn not_found(program: &Path) -> String {
    let is_path = program.components().count() > 1 || program.is_absolute();
    let why = if is_path && program.exists() { "cannot be executed" } else { "is not here" };
    format!("{} {why}", program.display())
}

/// One word for a shell.
pub(crate) fn quoted(word: &OsStr) -> String {
    // No argument holds the zero byte that cannot be quoted.
    let bytes = shlex::bytes::try_quote(word.as_bytes()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// A file without a name, for programs that want a path. Gone with the last process that has it.
pub(crate) struct MemoryFile(File);

impl MemoryFile {
    /// A file that holds `bytes`.
    pub(crate) fn new(bytes: &[u8]) -> io::Result<Self> {
        let mut file = File::from(memfd_create("midflight", MemfdFlags::CLOEXEC)?);
        file.write_all(bytes)?;
        Ok(Self(file))
    }

    /// The file itself.
    pub(crate) fn file(&self) -> &File {
        &self.0
    }

    /// A path to it, for this process and its children, as long as this value lives.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", process::id(), self.0.as_raw_fd())
    }
}

/// Writes a line of JSON, and hands it to the other side.
pub(crate) fn put_line(to: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    to.write_all(&line).and_then(|()| to.flush())
}

/// Starts a child of this program, which ends with its parent; its input and its output.
pub(crate) fn start_piped(mut command: Command) -> io::Result<(process::Child, ChildStdin, ChildStdout)> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    will_end_with_parent(&mut command);
    let mut child = command.spawn()?;
    match (child.stdin.take(), child.stdout.take()) {
        (Some(input), Some(output)) => Ok((child, input, output)),
        _ => Err(io::Error::other("its pipes are missing")),
    }
}

/// What a child did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ChildEvent {
    /// It wrote to standard output.
    Output(Vec<u8>),
    /// It wrote to standard error.
    Errors(Vec<u8>),
    /// It ended, and everything that it wrote has been read.
    Ended(ExitStatus),
    /// The deadline passed.
    Late,
    /// This process received a signal to end.
    EndRequested,
}

/// What a stream's bytes are.
#[derive(Clone, Copy)]
enum Stream {
    Output,
    Errors,
}

impl Stream {
    fn event(self, bytes: Vec<u8>) -> ChildEvent {
        match self {
            Self::Output => ChildEvent::Output(bytes),
            Self::Errors => ChildEvent::Errors(bytes),
        }
    }
}

/// A child process; killed and reaped when dropped.
pub(crate) struct Child {
    child: process::Child,
    /// Standard output and error, until closed, and what is made of their bytes.
    streams: Vec<(File, Stream)>,
}

impl Drop for Child {
    fn drop(&mut self) {
        // Its group has what a wrapper of the program has started, too; it lives until the child is reaped.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        end(&mut self.child);
    }
}

impl Child {
    /// Starts one without standard input.
    pub(crate) fn start(command: Command) -> io::Result<Self> {
        Self::start_with(command, Stdio::null())
    }

    /// Starts one with a standard input.
    pub(crate) fn start_with(mut command: Command, input: Stdio) -> io::Result<Self> {
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        die_with_parent(&mut command);
        let mut child = command.spawn()?;
        let mut streams: Vec<(File, Stream)> = Vec::new();
        streams.extend(child.stdout.take().map(|pipe| (File::from(OwnedFd::from(pipe)), Stream::Output)));
        streams.extend(child.stderr.take().map(|pipe| (File::from(OwnedFd::from(pipe)), Stream::Errors)));
        Ok(Self { child, streams })
    }

    /// From now on what it writes to standard output is [`ChildEvent::Errors`], and the other way round.
    pub(crate) fn swapped(mut self) -> Self {
        for (_, stream) in &mut self.streams {
            *stream = match stream {
                Stream::Output => Stream::Errors,
                Stream::Errors => Stream::Output,
            };
        }
        self
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the next event, until `deadline` at most.
    pub(crate) fn next(&mut self, deadline: Instant) -> io::Result<ChildEvent> {
        while !self.streams.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(ChildEvent::Late);
            }
            if ending::signal().is_some() {
                return Ok(ChildEvent::EndRequested);
            }
            if let Some(event) = self.read(left.min(ending::LOOK))? {
                return Ok(event);
            }
        }
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(ChildEvent::Ended(status));
            }
            if Instant::now() >= deadline {
                return Ok(ChildEvent::Late);
            }
            if ending::signal().is_some() {
                return Ok(ChildEvent::EndRequested);
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// The bytes from either stream within `limit`; `None` if there were none, or one closed.
    fn read(&mut self, limit: Duration) -> io::Result<Option<ChildEvent>> {
        let mut polled: Vec<_> =
            self.streams.iter().map(|(stream, _)| PollFd::new(stream, PollFlags::IN)).collect();
        let limit = Timespec::try_from(limit).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        match poll(&mut polled, Some(&limit)) {
            Err(Errno::INTR) => return Ok(None),
            polled => polled?,
        };
        let Some(index) = polled.iter().position(|polled| !polled.revents().is_empty()) else {
            return Ok(None);
        };
        let (stream, kind) = &mut self.streams[index];
        let mut chunk = vec![0; CHUNK];
        let length = stream.read(&mut chunk)?;
        chunk.truncate(length);
        if length > 0 {
            return Ok(Some(kind.event(chunk)));
        }
        self.streams.remove(index);
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_can_read_a_memory_file() {
        let file = MemoryFile::new(b"image").unwrap();
        let mut command = Command::new("cat");
        command.arg(file.path());
        let event = Child::start(command).unwrap().next(Instant::now() + Duration::from_secs(5)).unwrap();
        assert_eq!(event, ChildEvent::Output(b"image".into()));
    }

    #[test]
    fn programs_are_found_as_by_a_shell() {
        assert!(find(Path::new("sh")).is_some_and(|file| file.is_absolute()));
        assert_eq!(find(Path::new("/bin/sh")), Some("/bin/sh".into()));
        assert_eq!(find(Path::new("/etc/passwd")), None);
        assert_eq!(find(Path::new("no-such-program-anywhere")), None);
        assert_eq!(not_found(Path::new("/etc/passwd")), "/etc/passwd cannot be executed");
        assert_eq!(not_found(Path::new("/etc")), "/etc cannot be executed");
        assert_eq!(not_found(Path::new("/no/such/program")), "/no/such/program is not here");
        // There is such a directory where tests run, but it is not in PATH.
        assert_eq!(not_found(Path::new("src")), "src is not here");
    }
}
