//! A child process that ends at a deadline, with its parent, and with bounded output.

use super::QemuError;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Bound of each of the child's two outputs, in bytes; the longest image prints a few thousand.
pub(super) const OUTPUT_LIMIT: usize = 1 << 20;
/// How often a child that has closed its outputs is asked whether it has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// A child that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// Standard output; bytes that are not UTF-8 are replaced.
    pub(super) output: String,
    /// Standard error, likewise.
    pub(super) errors: String,
}

pub(super) fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

fn system(what: &'static str) -> impl Fn(std::io::Error) -> QemuError {
    move |error| QemuError::System { what, why: error.to_string() }
}

/// A file without a name, for programs that want a path.
#[derive(Debug)]
pub(super) struct MemoryFile(File);

impl MemoryFile {
    /// A path to it, for this process and its children, as long as this value lives.
    pub(super) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }
}

/// A [`MemoryFile`] that holds `bytes`.
pub(super) fn memory_file(bytes: &[u8]) -> Result<MemoryFile, QemuError> {
    // SAFETY: the name is a NUL-terminated string; the call touches nothing else.
    let fd = unsafe { libc::memfd_create(c"midflight-image".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(system("memfd_create")(std::io::Error::last_os_error()));
    }
    // SAFETY: the descriptor is new and nobody else's.
    let mut file = unsafe { File::from_raw_fd(fd) };
    file.write_all(bytes).map_err(system("writing the image for QEMU"))?;
    Ok(MemoryFile(file))
}

/// Kills and reaps the child on every way out.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // Both fail when the child has been reaped already, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs `program` to its end, or kills it at `deadline`.
pub(super) fn run(program: &Path, arguments: &[String], deadline: Instant) -> Result<Ended, QemuError> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let parent = std::process::id();
    // SAFETY: between fork and exec only prctl, getppid and _exit are called, which are
    // async-signal-safe.
    unsafe { command.pre_exec(move || die_with(parent)) };
    let mut child = Guard(command.spawn().map_err(system("starting QEMU"))?);
    let (Some(output), Some(errors)) = (child.0.stdout.take(), child.0.stderr.take()) else {
        return Err(system("starting QEMU")(std::io::ErrorKind::BrokenPipe.into()));
    };
    let mut streams = [Stream::new(output), Stream::new(errors)];
    read_all(&mut streams, deadline)?;
    let [output, errors] = streams.map(|stream| String::from_utf8_lossy(&stream.bytes).into_owned());
    loop {
        if let Some(status) = child.0.try_wait().map_err(system("waiting for QEMU"))? {
            return Ok(Ended { status, output, errors });
        }
        if Instant::now() >= deadline {
            return Err(timeout(&output));
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// In the child: be killed when the thread that started it ends, whatever ends it.
fn die_with(parent: u32) -> std::io::Result<()> {
    // SAFETY: takes numbers only.
    if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    // The parent may have ended before that took effect.
    // SAFETY: getppid has no preconditions; _exit ends this child only.
    unsafe {
        if libc::getppid() as u32 != parent {
            libc::_exit(1);
        }
    }
    Ok(())
}

fn timeout(output: &str) -> QemuError {
    let last_line = output.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("(none)");
    QemuError::Timeout { last_line: last_line.to_owned() }
}

/// One output of the child and what has come through it.
struct Stream {
    pipe: File,
    bytes: Vec<u8>,
    open: bool,
}

impl Stream {
    fn new(pipe: impl Into<std::os::fd::OwnedFd>) -> Self {
        Self { pipe: File::from(pipe.into()), bytes: Vec::new(), open: true }
    }

    /// Takes what is there; poll said that this does not wait.
    fn read(&mut self) -> Result<(), QemuError> {
        let mut chunk = [0; 4096];
        match self.pipe.read(&mut chunk).map_err(system("reading QEMU's output"))? {
            0 => self.open = false,
            length => self.bytes.extend_from_slice(&chunk[..length]),
        }
        if self.bytes.len() > OUTPUT_LIMIT {
            return Err(QemuError::TooMuchOutput { limit: OUTPUT_LIMIT });
        }
        Ok(())
    }
}

/// Reads both streams to their ends.
fn read_all(streams: &mut [Stream; 2], deadline: Instant) -> Result<(), QemuError> {
    while streams.iter().any(|stream| stream.open) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(timeout(&String::from_utf8_lossy(&streams[0].bytes)));
        }
        // poll ignores negative descriptors.
        let mut polled = [&streams[0], &streams[1]].map(|stream| libc::pollfd {
            fd: if stream.open { stream.pipe.as_raw_fd() } else { -1 },
            events: libc::POLLIN,
            revents: 0,
        });
        let milliseconds = i32::try_from(left.as_millis() + 1).unwrap_or(i32::MAX);
        // SAFETY: the array is valid for the call and as long as said.
        if unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, milliseconds) } < 0 {
            let error = std::io::Error::last_os_error();
            if error.kind() == std::io::ErrorKind::Interrupted {
                continue;
            }
            return Err(system("poll")(error));
        }
        for (stream, polled) in streams.iter_mut().zip(&polled) {
            if polled.revents != 0 {
                stream.read()?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Result<Ended, QemuError> {
        run(Path::new("/bin/sh"), &["-c".into(), script.into()], Instant::now() + limit)
    }

    #[test]
    fn outputs_and_exit_code_come_back() {
        let ended = shell("echo out; echo err >&2; exit 33", Duration::from_secs(5)).unwrap();
        assert_eq!((ended.output.as_str(), ended.errors.as_str()), ("out\n", "err\n"));
        assert_eq!(ended.status.code(), Some(33));
    }

    #[test]
    fn a_child_that_does_not_end_is_killed() {
        for script in ["echo last; exec sleep 60", "echo last; exec >&- 2>&-; exec sleep 60"] {
            let start = Instant::now();
            let error = shell(script, Duration::from_millis(100)).unwrap_err();
            assert_eq!(error, QemuError::Timeout { last_line: "last".into() });
            assert!(start.elapsed() < Duration::from_secs(5));
        }
    }

    #[test]
    fn too_much_output_is_cut_off() {
        let error = shell("exec head -c 3000000 /dev/zero", Duration::from_secs(10)).unwrap_err();
        assert_eq!(error, QemuError::TooMuchOutput { limit: 1 << 20 });
    }

    #[test]
    fn a_child_can_read_a_memory_file() {
        let file = memory_file(b"image").unwrap();
        let ended = shell(&format!("cat {}", file.path()), Duration::from_secs(5)).unwrap();
        assert_eq!(ended.output, "image");
    }
}
