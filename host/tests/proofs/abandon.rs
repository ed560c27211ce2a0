//! `abandon`: an entry is abandoned with an event in the queue that the processor has met.

use crate::case_script::{CaseScript, injected};
use crate::fake::Step;
use crate::{Conditions, Row, after, check};
use fred::event::vector;
use kvm_bindings::kvm_vcpu_events;
use midflight::report::outcome::Outcome::{Error, Fail, Pass};
use vm::{Exit, RunMode};

/// The page has refused the delivery with this in the queue, and is open again; then these.
fn refused_first<const N: usize>(
    of: &CaseScript<'_>,
    events: kvm_vcpu_events,
    steps: [Step; N],
) -> Vec<Step> {
    let mut all = after(of, [of.blocked().with(move |state| state.events = events)]);
    all.extend(steps);
    all
}

/// The entry is abandoned, and nothing of the guest has changed.
fn left_alone() -> Step {
    Step::returns(Exit::Interrupted)
        .entered(|mode| mode == RunMode::SignalPending)
        .only_if(|state| state.page.is_none())
}

#[test]
fn an_abandoned_entry_leaves_an_event_that_the_processor_has_met() {
    const ABANDON: &str = "soft/int3:fred:abandon:resume";
    const AGAIN: &str = "soft/int3:fred:abandon:again=1";
    let rows = [
        Row {
            name: "in the queue",
            id: ABANDON,
            script: |of| refused_first(of, injected(vector::PF), [left_alone(), of.passed()]),
            outcome: Pass,
            words: "",
        },
        Row {
            name: "not shown by the queue",
            id: ABANDON,
            script: |of| refused_first(of, kvm_vcpu_events::default(), [left_alone(), of.passed()]),
            outcome: Pass,
            words: "",
        },
        Row {
            name: "not refused at the act",
            id: ABANDON,
            script: |of| {
                let refused = of.blocked().with(|state| {
                    state.events = kvm_vcpu_events::default();
                    state.regs.rip += 9;
                });
                after(of, [refused, of.passed()])
            },
            outcome: Error,
            words: "the delivery was not cut: the queue is empty and RIP is at",
        },
        Row {
            name: "gone",
            id: ABANDON,
            script: |of| {
                let gone = left_alone().with(|state| state.events = kvm_vcpu_events::default());
                refused_first(of, injected(vector::PF), [gone])
            },
            outcome: Fail,
            words: "the event in flight changed at the second KVM_RUN, to nothing shown",
        },
        Row {
            name: "at another RIP",
            id: ABANDON,
            script: |of| {
                let moved = left_alone().with(|state| state.regs.rip += 1);
                refused_first(of, kvm_vcpu_events::default(), [moved])
            },
            outcome: Fail,
            words: "the event in flight changed at the second KVM_RUN",
        },
        Row {
            name: "delivered in spite of the signal",
            id: ABANDON,
            script: |of| {
                refused_first(of, injected(vector::PF), [left_alone().with(of.entered()), of.passed()])
            },
            outcome: Error,
            words: "the delivery was not cut: the entry was abandoned only after a handler was entered",
        },
        Row {
            name: "refused once more, though the page is open",
            id: ABANDON,
            script: |of| {
                let fault = Step::returns(Exit::Fault { gpa: None });
                let fault = fault.entered(|mode| mode == RunMode::SignalPending);
                refused_first(of, injected(vector::PF), [fault])
            },
            outcome: Fail,
            words: "KVM_RUN failed with EFAULT",
        },
        Row {
            name: "again, the same",
            id: AGAIN,
            script: |of| refused_first(of, injected(vector::PF), [left_alone(), left_alone(), of.passed()]),
            outcome: Pass,
            words: "",
        },
        Row {
            name: "again, another vector",
            id: AGAIN,
            script: |of| {
                let other = left_alone().with(|state| state.events = injected(vector::UD));
                refused_first(of, injected(vector::PF), [left_alone(), other])
            },
            outcome: Fail,
            words: "the event in flight changed at the second KVM_RUN, to #UD (6)",
        },
    ];
    check(&rows, &Conditions::default());
}
