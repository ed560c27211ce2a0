//! `midflight save`.

use super::args::SaveArgs;
use super::host::{host_facts, kernel_log};
use super::known::known_issues;
use super::machines::is_kvm_here;
use super::printer::{Printer, Reporting};
use super::run::Again;
use super::within::within;
use super::{CliError, Given, mounted, select};
use crate::engine::asker;
use crate::engine::plan::met_needs;
use crate::engine::runner::Runner;
use crate::image::Image;
use crate::images;
use crate::machines::{Described, Description, MachineKind};
use crate::migration::timed::Timed;
use crate::migration::{GRACE, Migrated};
use crate::report::{Format, HostFacts, Report, human};
use crate::scenario::{Action, Migration, Plan, Scenario};
use crate::stream::{Guest, base_of};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, openat};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, IsTerminal, Write, stderr, stdout};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use vm::Machine;

pub(super) fn save(args: &SaveArgs, files: &[PathBuf], kvm: &Path, given: &Given) -> Result<u8, CliError> {
    if args.output.is_none() && stdout().is_terminal() {
        let what = "save writes a guest to standard output, which is a terminal: send it to a file, or to \
                    resume, as in `midflight save ID | ssh there midflight resume`";
        return Err(CliError::Usage(what.to_owned()));
    }
    // Before anything that the kernel could object to.
    let kernel_log = kernel_log(args.watch.kernel_log.as_deref())?;
    let known = known_issues(&args.watch.known, files, files.is_empty())?;
    let here = || if is_kvm_here(kvm) { MachineKind::Kvm } else { MachineKind::Model };
    let description = args.on.machine(kvm, here)?;
    mounted::check(description.quirks().on_this_processor && kvm.exists())?;
    let facts = host_facts(kvm, &args.watch.known)?;
    let images = images::load(files)?;
    let (index, scenario) = select::one(&images, &args.scenario, "save saves the guest of")?;
    leaves_for_good(&scenario)?;
    let image = images[index].clone();
    let machine = description.machine()?;
    let (report, stream) = match lack(&description, machine.as_ref(), &image, &scenario)? {
        Some(lack) => (Report::lacking(&scenario, machine.name(), description.behaviour(), lack), None),
        None => cut(description, image, scenario, args.timeout, facts.clone())?,
    };
    if let Some(stream) = stream {
        write(args, &stream).map_err(CliError::Guest)?;
        let kernel = known.excuse(kernel_log.finish(), &facts);
        human::saved(&mut stderr().lock(), &report, stream.len(), &kernel)?;
        return Ok(kernel.exit_code());
    }
    let again = Again::new(given, "save", &["machine", "behaviour"]);
    let again = |report: &Report| Some(again.of(report));
    let how = Reporting::of_one(Format::Human, &known, facts, &again);
    let mut printer = Printer::new(how, stderr().lock())?;
    printer.ran(report)?;
    printer.finish(kernel_log, &HashMap::new(), false)
}

/// Runs a scenario up to its cut; the guest's stream, where there was one to be saved.
fn cut(
    description: Description,
    image: Image,
    scenario: Scenario,
    timeout: Duration,
    facts: HostFacts,
) -> Result<(Report, Option<Vec<u8>>), CliError> {
    within(timeout + 2 * GRACE, move |_| {
        let (machine, saved) = (description.machine()?, RefCell::new(None));
        let mut runner = Runner::new(machine.as_ref(), description.behaviour().map(str::to_owned), timeout);
        runner.to_process = Some(Box::new(|guest, image, _| {
            let report = Report { saved_on: Some(facts.clone()), ..guest.report.clone() };
            let mut stream = Vec::new();
            Guest { report: report.clone(), ..guest.clone() }.write(&base_of(image), &mut stream)?;
            saved.replace(Some((report, stream)));
            Ok(Migrated::Saved)
        }));
        let report = runner.run(&image, &scenario);
        drop(runner);
        Ok(saved.into_inner().map_or((report, None), |(report, stream)| (report, Some(stream))))
    })
}

/// Writes the stream to where it is wanted.
fn write(args: &SaveArgs, stream: &[u8]) -> io::Result<()> {
    match &args.output {
        Some(file) => write_file(file, stream),
        None => {
            let output = stdout().as_fd().try_clone_to_owned()?;
            Timed::new(output, Instant::now() + args.wait).write_all(stream)
        }
    }
}

/// Writes a file atomically: it has no name until it is complete.
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let mut file = File::from(openat(CWD, directory, flags, Mode::from_raw_mode(0o666))?);
    file.write_all(bytes)?;
    // Only a rename replaces a file that is there.
    let mut beside = path.to_owned().into_os_string();
    beside.push(format!(".{}", std::process::id()));
    let whole = format!("/proc/self/fd/{}", file.as_raw_fd());
    linkat(CWD, whole, CWD, &*beside, AtFlags::SYMLINK_FOLLOW)?;
    std::fs::rename(&beside, path).inspect_err(|_| {
        let _ = std::fs::remove_file(&beside);
    })
}

/// Whether the guest of a scenario leaves once, and for good.
fn leaves_for_good(scenario: &Scenario) -> Result<(), CliError> {
    let why = match scenario.plan {
        Plan::Cut(stop, action) if action.again > 0 || !stop.is_last() => {
            "its guest would have to be sent back to be cut again"
        }
        Plan::Cut(stop, _) if !stop.stands_still() => {
            "its guest is not stopped by the page, only slowed down"
        }
        Plan::Cut(_, Action { migrate: Some(Migration::Process), .. }) => return Ok(()),
        Plan::Cut(..) | Plan::Cold | Plan::None => "its guest does not leave this process",
    };
    let what = format!(
        "`{scenario}` cannot be saved: {why}; give a scenario that cuts once and ends in `migrate-process`, \
         perhaps with `+disturb`"
    );
    Err(CliError::Usage(what))
}

/// What the machine lacks for a scenario, probed as by `run`.
pub(super) fn lack(
    description: &Description,
    machine: &dyn Machine,
    image: &Image,
    scenario: &Scenario,
) -> Result<Option<String>, CliError> {
    let (images, scenarios) = ([image.clone()], [(0, scenario.clone())]);
    let abilities = asker::abilities(description, machine.name(), met_needs(machine), &images, &scenarios)?;
    Ok(abilities.skip_reason(image, scenario))
}
