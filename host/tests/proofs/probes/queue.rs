//! An entry must be abandoned, and an input completed alone.

use super::{INPUT, Probe, SILENT, check, delivered, immediate, measured, pending_signal};
use crate::case_script::{injected, pending};
use crate::fake::{State, Step};
use fred::event::vector;
use kvm_bindings::kvm_vcpu_events;
use vm::Exit;

/// The #PF that the host has queued, with a payload or as injected.
fn abandoned(events: kvm_vcpu_events) -> Step {
    pending_signal(Step::returns(Exit::Interrupted))
        .only_if(|state| {
            let queued = &state.events;
            queued.exception.nr == vector::PF
                && (queued.exception.pending, queued.exception_has_payload) == (1, 1)
        })
        .with(move |state| state.events = events)
}

#[test]
fn an_entry_must_be_abandoned() {
    let probes = [
        Probe {
            name: "with the event injected",
            stop: "cancel",
            script: || measured([abandoned(injected(vector::PF))]),
            answer: "works",
        },
        Probe {
            name: "an event that is lost the scenarios find",
            stop: "cancel",
            script: || measured([abandoned(kvm_vcpu_events::default())]),
            answer: "works",
        },
        Probe {
            name: "with the event still pending",
            stop: "cancel",
            script: || measured([abandoned(pending(vector::PF))]),
            answer: "the #PF was left pending when an entry with a signal pending was to be cancelled",
        },
        Probe {
            name: "the event is delivered",
            stop: "cancel",
            script: || measured([pending_signal(delivered())]),
            answer: SILENT,
        },
        Probe {
            name: "a triple fault",
            stop: "cancel",
            script: || measured([pending_signal(Step::returns(Exit::Shutdown))]),
            answer: "the #PF became a triple fault when an entry with a signal pending was to be cancelled",
        },
    ];
    check(&probes, true, |_| {});
    let refused = |call| {
        move || {
            [Probe {
                name: "the queue takes no exception",
                stop: "cancel",
                script: || measured([]),
                answer: call,
            }]
        }
    };
    let answer = "an exception cannot be put in the queue: KVM_SET_VCPU_EVENTS failed: no (errno 22)";
    check(&refused(answer)(), true, |state| state.fails = Some("KVM_SET_VCPU_EVENTS"));
    let as_injected = [Probe {
        name: "as injected, without the payload capability",
        stop: "cancel",
        script: || {
            let queued = |state: &State| state.events.exception.injected == 1;
            measured([pending_signal(Step::returns(Exit::Interrupted)).only_if(queued)])
        },
        answer: "works",
    }];
    check(&as_injected, false, |_| {});
}

/// IN, and its completion with this in the queue.
fn read(events: kvm_vcpu_events) -> [Step; 2] {
    let completed = immediate(Step::returns(Exit::Interrupted)).only_if(|state| state.io_data == [0xA5]);
    [
        Step::returns(Exit::IoIn { port: INPUT, size: 1, count: 1 }),
        completed.with(move |state| state.events = events),
    ]
}

#[test]
fn an_input_must_be_completed_alone() {
    let probes = [
        Probe {
            name: "with the event pending",
            stop: "io",
            script: || measured(read(pending(vector::DB))),
            answer: "works",
        },
        Probe {
            name: "with the event injected",
            stop: "io",
            script: || measured(read(injected(vector::DB))),
            answer: "works",
        },
        Probe {
            name: "with the event raised by the next entry",
            stop: "io",
            script: || {
                let [input, completed] = read(kvm_vcpu_events::default());
                measured([input, completed, delivered()])
            },
            answer: "the #DB is only raised by the next entry, not when the IN was to be completed alone",
        },
        Probe {
            name: "an event that is lost the scenarios find",
            stop: "io",
            script: || {
                let [input, completed] = read(kvm_vcpu_events::default());
                measured([input, completed, Step::returns(Exit::Deadline)])
            },
            answer: "works",
        },
        Probe {
            name: "the event is delivered",
            stop: "io",
            script: || {
                let [input, _] = read(kvm_vcpu_events::default());
                measured([input, immediate(delivered())])
            },
            answer: SILENT,
        },
        Probe {
            name: "a triple fault",
            stop: "io",
            script: || {
                let [input, _] = read(kvm_vcpu_events::default());
                measured([input, immediate(Step::returns(Exit::Shutdown))])
            },
            answer: "the #DB became a triple fault when the IN was to be completed alone",
        },
        Probe {
            name: "no input",
            stop: "io",
            script: || measured([delivered()]),
            answer: "the #DB was delivered at an IN under TF",
        },
    ];
    check(&probes, true, |_| {});
}
