//! A child process that ends with its parent, and whose outputs are read as they come until a
//! deadline, or until this process is told to end.

use crate::ending;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The program that runs, even if its file was replaced or removed meanwhile.
pub(crate) const THIS_PROGRAM: &str = "/proc/self/exe";

/// How often a child that has closed its outputs is asked whether it has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(1);
/// The most that one [`Event`] carries, in bytes.
const CHUNK: usize = 4096;

/// Looks for a program as a shell does: a name without `/` in PATH.
pub(crate) fn find(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 || program.is_absolute() {
        return is_executable(program).then(|| program.to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|file| is_executable(file))
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// A file without a name, for programs that want a path. Gone with the last process that has it.
#[derive(Debug)]
pub(crate) struct MemoryFile(File);

impl MemoryFile {
    /// A file that holds `bytes`.
    pub(crate) fn new(bytes: &[u8]) -> io::Result<Self> {
        // SAFETY: the name is a NUL-terminated string; the call touches nothing else.
        let fd = unsafe { libc::memfd_create(c"midflight".as_ptr(), libc::MFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and nobody else's.
        let mut file = unsafe { File::from_raw_fd(fd) };
        file.write_all(bytes)?;
        Ok(Self(file))
    }

    /// A path to it, for this process and its children, as long as this value lives.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }
}

/// The kernel kills the child when the thread that starts it ends, whatever ends it; and nothing else
/// does: what a terminal sends to its foreground group is for the parent, which decides what becomes
/// of its children, and is not to take their end for a failure.
pub(crate) fn die_with_parent(command: &mut Command) {
    command.process_group(0);
    let parent = std::process::id();
    // SAFETY: prctl and getppid are async-signal-safe; nothing is allocated or locked between fork
    // and exec.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return Err(io::Error::last_os_error());
            }
            // The parent may have died before the call took effect.
            if libc::getppid() as u32 != parent {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
            Ok(())
        });
    }
}

/// How long a child that has nothing left to do may take to end. One that takes longer is killed, and loses
/// nothing: nobody asks for its status.
const GOODBYE: Duration = Duration::from_millis(500);
/// How long a child that was killed may take to be gone. Only one that hangs in the kernel does.
const KILLED: Duration = Duration::from_secs(5);

/// Waits a moment for a child that knows that it is to end: its input has ended, or it has said its last.
/// Whoever started it [`end`]s it after this.
pub(crate) fn let_end(child: &std::process::Child) {
    // Kernels before 5.3 have no pidfd: there the child is killed at once.
    ends_within(child, GOODBYE);
}

/// Kills a child that has not ended, and reaps it; its status, if there is any.
///
/// A child that spins in KVM cannot be killed. It is left to the kernel, which ends it when it comes out,
/// and to whoever inherits it: nobody here waits for it without end.
pub(crate) fn end(child: &mut std::process::Child) -> Option<ExitStatus> {
    // Fails when it has been reaped already, which is what is wanted.
    let _ = child.kill();
    let deadline = Instant::now() + KILLED;
    ends_within(child, KILLED);
    loop {
        match child.try_wait() {
            Ok(None) if Instant::now() < deadline => std::thread::sleep(POLL_INTERVAL),
            ended => return ended.ok().flatten(),
        }
    }
}

/// The status of a child that has closed its outputs, and so has ended or is about to; one that does not is
/// killed.
pub(crate) fn status(child: &mut std::process::Child) -> String {
    ends_within(child, KILLED);
    end(child).map_or_else(|| "it cannot be killed".to_owned(), |status| status.to_string())
}

/// Waits until a child has ended, for `limit` at most, or not at all where the kernel cannot tell.
fn ends_within(child: &std::process::Child, limit: Duration) {
    let Ok(pidfd) = pidfd_open(Pid::from_child(child), PidfdFlags::empty()) else { return };
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&left)) {
            Err(rustix::io::Errno::INTR) => {}
            _ => return,
        }
    }
}

/// What a child did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// It wrote to standard output.
    Output(Vec<u8>),
    /// It wrote to standard error.
    Errors(Vec<u8>),
    /// It ended, and everything that it wrote has been read.
    Ended(ExitStatus),
    /// The deadline passed.
    Late,
    /// This process was told to end.
    ToldToEnd,
}

/// A child process without standard input; killed and reaped when dropped.
#[derive(Debug)]
pub(crate) struct Child {
    child: std::process::Child,
    /// Standard output and error; `None` when closed.
    streams: [Option<File>; 2],
}

impl Drop for Child {
    fn drop(&mut self) {
        // Its group has what a wrapper of the program has started, too; it lives until the child is reaped.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        end(&mut self.child);
    }
}

