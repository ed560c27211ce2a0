//! A child process run to its end, with bounded output.

use crate::deadline::Deadline;
use crate::ending::LOOK;
use crate::process::{Child, ChildEvent};
use std::io;
use std::process::ExitStatus;
use std::time::Instant;

/// Bound of each of the child's two outputs, in bytes; the longest image prints a few thousand.
pub(crate) const OUTPUT_LIMIT: usize = 1 << 20;

/// A child that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// Standard output; bytes that are not UTF-8 are replaced.
    pub(crate) output: String,
    /// Standard error, likewise.
    pub(crate) errors: String,
}

/// Why a child was not left to its end.
#[derive(Debug)]
pub(crate) enum NotEnded {
    /// Its output could not be read.
    Unread(io::Error),
    /// The deadline passed; the last line of its standard output, or `(none)`.
    Late { last_line: String },
    /// It printed more than [`OUTPUT_LIMIT`].
    TooMuchOutput,
    /// This process received a signal to end.
    EndRequested,
}

/// Reads a child's outputs to its end, or until `deadline`. It ends when it is dropped.
pub(crate) fn run(child: &mut Child, deadline: Instant) -> Result<Ended, NotEnded> {
    run_until(child, || Instant::now() >= deadline)
}

/// The same, until a deadline that comes no sooner on a busy host.
pub(crate) fn run_within(child: &mut Child, deadline: &Deadline) -> Result<Ended, NotEnded> {
    let pid = child.id();
    run_until(child, || deadline.has_passed(pid))
}

fn run_until(child: &mut Child, is_over: impl Fn() -> bool) -> Result<Ended, NotEnded> {
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    loop {
        match child.next(Instant::now() + LOOK).map_err(NotEnded::Unread)? {
            ChildEvent::Output(bytes) => output.extend(bytes),
            ChildEvent::Errors(bytes) => errors.extend(bytes),
            ChildEvent::EndRequested => return Err(NotEnded::EndRequested),
            ChildEvent::Late if !is_over() => {}
            ChildEvent::Late => return Err(NotEnded::Late { last_line: last_line(&text(output)) }),
            ChildEvent::Ended(status) => {
                return Ok(Ended { status, output: text(output), errors: text(errors) });
            }
        }
        if output.len().max(errors.len()) > OUTPUT_LIMIT {
            return Err(NotEnded::TooMuchOutput);
        }
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The last line that is not empty, or `(none)`.
pub(crate) fn last_line(output: &str) -> String {
    output.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("(none)").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::time::Duration;

    fn shell(script: &str, limit: Duration) -> Result<Ended, NotEnded> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        run(&mut Child::start(command).unwrap(), Instant::now() + limit)
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
            assert!(matches!(&error, NotEnded::Late { last_line } if last_line == "last"), "{error:?}");
            assert!(start.elapsed() < Duration::from_secs(5));
        }
    }

    #[test]
    fn too_much_output_is_cut_off() {
        let error = shell("exec head -c 3000000 /dev/zero", Duration::from_secs(10)).unwrap_err();
        assert!(matches!(error, NotEnded::TooMuchOutput), "{error:?}");
    }
}
