//! QEMU as a child process.

use super::error::QemuError;
use super::monitor::Monitor;
use crate::bounded::{self, Ended, NotEnded, OUTPUT_LIMIT};
use crate::deadline::Deadline;
use crate::process::Child;
use std::path::Path;
use std::process::Command;

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
    deadline: &Deadline,
) -> Result<Ended, QemuError> {
    let mut command = Command::new(program);
    command.args(arguments);
    let mut child = Child::start(command).map_err(system("starting QEMU"))?;
    bounded::run_within(&mut child, deadline).map_err(|error| match error {
        NotEnded::Unread(error) => system("reading QEMU's output")(error),
        NotEnded::Late { last_line } => {
            QemuError::Timeout { last_line, rip: monitor.as_mut().and_then(Monitor::rip) }
        }
        NotEnded::TooMuchOutput => QemuError::TooMuchOutput { limit: OUTPUT_LIMIT },
        NotEnded::EndRequested => QemuError::EndRequested,
    })
}