impl Child {
    pub(crate) fn start(mut command: Command) -> io::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        die_with_parent(&mut command);
        let mut child = command.spawn()?;
        let output = child.stdout.take().map(|pipe| File::from(OwnedFd::from(pipe)));
        let errors = child.stderr.take().map(|pipe| File::from(OwnedFd::from(pipe)));
        Ok(Self { child, streams: [output, errors] })
    }

    /// Waits for the next event, until `deadline` at most.
    pub(crate) fn next(&mut self, deadline: Instant) -> io::Result<Event> {
        while self.streams.iter().any(Option::is_some) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Event::Late);
            }
            if ending::told().is_some() {
                return Ok(Event::ToldToEnd);
            }
            if let Some(event) = self.read(left.min(ending::LOOK))? {
                return Ok(event);
            }
        }
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Event::Ended(status));
            }
            if Instant::now() >= deadline {
                return Ok(Event::Late);
            }
            if ending::told().is_some() {
                return Ok(Event::ToldToEnd);
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// What comes through either stream within `patience`; `None` when nothing did, or one closed.
    fn read(&mut self, patience: Duration) -> io::Result<Option<Event>> {
        // poll ignores negative descriptors.
        let fd = |stream: &Option<File>| stream.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        let mut polled = [0, 1].map(|index: usize| libc::pollfd {
            fd: fd(&self.streams[index]),
            events: libc::POLLIN,
            revents: 0,
        });
        let milliseconds = i32::try_from(patience.as_millis() + 1).unwrap_or(i32::MAX);
        // SAFETY: the array is valid for the call and as long as said.
        if unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, milliseconds) } < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::Interrupted { Ok(None) } else { Err(error) };
        }
        for (index, polled) in polled.iter().enumerate() {
            let Some(stream) = self.streams[index].as_mut().filter(|_| polled.revents != 0) else { continue };
            let mut chunk = vec![0; CHUNK];
            let length = stream.read(&mut chunk)?;
            chunk.truncate(length);
            match (length, index) {
                (0, _) => self.streams[index] = None,
                (_, 0) => return Ok(Some(Event::Output(chunk))),
                (_, _) => return Ok(Some(Event::Errors(chunk))),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Vec<Event> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        let mut child = Child::start(command).unwrap();
        let deadline = Instant::now() + limit;
        let mut events = Vec::new();
        loop {
            events.push(child.next(deadline).unwrap());
            if matches!(events.last(), Some(Event::Ended(_) | Event::Late)) {
                return events;
            }
        }
    }

    #[test]
    fn outputs_and_exit_code_come_back() {
        let events = shell("echo out; sleep 0.05; echo err >&2; exit 33", Duration::from_secs(5));
        assert_eq!(events[..2], [Event::Output(b"out\n".into()), Event::Errors(b"err\n".into())]);
        assert!(matches!(&events[2..], [Event::Ended(status)] if status.code() == Some(33)), "{events:?}");
    }

    #[test]
    fn a_child_that_does_not_end_is_late() {
        for script in ["exec sleep 60", "exec >&- 2>&-; exec sleep 60"] {
            let start = Instant::now();
            assert_eq!(shell(script, Duration::from_millis(200)), [Event::Late]);
            assert!(start.elapsed() < Duration::from_secs(5));
        }
    }

    #[test]
    fn a_child_is_let_end_and_not_waited_for_long() {
        for (script, ended) in [("sleep 0.1; exit 7", Some(7)), ("exec sleep 60", None)] {
            let start = Instant::now();
            let mut child = Command::new("/bin/sh").args(["-c", script]).spawn().unwrap();
            let_end(&child);
            assert!(start.elapsed() < Duration::from_secs(5), "{script}");
            child.kill().unwrap();
            assert_eq!(child.wait().unwrap().code(), ended, "{script}");
        }
    }

    /// One that another process traces stays a zombie for its parent until that one is gone.
    #[test]
    fn a_child_that_cannot_be_reaped_is_left() {
        let mut child = Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let pid = child.id();
        let mut tracer = Command::new("/bin/sleep");
        tracer.arg("60");
        // SAFETY: ptrace is async-signal-safe; nothing is allocated or locked between fork and exec.
        unsafe {
            tracer.pre_exec(move || match libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            });
        }
        let mut tracer = match tracer.spawn() {
            Ok(tracer) => tracer,
            Err(error) => {
                end(&mut child);
                return eprintln!("skipped, nothing tested: no process may be traced here: {error}");
            }
        };
        let start = Instant::now();
        assert_eq!(end(&mut child), None);
        assert!(start.elapsed() < 4 * KILLED, "{:?}", start.elapsed());
        assert!(end(&mut tracer).is_some());
        assert!(end(&mut child).is_some());
    }

    #[test]
    fn a_child_can_read_a_memory_file() {
        let file = MemoryFile::new(b"image").unwrap();
        let events = shell(&format!("cat {}", file.path()), Duration::from_secs(5));
        assert_eq!(events[0], Event::Output(b"image".into()));
    }

    #[test]
    fn programs_are_found_as_by_a_shell() {
        assert!(find(Path::new("sh")).is_some_and(|file| file.is_absolute()));
        assert_eq!(find(Path::new("/bin/sh")), Some("/bin/sh".into()));
        assert_eq!(find(Path::new("/etc/passwd")), None);
        assert_eq!(find(Path::new("no-such-program-anywhere")), None);
    }
}
