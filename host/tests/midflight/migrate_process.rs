//! Guests that continue in another process: the action `migrate-process`.

use crate::binary::{directory, image};
use crate::this_host;
use kvm::{DEVICE, KvmMachine};
use midflight::engine::runner::Runner;
use midflight::machines::Description;
use midflight::machines::kvm::Kvm;
use midflight::machines::model::Model;
use midflight::migration::Task;
use midflight::migration::process::{Destination, OtherProcess};
use midflight::report::outcome::{Outcome, Report};
use midflight::report::words::reason;
use midflight::scenario::Scenario;
use model::ModelMachine;
use model::hypervisor::behaviour::{Behaviour, CORRECT, by_name};
use protocol::field::Field;
use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::time::{Duration, Instant};
use vm::Machine;
use vm::state::Loss;

/// How often a guest returned, and how often it stayed.
type Moves = [u32; 2];

fn model(behaviour: &str) -> Description {
    Description::Model(Model::named(Some(behaviour)).unwrap())
}

/// This program, with the machine of a description.
fn here(machine: &Description) -> Destination {
    Destination { program: env!("CARGO_BIN_EXE_midflight").into(), ..Destination::of(machine) }
}

/// Another program, which knows nothing of guests.
fn other(program: &str, arguments: &[&str]) -> Destination {
    let arguments = arguments.iter().map(|argument| (*argument).into()).collect();
    Destination { program: program.into(), arguments, machine: model("stock") }
}

/// Runs a scenario whose guest leaves for `destination`.
fn run(
    machine: &dyn Machine,
    behaviour: Option<&Behaviour>,
    destination: &Destination,
    timeout: Duration,
    id: &str,
) -> Option<(Report, Moves)> {
    let scenario: Scenario = id.parse().unwrap();
    let image = image(&scenario.image)?;
    let (back, stayed) = (Cell::new(0), Cell::new(0));
    let other = RefCell::new(OtherProcess::new(destination.clone()));
    let mut runner = Runner::new(machine, behaviour.map(|behaviour| behaviour.name.to_owned()), timeout);
    runner.storm.cuts = 3;
    runner.to_process = Some(Box::new(|guest, image, request| {
        let count = if request.task == Task::Return { &back } else { &stayed };
        count.set(count.get() + 1);
        other.borrow_mut().migrate(guest, image, request)
    }));
    let report = runner.run(&image, &scenario);
    drop(runner);
    Some((report, [back.get(), stayed.get()]))
}

const TIMEOUT: Duration = Duration::from_secs(20);

fn on_model(behaviour: &'static Behaviour, id: &str) -> Option<(Report, Moves)> {
    let destination = here(&model(behaviour.name));
    run(&ModelMachine::new(behaviour), Some(behaviour), &destination, TIMEOUT, id)
}

fn on_kvm(machine: &KvmMachine, id: &str) -> Option<(Report, Moves)> {
    let destination = here(&Description::Kvm(Kvm { device: DEVICE.into() }));
    run(machine, None, &destination, TIMEOUT, id)
}

#[track_caller]
fn passes(report: &Report) {
    assert_eq!((report.outcome, reason(report)), (Outcome::Pass, None), "{}", report.scenario);
}

/// The run ended in an error whose reason has these words.
#[track_caller]
fn is_error(report: &Report, words: &str) {
    assert_eq!(report.outcome, Outcome::Error);
    assert!(reason(report).unwrap().contains(words), "{:?}", reason(report));
}

#[test]
fn a_cut_guest_is_judged_in_another_process() {
    for id in [
        "pf/read-unmapped:fred:block@frame:migrate-process+disturb",
        "db/single-step:fred:block@frame:migrate-process",
        "pf/read-unmapped:idt:nopayload:cancel:migrate-process",
    ] {
        let Some((report, _)) = on_model(&CORRECT, id) else { return };
        passes(&report);
        assert!(report.compared > 0 && report.cut.is_some(), "{id}: {report:#?}");
    }
}

#[test]
fn event_data_that_the_uapi_lost_is_noticed_there() {
    let id = "pf/read-unmapped:fred:block@frame:migrate-process+disturb";
    let Some((report, _)) = on_model(by_name("kernel-only-event-data").unwrap(), id) else { return };
    assert_eq!(report.outcome, Outcome::Fail);
    assert!(report.differences[0].field.of_judge() == Some(Field::EventData), "{report:#?}");
    assert!(report.losses.contains(&Loss::EventData), "{:?}", report.losses);
}

