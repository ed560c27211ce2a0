//! QEMU as a child process with bounded output.

use super::error::QemuError;
use super::monitor::Monitor;
use crate::process::{Child, ChildEvent};
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Instant;

/// Bound of each of the child's two outputs, in bytes; the longest image prints a few thousand.
pub(super) const OUTPUT_LIMIT: usize = 1 << 20;

/// A child that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// Standard output; bytes that are not UTF-8 are replaced.
    pub(super) output: String,
    /// Standard error, likewise.
    pub(super) errors: String,
}

pub(super) fn system(what: &'static str) -> impl Fn(std::io::Error) -> QemuError {
    move |error| QemuError::System { what, why: error.to_string() }
}

/// Runs `program` to its end, or kills it at `deadline`.
///
/// A child that is late is asked through its monitor, if it has one, where its guest is.
pub(super) fn run(
    program: &Path,
    arguments: &[String],
    mut monitor: Option<Monitor>,
    deadline: Instant,
) -> Result<Ended, QemuError> {
    let mut command = Command::new(program);
    command.args(arguments);
    let mut child = Child::start(command).map_err(system("starting QEMU"))?;
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    loop {
        match child.next(deadline).map_err(system("reading QEMU's output"))? {
            ChildEvent::Output(bytes) => output.extend(bytes),
            ChildEvent::Errors(bytes) => errors.extend(bytes),
            ChildEvent::EndRequested => return Err(QemuError::EndRequested),
            ChildEvent::Late => {
                let rip = monitor.as_mut().and_then(Monitor::rip);
                return Err(timeout(&String::from_utf8_lossy(&output), rip));
            }
            ChildEvent::Ended(status) => {
                let [output, errors] =
                    [output, errors].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                return Ok(Ended { status, output, errors });
            }
        }
        if output.len().max(errors.len()) > OUTPUT_LIMIT {
            return Err(QemuError::TooMuchOutput { limit: OUTPUT_LIMIT });
        }
    }
}

fn timeout(output: &str, rip: Option<u64>) -> QemuError {
    let last_line = output.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("(none)");
    QemuError::Timeout { last_line: last_line.to_owned(), rip }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn shell(script: &str, limit: Duration) -> Result<Ended, QemuError> {
        run(Path::new("/bin/sh"), &["-c".into(), script.into()], None, Instant::now() + limit)
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
            let error = shell(script, Duration::from_millis(400)).unwrap_err();
            assert_eq!(error, QemuError::Timeout { last_line: "last".into(), rip: None });
            assert!(start.elapsed() < Duration::from_secs(5));
        }
    }

    #[test]
    fn too_much_output_is_cut_off() {
        let error = shell("exec head -c 3000000 /dev/zero", Duration::from_secs(10)).unwrap_err();
        assert_eq!(error, QemuError::TooMuchOutput { limit: 1 << 20 });
    }
}
