//! `io`: an instruction that waited for its input leaves its event in the queue.

use crate::case_script::{CaseScript, completed, injected, input, pending};
use crate::fake::Step;
use crate::{Conditions, Row, after, check};
use fred::event::vector;
use kvm_bindings::kvm_vcpu_events;
use midflight::report::outcome::Outcome::{Error, Fail, Pass};
use vm::{Exit, RunMode};

/// The act has read its port, and the host has completed the instruction with this in the queue.
fn read(of: &CaseScript<'_>, events: kvm_vcpu_events) -> [Step; 2] {
    let after_act = of.case.after;
    let done = completed().only_if(|state| state.io_data == [0xA5]).with(move |state| {
        state.events = events;
        state.regs.rip = after_act;
    });
    [input(), done]
}

fn io<const N: usize>(of: &CaseScript<'_>, read: [Step; 2], steps: [Step; N]) -> Vec<Step> {
    let mut all = after(of, read);
    all.extend(steps);
    all
}

const IO: &str = "db/step-over-in:fred:io:resume";

#[test]
fn an_instruction_that_waited_for_io_leaves_its_event_in_the_queue() {
    let rows = [
        Row {
            name: "pending",
            id: IO,
            script: |of| io(of, read(of, pending(vector::DB)), [of.passed()]),
            outcome: Pass,
            words: "",
        },
        Row {
            name: "injected",
            id: IO,
            script: |of| io(of, read(of, injected(vector::DB)), [of.passed()]),
            outcome: Pass,
            words: "",
        },
        Row {
            name: "nothing",
            id: IO,
            script: |of| io(of, read(of, kvm_vcpu_events::default()), [of.passed()]),
            outcome: Error,
            words: "the delivery was not cut: the input was completed and the queue shows no event",
        },
        Row {
            name: "a handler was entered",
            id: IO,
            script: |of| {
                let [input, done] = read(of, pending(vector::DB));
                io(of, [input, done.with(of.entered())], [of.passed()])
            },
            outcome: Error,
            words: "the delivery was not cut: the input was completed and the queue shows no event",
        },
        Row {
            name: "another instruction reads the port",
            id: IO,
            script: |of| after(of, [input().with(|state| state.regs.rip += 1), of.passed()]),
            outcome: Error,
            words: "the delivery was not cut: the input was read at db.step-over-in.last",
        },
        Row {
            name: "the act reads no port",
            id: IO,
            script: |of| after(of, [of.passed()]),
            outcome: Error,
            words: "the delivery was not cut: the case ended without meeting the stop",
        },
        Row {
            name: "the guest runs although it is only to be completed",
            id: IO,
            script: |of| {
                let ran = Step::returns(Exit::Halt).entered(|mode| mode == RunMode::ImmediateExit);
                after(of, [input(), ran])
            },
            outcome: Fail,
            words: "the guest came to a HLT",
        },
        Row {
            name: "and its entry abandoned, the same",
            id: "db/step-over-in:fred:io:again=1",
            script: |of| io(of, read(of, pending(vector::DB)), [of.abandoned(), of.passed()]),
            outcome: Pass,
            words: "",
        },
        Row {
            name: "and its entry abandoned, another RIP",
            id: "db/step-over-in:fred:io:again=1",
            script: |of| {
                let moved = of.abandoned().with(|state| state.regs.rip += 2);
                io(of, read(of, pending(vector::DB)), [moved])
            },
            outcome: Fail,
            words: "the event in flight changed at the second KVM_RUN",
        },
    ];
    check(&rows, &Conditions::default());
}
