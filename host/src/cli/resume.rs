//! `midflight resume`.

use super::args::ResumeArgs;
use super::host::{host_facts, kernel_log};
use super::known::known_issues;
use super::printer::{Printer, Reporting};
use super::terminal::standard_output;
use super::within::within;
use super::{CliError, Given, mounted};
use crate::engine::runner::conclude;
use crate::machines::{Described, MachineKind};
use crate::migration::timed::Timed;
use crate::migration::{GRACE, MigrationError, finish, receive};
use crate::report::outcome::Frames;
use crate::report::{Begun, Report};
use crate::stream::Guest;
use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{BufReader, IsTerminal, stdin};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

pub(super) fn resume(args: &ResumeArgs, kvm: &Path, given: &Given) -> Result<u8, CliError> {
    if args.file.is_none() && stdin().is_terminal() {
        let what = "resume reads a guest from standard input, which is a terminal: give the file that save \
                    has written, or send it, as in `midflight save ID | midflight resume`";
        return Err(CliError::Usage(what.to_owned()));
    }
    // Before anything that the kernel could object to.
    let kernel_log = kernel_log(args.watch.kernel_log.as_deref())?;
    // A guest brings its image.
    let known = known_issues(&args.watch.known, &[], false)?;
    mounted::check(false)?;
    let guest = read(args.file.as_deref(), args.wait)?;
    let its_own = || MachineKind::named(&guest.report.machine).unwrap_or(MachineKind::Model);
    let description = args.on.machine(kvm, its_own)?;
    mounted::check(description.quirks().on_this_processor && kvm.exists())?;
    let facts = host_facts(kvm, &args.watch.known)?;
    let (timeout, frames) = (args.timeout, if args.frames { Frames::OfAll } else { Frames::OfFailures });
    let report = within(timeout + 2 * GRACE, move |_| {
        let machine = description.machine()?;
        let start = Instant::now();
        let report = finish(machine.as_ref(), description.behaviour(), guest, timeout, frames)?;
        Ok(conclude(report, start))
    })?;
    let again = |_: &Report| args.file.as_ref().map(|file| given.command("resume", &[file], &[]));
    let how = Reporting {
        begun: Begun { frames: args.frames, ..Begun::now(1, args.report.verbosity()) },
        files: &args.report.files,
        ..Reporting::of_one(args.report.format, &known, facts, &again)
    };
    let mut printer = Printer::new(how, standard_output(args.report.format))?;
    printer.ran(report)?;
    printer.finish(kernel_log, &HashMap::new(), false)
}

/// The guest that comes from `file`, or by standard input, within `wait`.
fn read(file: Option<&Path>, wait: Duration) -> Result<Guest, CliError> {
    let from: OwnedFd = match file {
        // A FIFO is opened, and waited for, whether or not somebody writes to it.
        Some(path) => OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)
            .map_err(|error| CliError::File { file: path.display().to_string(), error })?
            .into(),
        None => stdin().as_fd().try_clone_to_owned()?,
    };
    receive(BufReader::new(Timed::new(from, Instant::now() + wait))).map_err(|error| match error {
        MigrationError::Late => {
            let wait = wait.as_secs_f64();
            CliError::Usage(format!("timeout: no whole guest was received within {wait} s"))
        }
        other => other.into(),
    })
}
