//! Guests that continue in another process: the action `migrate-process`.

use crate::this_host;
use kvm::DEVICE;
use midflight::engine::runner::Runner;
use midflight::image::Image;
use midflight::images::EMBEDDED;
use midflight::machines::Description;
use midflight::machines::kvm::Kvm;
use midflight::machines::model::Model;
use midflight::migration::Task;
use midflight::migration::process::{Destination, migrate_to_process};
use midflight::report::outcome::{Outcome, Report};
use midflight::report::words::reason;
use midflight::scenario::Scenario;
use model::ModelMachine;
use model::hypervisor::behaviour::{Behaviour, CORRECT, by_name};
use protocol::field::Field;
use std::cell::Cell;
use std::time::{Duration, Instant};
use vm::Machine;
use vm::state::Loss;

fn image(name: &str) -> Option<Image> {
    let Some((_, bytes)) = EMBEDDED.iter().find(|(file, _)| *file == name) else {
        eprintln!("skipped, nothing tested: this build carries no image {name}");
        return None;
    };
    Some(Image::parse(name, bytes).unwrap())
}

fn model(behaviour: &str) -> Description {
    Description::Model(Model::named(Some(behaviour)).unwrap())
}

fn here(mut destination: Destination) -> Destination {
    destination.program = env!("CARGO_BIN_EXE_midflight").into();
    destination
}

fn run(
    machine: &dyn Machine,
    behaviour: Option<&Behaviour>,
    destination: Destination,
    id: &str,
) -> Option<Report> {
    let scenario: Scenario = id.parse().unwrap();
    let image = image(&scenario.image)?;
    let name = behaviour.map(|behaviour| behaviour.name.to_owned());
    let mut runner = Runner::new(machine, name, Duration::from_secs(10));
    runner.to_process =
        Some(Box::new(move |guest, image, request| migrate_to_process(&destination, guest, image, request)));
    Some(runner.run(&image, &scenario))
}

fn on_model(behaviour: &'static Behaviour, id: &str) -> Option<Report> {
    let destination = here(Destination::of(&model(behaviour.name)));
    run(&ModelMachine::new(behaviour), Some(behaviour), destination, id)
}

#[test]
fn a_cut_guest_is_judged_in_another_process() {
    for id in [
        "pf/read-unmapped:fred:block@frame:migrate-process+disturb",
        "db/single-step:fred:block@frame:migrate-process",
        "pf/read-unmapped:idt:nopayload:cancel:migrate-process",
    ] {
        let Some(report) = on_model(&CORRECT, id) else { return };
        assert_eq!((report.outcome, reason(&report)), (Outcome::Pass, None), "{id}");
        assert!(report.compared > 0 && report.cut.is_some(), "{id}: {report:#?}");
    }
}

#[test]
fn event_data_that_the_uapi_lost_is_noticed_there() {
    let id = "pf/read-unmapped:fred:block@frame:migrate-process+disturb";
    let Some(report) = on_model(by_name("kernel-only-event-data").unwrap(), id) else { return };
    assert_eq!(report.outcome, Outcome::Fail);
    assert!(report.differences[0].field.of_judge() == Some(Field::EventData), "{report:#?}");
    assert!(report.losses.contains(&Loss::EventData), "{:?}", report.losses);
}

#[test]
fn kvm_moves_between_processes() {
    let Some(machine) = this_host::kvm() else { return };
    for id in
        ["pf/read-unmapped:idt:cancel:migrate-process", "pf/read-unmapped:idt:cancel:migrate-process+disturb"]
    {
        let destination = here(Destination::of(&Description::Kvm(Kvm { device: DEVICE.into() })));
        let Some(report) = run(&machine, None, destination, id) else { return };
        assert_eq!((report.outcome, reason(&report)), (Outcome::Pass, None), "{id}");
    }
}

/// Runs a scenario whose guest is sent back; counts how often it returned and how often it stayed.
fn there_and_back(
    machine: &dyn Machine,
    behaviour: Option<&Behaviour>,
    destination: &Destination,
    id: &str,
) -> Option<(Report, [u32; 2])> {
    let scenario: Scenario = id.parse().unwrap();
    let image = image(&scenario.image)?;
    let (back, stayed) = (Cell::new(0), Cell::new(0));
    let mut runner =
        Runner::new(machine, behaviour.map(|behaviour| behaviour.name.to_owned()), Duration::from_secs(20));
    runner.storm.cuts = 3;
    runner.to_process = Some(Box::new(|guest, image, request| {
        let count = if request.task == Task::Return { &back } else { &stayed };
        count.set(count.get() + 1);
        migrate_to_process(destination, guest, image, request)
    }));
    let report = runner.run(&image, &scenario);
    drop(runner);
    Some((report, [back.get(), stayed.get()]))
}