/// Stopped again, in a storm, and at a second access: with registers rewritten where they may be.
const THERE_AND_BACK: [(&str, Moves); 4] = [
    ("pf/read-unmapped:fred:block@frame:migrate-process+disturb+again=3", [3, 1]),
    ("db/single-step:fred:block@frame:migrate-process+again=2", [2, 1]),
    ("pf/read-unmapped:fred:storm=7:migrate-process+disturb", [3, 0]),
    ("pf/read-unmapped:fred:access@3,2:migrate-process+disturb", [1, 0]),
];

#[test]
fn a_guest_comes_back_to_be_stopped_again() {
    for (id, moves) in THERE_AND_BACK {
        let Some((report, moved)) = on_model(&CORRECT, id) else { return };
        passes(&report);
        assert_eq!(moved, moves, "{id}");
    }
}

#[test]
fn one_process_receives_guest_after_guest() {
    let started = directory("one-process").join("started");
    let counted = ["-c", "echo >> \"$0\"; exec \"$1\" destination"].map(OsString::from);
    let named = [started.clone().into_os_string(), OsString::from(env!("CARGO_BIN_EXE_midflight"))];
    let arguments = counted.into_iter().chain(named).collect();
    let destination = Destination { program: "/bin/sh".into(), arguments, machine: model(CORRECT.name) };
    let (id, moves) = THERE_AND_BACK[0];
    let machine = ModelMachine::new(&CORRECT);
    let Some((report, moved)) = run(&machine, Some(&CORRECT), &destination, TIMEOUT, id) else { return };
    passes(&report);
    assert_eq!((moved, std::fs::read(started).unwrap().len()), (moves, 1));
}

#[test]
fn what_is_lost_there_is_noticed_when_the_guest_is_back() {
    // A storm meets the event while it is pending: its payload travels even so.
    for (id, _) in THERE_AND_BACK.iter().filter(|(id, _)| id.starts_with("pf") && !id.contains("storm")) {
        let flawed = by_name("kernel-only-event-data").unwrap();
        let Some((report, [back, _])) = on_model(flawed, id) else { return };
        assert_eq!(report.outcome, Outcome::Fail, "{id}: {report:#?}");
        assert!(report.differences[0].field.of_judge() == Some(Field::EventData), "{id}: {report:#?}");
        assert!(back > 0, "{id}");
    }
}

#[test]
fn kvm_guests_move_between_processes_and_come_back() {
    let Some(machine) = this_host::kvm() else { return };
    for (id, moves) in [
        ("pf/read-unmapped:idt:cancel:migrate-process", [0, 1]),
        ("pf/read-unmapped:idt:cancel:migrate-process+disturb", [0, 1]),
        ("pf/read-unmapped:idt:cancel:migrate-process+disturb+again=2", [2, 1]),
        ("pf/read-unmapped:idt:storm=1:migrate-process", [3, 0]),
    ] {
        let Some((report, moved)) = on_kvm(&machine, id) else { return };
        passes(&report);
        assert_eq!(moved, moves, "{id}");
    }
}

/// Of the model.
const CUT: &str = "pf/read-unmapped:fred:block@frame:migrate-process";

#[test]
fn a_destination_that_does_not_answer_is_killed_in_time() {
    let (machine, silent) = (ModelMachine::new(&CORRECT), other("/bin/sleep", &["60"]));
    let start = Instant::now();
    let Some((report, _)) = run(&machine, None, &silent, Duration::from_secs(1), CUT) else { return };
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    assert_eq!(report.outcome, Outcome::Error);
    assert!(reason(&report).unwrap().starts_with("timeout"), "{:?}", reason(&report));
}

#[test]
fn a_destination_that_dies_or_answers_something_else_is_an_error_that_says_so() {
    for (destination, sentence) in [
        (other("/bin/sh", &["-c", "kill -9 $$"]), "signal: 9"),
        (other("/bin/sh", &["-c", "exit 3"]), "exit status: 3"),
        (other("/bin/echo", &["welcome"]), "broke the protocol"),
    ] {
        let machine = ModelMachine::new(&CORRECT);
        let Some((report, _)) = run(&machine, None, &destination, TIMEOUT, CUT) else { return };
        is_error(&report, sentence);
    }
}

#[test]
fn another_machine_refuses_the_guest() {
    let (Some(machine), destination) = (this_host::kvm(), here(&model("payload-reuse"))) else { return };
    let id = "pf/read-unmapped:idt:cancel:migrate-process";
    let Some((report, _)) = run(&machine, None, &destination, TIMEOUT, id) else { return };
    is_error(&report, "cut on kvm");
}
