//! Signals that meet an event: `storm`.

use crate::case_script::{CaseScript, DISTURBANCES_AT, input, pending, ring, signalled};
use crate::fake::{State, Step};
use crate::{Conditions, Row, check, run};
use fred::event::vector;
use midflight::image::Place;
use midflight::report::outcome::Outcome::{Error, Fail, Pass};
use midflight::stops::storm::StormBounds;
use protocol::doorbell::Doorbell;
use protocol::field::Field;
use protocol::mailbox::{Mismatch, Verdict};
use std::time::Duration;
use vm::{Exit, RunMode};

const ID: &str = "pf/read-unmapped:fred:storm:resume";

fn after<const N: usize>(of: &CaseScript<'_>, steps: [Step; N]) -> Vec<Step> {
    let mut all = of.begun();
    all.extend(steps);
    all
}

/// A signal that meets the event in flight.
fn met(of: &CaseScript<'_>) -> Step {
    let pages = Place::ALL.map(|place| of.image.pages.at(place));
    let taken = move |state: &State| pages.iter().all(|page| state.evicted.contains(page));
    signalled().only_if(taken).with(of.in_flight())
}

/// A case that fails by one field, and not in words.
fn differs(of: &CaseScript<'_>) -> Step {
    of.judged(|mailbox| {
        (mailbox.verdict, mailbox.mismatch_count) = (Verdict::Fail as u32, 1);
        mailbox.mismatches[0] = Mismatch { field: Field::Rip as u32, delivery: 0, expected: 1, got: 2 };
    })
}

#[test]
fn a_signal_counts_only_where_it_meets_the_event() {
    let rows = [
        Row {
            name: "injected",
            id: ID,
            script: |of| after(of, [met(of), of.passed()]),
            outcome: Pass,
            words: "",
        },
        Row {
            name: "pending",
            id: ID,
            script: |of| {
                after(of, [signalled().with(|state| state.events = pending(vector::PF)), of.passed()])
            },
            outcome: Pass,
            words: "",
        },
        Row {
            name: "on its way, and then injected",
            id: ID,
            script: |of| {
                let on_its_way = signalled().with(|state| state.regs.rip += 1);
                after(of, [on_its_way, input(), met(of), of.passed()])
            },
            outcome: Pass,
            words: "",
        },
        Row {
            name: "once the OUT of Armed is completed",
            id: ID,
            script: |of| {
                let completed =
                    Step::returns(Exit::Interrupted).entered(|mode| mode == RunMode::ImmediateExit);
                after(of, [completed, met(of), of.passed()])
            },
            outcome: Pass,
            words: "",
        },
        Row {
            name: "a handler was entered, and another event is in flight",
            id: ID,
            script: |of| {
                let late = met(of).with(of.entered());
                after(of, [late, of.passed(), of.armed(), met(of), of.passed()])
            },
            outcome: Pass,
            words: "",
        },
        Row {
            name: "the guest is done before the signal",
            id: ID,
            script: |of| after(of, [of.passed(), of.armed(), met(of), of.passed()]),
            outcome: Pass,
            words: "",
        },
        Row {
            name: "a run that no signal has met fails",
            id: ID,
            script: |of| after(of, [differs(of)]),
            outcome: Fail,
            words: "in run 1 of the storm",
        },
        Row {
            name: "the run that was cut fails",
            id: ID,
            script: |of| after(of, [of.passed(), of.armed(), met(of), differs(of)]),
            outcome: Fail,
            words: "in run 2 of the storm",
        },
        Row {
            name: "the guest comes to another end at the signal",
            id: ID,
            script: |of| after(of, [Step::returns(Exit::Shutdown)]),
            outcome: Fail,
            words: "the guest was shut down",
        },
        Row {
            name: "the guest rings another doorbell after the cut",
            id: ID,
            script: |of| after(of, [met(of), ring(Doorbell::Armed(of.index))]),
            outcome: Fail,
            words: "the guest rang Armed of case 0 out of turn",
        },
        Row {
            name: "the guest does not arm again",
            id: ID,
            script: |of| after(of, [of.passed(), of.passed()]),
            outcome: Fail,
            words: "the guest rang Done of case 0 out of turn",
        },
    ];
    check(&rows, &Conditions::default());
}

#[test]
fn each_run_begins_undisturbed() {
    let two = Conditions {
        storm: StormBounds { cuts: 2, time: Duration::from_secs(600) },
        ..Conditions::default()
    };
    let rows = [Row {
        name: "the judge of a second cut is told of what was rewritten there",
        id: "pf/read-unmapped:fred:storm:disturb",
        script: |of| {
            let at = of.image.mailbox + DISTURBANCES_AT;
            let told = move |count| move |state: &State| state.word(at) == count;
            let disturbed = || [met(of).only_if(told(0)), of.passed().only_if(told(3))];
            let mut steps = after(of, disturbed());
            steps.push(of.armed());
            steps.extend(disturbed());
            steps
        },
        outcome: Pass,
        words: "",
    }];
    check(&rows, &two);
}

#[test]
fn a_storm_without_its_cuts_is_no_pass() {
    let no_time =
        Conditions { storm: StormBounds { cuts: 1, time: Duration::ZERO }, ..Conditions::default() };
    let none = [Row {
        name: "no time at all",
        id: ID,
        script: |of| of.begun(),
        outcome: Error,
        words: "the delivery was not cut: 0 of 1 runs were cut in time, 1 were required; no signal ended KVM_RUN \
                before the handler was entered",
    }];
    check(&none, &no_time);
    let still = [
        Row {
            name: "the second signal finds the guest where the first has left it",
            id: ID,
            script: |of| {
                let on_its_way = signalled().with(|state| state.regs.rip += 1);
                after(of, [on_its_way, signalled(), Step::returns(Exit::Deadline)])
            },
            outcome: Error,
            words: "2 signals ended KVM_RUN before the handler, 1 of them with the guest where the one before had left it",
        },
        Row {
            name: "signals that wait twice as long each time keep the guest where it is, so that it runs on without",
            id: ID,
            script: |of| {
                let mut steps = of.begun();
                // From a microsecond to the 60 seconds that there are.
                steps.extend((0..27).map(|_| signalled()));
                steps.extend([of.passed(), of.armed(), Step::returns(Exit::Deadline)]);
                steps
            },
            outcome: Error,
            words: "0 of 2 runs were cut in time, 1 were required; 27 signals ended KVM_RUN before the handler, 27 of them with the \
                    guest where the one before had left it",
        },
    ];
    check(&still, &Conditions::default());
    let two = Conditions {
        storm: StormBounds { cuts: 2, time: Duration::from_secs(600) },
        ..Conditions::default()
    };
    let one = [Row {
        name: "one of two, when its time is over",
        id: ID,
        script: |of| after(of, [met(of), of.passed(), of.armed(), Step::returns(Exit::Deadline)]),
        outcome: Error,
        words: "the delivery was not cut: 1 of 2 runs were cut in time, 2 were required; 1 signals ended KVM_RUN before \
                the handler, 0 of them with the guest where the one before had left it; the last found it at \
                pf.read-unmapped.act",
    }];
    check(&one, &two);
    let [Row { id, script, .. }] = one;
    let cut = run(id, script, &two).and_then(|(report, _)| report.cut);
    assert_eq!(cut, None, "what was not cut often enough is shown as not cut");
}
