//! A guest that goes on in another VM, another process, or nowhere.

use crate::case_script::CaseScript;
use crate::fake::{Scripted, State, Step};
use crate::{Conditions, Row, after, check, images};
use midflight::engine::runner::Runner;
use midflight::migration::{Migrated, MigrationError};
use midflight::report::outcome::Outcome::{Error, Fail, Pass};
use midflight::report::outcome::Report;
use midflight::report::words::reason;
use midflight::scenario::Scenario;
use midflight::session::devices::DevicesState;
use std::time::Duration;
use vm::{Machine, VmConfig, VmKind};

const MIGRATES: &str = "pf/read-unmapped:fred:block@frame:migrate";

fn cut_and_done(of: &CaseScript<'_>, done: Step) -> Vec<Step> {
    after(of, [of.blocked(), of.blocked(), done])
}

#[test]
fn a_guest_that_migrates_is_the_one_that_was_saved() {
    let kept = [Row {
        name: "its registers and its event arrive in another VM",
        id: MIGRATES,
        script: |of| {
            let act = of.case.act;
            let arrived = move |state: &State| {
                state.regs.rip == act && state.events.exception.injected == 1 && state.runs == 1
            };
            cut_and_done(of, of.passed().only_if(arrived))
        },
        outcome: Pass,
        words: "",
    }];
    check(&kept, &Conditions::default());
    let drops = Conditions { fresh: |state| state.drops_cr2 = true, ..Conditions::default() };
    let dropped = [
        Row {
            name: "a register reads back otherwise",
            id: MIGRATES,
            script: |of| cut_and_done(of, of.passed()),
            outcome: Fail,
            words: "the restored guest is not the saved one: CR2: 0x1 was saved, 0x0 read back",
        },
        Row {
            name: "a register reads back otherwise, and no cut is proved",
            id: "pf/read-unmapped:fred:block@frame:migrate+again=1",
            script: |of| {
                after(of, [of.blocked(), of.blocked(), of.blocked().with(of.entered()), of.passed()])
            },
            outcome: Error,
            words: "the page refused access only after a handler was entered",
        },
    ];
    check(&dropped, &drops);
}

const TO_PROCESS: &str = "pf/read-unmapped:fred:block@frame:migrate-process";

fn cut(of: &CaseScript<'_>) -> Vec<Step> {
    after(of, [of.blocked(), of.blocked()])
}

#[test]
fn another_process_answers_about_this_guest() {
    let answers: [(&str, crate::Answers, _, &str); 5] = [
        (
            "it judges the guest",
            |guest| {
                // What the uAPI cannot carry is known before the guest leaves.
                assert!(guest.report.event_data_open || !guest.report.losses.is_empty());
                Ok(Migrated::Judged(guest.report.clone().concluded(Pass, None)))
            },
            Pass,
            "",
        ),
        (
            "it judges a guest whose cut was not proved",
            |guest| {
                let mut report = guest.report.clone().concluded(Pass, None);
                report.cut = None;
                Ok(Migrated::Judged(report))
            },
            Error,
            "the guest says pass and no cut was proved",
        ),
        (
            "it judges another guest",
            |guest| {
                let mut report = guest.report.clone().concluded(Pass, None);
                report.scenario.case = "read-ring3".to_owned();
                Ok(Migrated::Judged(report))
            },
            Error,
            "the destination answers about pf/read-ring3:fred:block@frame:migrate-process",
        ),
        (
            "it does not answer",
            |_| Err(MigrationError::Late),
            Error,
            "timeout: the other side of the migration did not answer in time",
        ),
        ("it saves the guest", |_| Ok(Migrated::Saved), Error, ""),
    ];
    for (name, answer, outcome, words) in answers {
        let conditions = Conditions { to_process: Some(answer), ..Conditions::default() };
        check(&[Row { name, id: TO_PROCESS, script: cut, outcome, words }], &conditions);
    }
    let nowhere = [Row {
        name: "there is none",
        id: TO_PROCESS,
        script: cut,
        outcome: Error,
        words: "this run has no other process to migrate the guest to",
    }];
    check(&nowhere, &Conditions::default());
}

#[test]
fn a_guest_that_comes_back_goes_on_here() {
    let back = Conditions {
        to_process: Some(|guest| Ok(Migrated::Returned(guest.clone()))),
        ..Conditions::default()
    };
    const AGAIN: &str = "pf/read-unmapped:fred:block@frame:migrate-process+again=1";
    // The second time it is to be judged there, and comes back all the same.
    let rows = [Row {
        name: "and is cut again",
        id: AGAIN,
        script: |of| {
            let here = |step: Step| step.only_if(|state| state.runs == 1);
            after(of, [of.blocked(), of.blocked(), here(of.blocked()), here(of.passed())])
        },
        outcome: Pass,
        words: "",
    }];
    check(&rows, &back);
    let drops = Conditions { fresh: |state| state.drops_cr2 = true, ..back };
    let rows = [Row {
        name: "a register reads back otherwise",
        id: AGAIN,
        script: |of| after(of, [of.blocked(), of.blocked(), of.blocked(), of.passed()]),
        outcome: Fail,
        words: "the restored guest is not the saved one: CR2",
    }];
    check(&rows, &drops);
}

/// What is not run at all.
#[test]
fn a_guest_that_is_none_is_an_error() {
    let Some(images) = images() else { return };
    let image = images.iter().find(|image| image.name == "pf").unwrap();
    let machine = Scripted::new(Vec::new());
    let mut runner = Runner::new(&machine, None, Duration::from_secs(600));
    let unknown: Scenario = "pf/no-such:fred:none".parse().unwrap();
    let known: Scenario = "pf/read-unmapped:fred:none".parse().unwrap();
    let config = VmConfig {
        memory_size: midflight::image::MEMORY_SIZE,
        cpuid: machine.cpuid().to_vec(),
        exception_payload: true,
        kind: VmKind::Plain,
    };
    let overfull = DevicesState { serial_input: vec![0; 65], ..DevicesState::default() };
    let mut finish = |scenario: &Scenario, devices: &DevicesState| {
        let report = Report::new(scenario, "scripted", None).concluded(Pass, None);
        runner.finish(image, scenario, machine.create(&config).unwrap(), devices, report)
    };
    let reports = [
        (finish(&unknown, &DevicesState::default()), "image pf has no case no-such"),
        (finish(&known, &overfull), "65 bytes of serial input, at most 64 are allowed"),
        (finish(&known, &DevicesState::default()), "KVM_RUN returned the exit reason 3661"),
    ];
    let run = (runner.run(image, &unknown), "image pf has no case no-such");
    for (number, (report, words)) in reports.into_iter().chain([run]).enumerate() {
        let expected = if number == 2 { Fail } else { Error };
        let seen = reason(&report).unwrap_or_default();
        assert!(report.outcome == expected && seen.contains(words), "{number}: {:?}, {seen}", report.outcome);
    }
}
