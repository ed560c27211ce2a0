//! `midflight debug`.

use super::args::DebugArgs;
use super::machines::is_kvm_here;
use super::save::lack;
use super::within::{Clock, within};
use super::{CliError, Given, mounted, select};
use crate::debug::{Debugger, Listener, StoppedGuest};
use crate::engine::runner::{Runner, StoppedAt};
use crate::image::Image;
use crate::images;
use crate::machines::{Described, Description, MachineKind};
use crate::migration::GRACE;
use crate::migration::channel::migrate_in_memory;
use crate::report::frame::PrintedFrame;
use crate::report::outcome::Frames;
use crate::report::{Outcome, Report, Totals, human};
use crate::scenario::{Plan, Scenario};
use crate::session::Session;
use std::cell::RefCell;
use std::io::{Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::time::Duration;
use vm::explain::ShownQueue;

pub(super) fn debug(args: &DebugArgs, files: &[PathBuf], kvm: &Path, given: &Given) -> Result<u8, CliError> {
    let images = images::load(files)?;
    let (index, scenario) = select::one(&images, &args.scenario, "debug stops")?;
    let here = || if is_kvm_here(kvm) { MachineKind::Kvm } else { MachineKind::Model };
    let description = args.on.machine(kvm, here)?;
    mounted::check(description.quirks().on_this_processor && kvm.exists())?;
    let machine = description.machine()?;
    let image = images[index].clone();
    let listener = Listener::at(&args.listen)
        .map_err(|error| CliError::File { file: format!("--listen {}", args.listen), error })?;
    if let Some(lack) = lack(&description, machine.as_ref(), &image, &scenario)? {
        return Err(CliError::Usage(format!("{} cannot run {scenario}: {lack}", machine.name())));
    }
    drop(machine);
    let (timeout, wait) = (args.timeout, args.wait);
    let (report, code) = within(timeout + 2 * GRACE, move |clock| {
        debugged(&description, &image, &scenario, timeout, Debugger::new(listener, wait), clock)
    })?;
    conclude(&report, given)?;
    Ok(code)
}

/// Runs a scenario whose guest gdb looks at; its report, and the exit code that gdb is told.
fn debugged(
    description: &Description,
    image: &Image,
    scenario: &Scenario,
    timeout: Duration,
    debugger: Debugger,
    clock: &Clock,
) -> Result<(Report, u8), CliError> {
    let machine = description.machine()?;
    let debugger = RefCell::new(debugger);
    let failed = RefCell::new(None);
    let behaviour = description.behaviour();
    let mut runner = Runner::new(machine.as_ref(), behaviour.map(str::to_owned), timeout);
    let destination = machine.as_ref();
    runner.to_process = Some(Box::new(move |guest, image, request| {
        // Another process is out of gdb's reach.
        migrate_in_memory(destination, behaviour, guest, image, request)
    }));
    let plan = scenario.plan;
    runner.on_stopped = Some(Box::new(|at, session| {
        if is_shown(at, plan)
            && let Err(error) = clock.stopped(|| show(at, session, scenario, &debugger))
        {
            failed.borrow_mut().get_or_insert(error);
        }
    }));
    runner.frames = Frames::OfAll;
    let mut report = runner.run(image, scenario);
    drop(runner);
    if let Some(error) = failed.into_inner() {
        return Err(CliError::Usage(error));
    }
    if !description.quirks().may_skip {
        report.deny_skip();
    }
    let code = Totals::of([&report]).exit_code();
    let ended = clock.stopped(|| debugger.borrow_mut().ended(code));
    ended.map_err(|error| CliError::Usage(error.to_string()))?;
    Ok((report, code))
}

/// Whether gdb is shown the guest there: where its delivery is cut, and before it is judged. A guest that nothing cuts
/// is shown when it is armed.
fn is_shown(at: StoppedAt, plan: Plan) -> bool {
    let cuts = match plan {
        Plan::Cut(stop, _) => stop.stands_still(),
        Plan::Cold | Plan::None => false,
    };
    match at {
        StoppedAt::Armed => !cuts,
        StoppedAt::Cut => cuts,
        StoppedAt::Done => true,
    }
}

/// Shows the guest to gdb until it continues. Fails with a sentence.
fn show(
    at: StoppedAt,
    session: &mut Session<'_>,
    scenario: &Scenario,
    debugger: &RefCell<Debugger>,
) -> Result<(), String> {
    let said = said(at, session, scenario).map_err(|error| error.to_string())?;
    let guest = StoppedGuest::of(session, said).map_err(|error| error.to_string())?;
    let mut debugger = debugger.borrow_mut();
    let mut errors = stderr().lock();
    for line in guest.said() {
        let _ = writeln!(errors, "midflight: {line}");
    }
    if at != StoppedAt::Done {
        let _ = writeln!(errors, "midflight: gdb -ex 'target remote {debugger}'");
    }
    drop(errors);
    debugger.stopped(guest).map_err(|error| error.to_string())
}

/// What is known of the guest.
fn said(at: StoppedAt, session: &mut Session<'_>, scenario: &Scenario) -> Result<Vec<String>, vm::VcpuError> {
    let image: &Image = session.image();
    let rip = image.describe_address(session.vcpu.regs()?.rip);
    let state = match at {
        StoppedAt::Armed => "armed",
        StoppedAt::Cut => "stopped in the delivery",
        StoppedAt::Done => "judged",
    };
    let mut said = vec![format!("{scenario}: {state} at {rip}")];
    match at {
        StoppedAt::Armed => {}
        StoppedAt::Cut => {
            said.push(format!("the queue at the cut: {}", ShownQueue::from(&session.vcpu.events()?)));
        }
        StoppedAt::Done => said.push("continue ends the scenario".to_owned()),
    }
    Ok(said)
}

fn conclude(report: &Report, given: &Given) -> std::io::Result<()> {
    let mut output = stdout().lock();
    for frame in report.frames.iter().filter_map(|line| PrintedFrame::read(line)) {
        writeln!(output, "frame        of delivery {}, {}", frame.number, frame.mode)?;
        for (name, value) in &frame.words {
            let address = |value| format!("{value:#x}");
            writeln!(output, "  {name:10} {}", frame.in_words(name, *value, address))?;
        }
    }
    let again = Some(given.command("debug", &[report.scenario.to_string()], &[]));
    let report = Report { again, ..report.clone() };
    match report.outcome {
        Outcome::Pass => writeln!(output, "PASS: {} on {}", report.scenario, report.machine),
        Outcome::Fail | Outcome::Error | Outcome::Skip | Outcome::Known => {
            human::one(&mut output, &report, false)
        }
    }
}