/// Stopped again, in a storm, and at a second access: with registers rewritten where they may be.
const THERE_AND_BACK: [(&str, [u32; 2]); 4] = [
    ("pf/read-unmapped:fred:block@frame:migrate-process+disturb+again=3", [3, 1]),
    ("db/single-step:fred:block@frame:migrate-process+again=2", [2, 1]),
    ("pf/read-unmapped:fred:storm=7:migrate-process+disturb", [3, 0]),
    ("pf/read-unmapped:fred:access@3,2:migrate-process+disturb", [1, 0]),
];

#[test]
fn a_guest_comes_back_to_be_stopped_again() {
    for (id, moves) in THERE_AND_BACK {
        let destination = here(Destination::of(&model(CORRECT.name)));
        let machine = ModelMachine::new(&CORRECT);
        let Some((report, moved)) = there_and_back(&machine, Some(&CORRECT), &destination, id) else {
            return;
        };
        assert_eq!((report.outcome, reason(&report)), (Outcome::Pass, None), "{id}");
        assert_eq!(moved, moves, "{id}");
    }
}

#[test]
fn what_is_lost_there_is_noticed_when_the_guest_is_back() {
    let flawed = by_name("kernel-only-event-data").unwrap();
    // A storm meets the event while it is pending: its payload travels even so.
    for (id, _) in THERE_AND_BACK.iter().filter(|(id, _)| id.starts_with("pf") && !id.contains("storm")) {
        let destination = here(Destination::of(&model(flawed.name)));
        let machine = ModelMachine::new(flawed);
        let Some((report, [back, _])) = there_and_back(&machine, Some(flawed), &destination, id) else {
            return;
        };
        assert_eq!(report.outcome, Outcome::Fail, "{id}: {report:#?}");
        assert!(report.differences[0].field.of_judge() == Some(Field::EventData), "{id}: {report:#?}");
        assert!(back > 0, "{id}");
    }
}

#[test]
fn kvm_guests_come_back_too() {
    let Some(machine) = this_host::kvm() else { return };
    for (id, moves) in [
        ("pf/read-unmapped:idt:cancel:migrate-process+disturb+again=2", [2, 1]),
        ("pf/read-unmapped:idt:storm=1:migrate-process", [3, 0]),
    ] {
        let destination = here(Destination::of(&Description::Kvm(Kvm { device: DEVICE.into() })));
        let Some((report, moved)) = there_and_back(&machine, None, &destination, id) else { return };
        assert_eq!((report.outcome, reason(&report)), (Outcome::Pass, None), "{id}");
        assert_eq!(moved, moves, "{id}");
    }
}

#[test]
fn a_destination_that_does_not_answer_is_killed_in_time() {
    let id = "pf/read-unmapped:fred:block@frame:migrate-process";
    let scenario: Scenario = id.parse().unwrap();
    let Some(image) = image("pf") else { return };
    let silent =
        Destination { program: "/bin/sleep".into(), arguments: vec!["60".into()], machine: model("stock") };
    let machine = ModelMachine::new(&CORRECT);
    let mut runner = Runner::new(&machine, None, Duration::from_secs(1));
    runner.to_process =
        Some(Box::new(move |guest, image, request| migrate_to_process(&silent, guest, image, request)));
    let start = Instant::now();
    let report = runner.run(&image, &scenario);
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    assert_eq!(report.outcome, Outcome::Error);
    assert!(reason(&report).unwrap().starts_with("timeout"), "{:?}", reason(&report));
}

#[test]
fn a_destination_that_dies_is_an_error_that_says_so() {
    let id = "pf/read-unmapped:fred:block@frame:migrate-process";
    for (script, sentence) in [("kill -9 $$", "signal: 9"), ("exit 3", "exit status: 3")] {
        let arguments = ["-c".into(), script.into()];
        let dying =
            Destination { program: "/bin/sh".into(), arguments: arguments.into(), machine: model("stock") };
        let Some(report) = run(&ModelMachine::new(&CORRECT), None, dying, id) else { return };
        assert_eq!(report.outcome, Outcome::Error);
        assert!(reason(&report).unwrap().contains(sentence), "{:?}", reason(&report));
    }
}

#[test]
fn a_destination_that_answers_something_else_is_an_error_that_says_so() {
    let id = "pf/read-unmapped:fred:block@frame:migrate-process";
    let talking = Destination {
        program: "/bin/echo".into(),
        arguments: vec!["welcome".into()],
        machine: model("stock"),
    };
    let Some(report) = run(&ModelMachine::new(&CORRECT), None, talking, id) else { return };
    assert_eq!(report.outcome, Outcome::Error);
    assert!(reason(&report).unwrap().contains("broke the protocol"), "{:?}", report.why);
}

#[test]
fn another_machine_refuses_the_guest() {
    let destination = here(Destination::of(&model("payload-reuse")));
    let Some(machine) = this_host::kvm() else { return };
    let Some(report) = run(&machine, None, destination, "pf/read-unmapped:idt:cancel:migrate-process") else {
        return;
    };
    assert_eq!(report.outcome, Outcome::Error);
    assert!(reason(&report).unwrap().contains("cut on kvm"), "{:?}", reason(&report));
}
