//! `cancel`: the host queues an event, and an entry that is abandoned leaves it injected.

use crate::case_script::{CaseScript, completed, injected, pending};
use crate::fake::{State, Step};
use crate::{Conditions, Row, after, check};
use fred::control::rflags;
use fred::event::vector;
use kvm_bindings::kvm_vcpu_events;
use midflight::report::outcome::Outcome::{Error, Fail, Pass};
use vm::{Exit, RunMode};

/// Whether the host has queued the case's event as pending, with its payload.
fn queued(of: &CaseScript<'_>) -> impl FnOnce(&State) -> bool + use<> {
    let cancel = of.case.cancel;
    move |state| {
        cancel.is_some_and(|cancel| {
            let exception = &state.events.exception;
            (exception.nr, exception.pending, exception.injected) == (cancel.vector, 1, 0)
                && (state.events.exception_has_payload, state.events.exception_payload) == (1, cancel.payload)
                && u32::from(exception.has_error_code) == u32::from(cancel.error_code.is_some())
                && exception.error_code == cancel.error_code.unwrap_or(0)
                && state.regs.rip == cancel.rip
                && state.regs.rflags & cancel.rflags == cancel.rflags
        })
    }
}

/// Whether it has queued it as injected, for want of KVM_CAP_EXCEPTION_PAYLOAD, and has written its effects.
fn queued_as_injected(
    of: &CaseScript<'_>,
    effects: fn(&State, u64) -> bool,
) -> impl FnOnce(&State) -> bool + use<> {
    let cancel = of.case.cancel;
    move |state| {
        cancel.is_some_and(|cancel| {
            let exception = &state.events.exception;
            (exception.nr, exception.pending, exception.injected) == (cancel.vector, 0, 1)
                && state.events.exception_has_payload == 0
                && effects(state, cancel.payload)
        })
    }
}

const CANCEL: &str = "pf/read-unmapped:fred:cancel:resume";

#[test]
fn an_abandoned_entry_leaves_the_event_injected() {
    let rows = [
        Row {
            name: "it does",
            id: CANCEL,
            script: |of| after(of, [completed(), of.abandoned().only_if(queued(of)), of.passed()]),
            outcome: Pass,
            words: "",
        },
        Row {
            name: "#DB, whose act has set TF",
            id: "db/single-step:fred:cancel:resume",
            script: |of| after(of, [of.abandoned().only_if(queued(of)), of.passed()]),
            outcome: Pass,
            words: "",
        },
        Row {
            name: "#NM of XFD, which has written IA32_XFD_ERR",
            id: "nm/tilezero-xfd:fred:cancel:resume",
            script: |of| {
                let written = |state: &State| state.msrs.get(&fred::msr::XFD_ERR) == Some(&(1 << 18));
                after(of, [of.abandoned().only_if(queued(of)).only_if(written), of.passed()])
            },
            outcome: Pass,
            words: "",
        },
        Row {
            name: "#PF without the payload capability: CR2 and RF",
            id: "pf/read-unmapped:idt:nopayload:cancel:resume",
            script: |of| {
                let effects = |state: &State, payload| {
                    state.sregs.cr2 == payload && state.regs.rflags & rflags::RF != 0
                };
                after(of, [of.abandoned().only_if(queued_as_injected(of, effects)), of.passed()])
            },
            outcome: Pass,
            words: "",
        },
        Row {
            name: "#DB without the payload capability: DR6, and no RF",
            id: "db/single-step:idt:nopayload:cancel:resume",
            script: |of| {
                let effects = |state: &State, payload| {
                    state.debug_regs.dr6 & payload == payload && state.regs.rflags & rflags::RF == 0
                };
                after(of, [of.abandoned().only_if(queued_as_injected(of, effects)), of.passed()])
            },
            outcome: Pass,
            words: "",
        },
        Row {
            name: "the event is still pending",
            id: CANCEL,
            script: |of| {
                let left = of.abandoned().with(|state| state.events = pending(vector::PF));
                after(of, [left, of.passed()])
            },
            outcome: Error,
            words: "the delivery was not cut: the entry was to be abandoned, and the queue does not hold the event as \
                    injected: #PF (14) pending=1 injected=0",
        },
        Row {
            name: "a handler was entered",
            id: CANCEL,
            script: |of| after(of, [of.abandoned().with(of.entered()), of.passed()]),
            outcome: Error,
            words: "the delivery was not cut: the entry was to be abandoned",
        },
        Row {
            name: "the event is gone",
            id: CANCEL,
            script: |of| {
                let gone = of.abandoned().with(|state| state.events = kvm_vcpu_events::default());
                after(of, [gone])
            },
            outcome: Fail,
            words: "the entry was abandoned, and the event that it was to inject is gone from the queue: nothing shown",
        },
        Row {
            name: "the event was delivered in spite of the signal",
            id: CANCEL,
            script: |of| after(of, [of.passed().entered(|mode| mode == RunMode::SignalPending)]),
            outcome: Fail,
            words: "the guest wrote to port 0x6d66",
        },
        Row {
            name: "the entry is refused",
            id: CANCEL,
            script: |of| {
                after(of, [Step::returns(Exit::Shutdown).entered(|mode| mode == RunMode::SignalPending)])
            },
            outcome: Fail,
            words: "the guest was shut down",
        },
        Row {
            name: "the case has no event that the host could queue",
            id: "soft/int3:fred:cancel:resume",
            script: |of| after(of, [of.passed()]),
            outcome: Error,
            words: "the delivery was not cut: the case does not say how its event is synthesised",
        },
        Row {
            name: "abandoned again, the same",
            id: "pf/read-unmapped:fred:cancel:again=1",
            script: |of| after(of, [of.abandoned(), of.abandoned(), of.passed()]),
            outcome: Pass,
            words: "",
        },
        Row {
            name: "abandoned again, another vector",
            id: "pf/read-unmapped:fred:cancel:again=1",
            script: |of| {
                let other = of.abandoned().with(|state| state.events = injected(vector::GP));
                after(of, [of.abandoned(), other])
            },
            outcome: Fail,
            words: "the event in flight changed at the second KVM_RUN, to #GP (13)",
        },
        Row {
            name: "abandoned again, another RIP",
            id: "pf/read-unmapped:fred:cancel:again=1",
            script: |of| after(of, [of.abandoned(), of.abandoned().with(|state| state.regs.rip += 2)]),
            outcome: Fail,
            words: "the event in flight changed at the second KVM_RUN",
        },
    ];
    check(&rows, &Conditions::default());
}
