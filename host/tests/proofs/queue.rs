//! An event in the queue: `cancel`, `io`, and `access`, which counts the accesses of a delivery.

use crate::case_script::{CaseScript, completed, injected, input, pending};
use crate::fake::{State, Step};
use crate::{Conditions, Row, check};
use fred::control::rflags;
use fred::event::vector;
use kvm_bindings::kvm_vcpu_events;
use midflight::report::outcome::Outcome::{Error, Fail, Pass};
use vm::{Exit, RunMode};

fn after<const N: usize>(of: &CaseScript<'_>, steps: [Step; N]) -> Vec<Step> {
    let mut all = of.begun();
    all.extend(steps);
    all
}

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

/// The access of this number is refused.
fn refused(of: &CaseScript<'_>, number: u64) -> Step {
    let is_asked = move |state: &State| state.access == Some(number);
    Step::returns(Exit::Fault { gpa: None }).only_if(is_asked).with(of.in_flight())
}

#[test]
fn an_access_that_is_refused_is_one_of_the_case_s_delivery() {
    const ACCESS: &str = "pf/read-unmapped:fred:access@3:resume";
    const PAIR: &str = "pf/read-unmapped:fred:access@3,5:resume";
    let rows = [
        Row {
            name: "it is",
            id: ACCESS,
            script: |of| after(of, [refused(of, 3), of.passed()]),
            outcome: Pass,
            words: "",
        },
        Row {
            name: "a handler was entered",
            id: ACCESS,
            script: |of| after(of, [refused(of, 3).with(of.entered()), of.passed()]),
            outcome: Error,
            words: "the delivery was not cut: the access was refused only after a handler was entered",
        },
        Row {
            name: "the queue is empty, and RIP elsewhere",
            id: ACCESS,
            script: |of| {
                let elsewhere = refused(of, 3).with(|state| {
                    state.events = kvm_vcpu_events::default();
                    state.regs.rip += 1;
                });
                after(of, [elsewhere, of.passed()])
            },
            outcome: Error,
            words: "the delivery was not cut: the queue is empty and RIP is at",
        },
        Row {
            name: "the delivery has fewer accesses",
            id: ACCESS,
            script: |of| after(of, [of.passed()]),
            outcome: Error,
            words: "the delivery was not cut: the case ended without meeting the stop",
        },
        Row {
            name: "another exit",
            id: ACCESS,
            script: |of| after(of, [Step::returns(Exit::Shutdown)]),
            outcome: Fail,
            words: "the guest was shut down",
        },
        Row {
            name: "one of the second try, the same event",
            id: PAIR,
            script: |of| after(of, [refused(of, 3), refused(of, 5), of.passed()]),
            outcome: Pass,
            words: "",
        },
        Row {
            name: "one of the second try, another event",
            id: PAIR,
            script: |of| {
                let other = refused(of, 5).with(|state| state.events = injected(vector::DF));
                after(of, [refused(of, 3), other])
            },
            outcome: Fail,
            words: "the event in flight changed at the second KVM_RUN, to #DF (8)",
        },
        Row {
            name: "one of the second try, another RIP",
            id: PAIR,
            script: |of| after(of, [refused(of, 3), refused(of, 5).with(|state| state.regs.rip += 2)]),
            outcome: Fail,
            words: "the event in flight changed at the second KVM_RUN",
        },
    ];
    check(&rows, &counts());
    let none = [Row {
        name: "a machine that cannot",
        id: ACCESS,
        script: |of| after(of, [of.passed()]),
        outcome: Error,
        words: "the delivery was not cut: this machine cannot refuse single accesses",
    }];
    check(&none, &Conditions::default());
}

/// A machine that counts accesses.
fn counts() -> Conditions {
    Conditions { fresh: |state| state.access = Some(u64::MAX), ..Conditions::default() }
}

/// The access of this number of an event return is refused, in a handler.
fn return_refused(of: &CaseScript<'_>, number: u64) -> Step {
    let is_asked = move |state: &State| state.return_access == Some(number) && state.access == Some(u64::MAX);
    let in_handler = |state: &mut State| state.regs.rip = 0x1000;
    Step::returns(Exit::Fault { gpa: None }).only_if(is_asked).with(of.entered()).with(in_handler)
}

#[test]
fn an_access_that_is_refused_is_one_of_an_event_return() {
    const RETURN: &str = "pf/read-unmapped:fred:return@3:resume";
    let rows = [
        Row {
            name: "it is",
            id: RETURN,
            script: |of| after(of, [return_refused(of, 3), of.passed()]),
            outcome: Pass,
            words: "",
        },
        Row {
            name: "an NMI at the cut",
            id: "nmi/nmi-then-nmi:idt:return@0:resume",
            script: |of| {
                let refused = return_refused(of, 0).only_if(|state| state.nmis == 1);
                after(of, [refused, of.passed().only_if(|state| state.nmis == 2)])
            },
            outcome: Pass,
            words: "",
        },
        Row {
            name: "an event is in flight",
            id: RETURN,
            script: |of| after(of, [return_refused(of, 3).with(of.in_flight()), of.passed()]),
            outcome: Error,
            words: "the delivery was not cut: an event is in flight, so it is no event return that was refused",
        },
        Row {
            name: "an event is pending",
            id: RETURN,
            script: |of| {
                let pends = return_refused(of, 3).with(|state| state.events = pending(vector::PF));
                after(of, [pends, of.passed()])
            },
            outcome: Error,
            words: "the delivery was not cut: an event is in flight, so it is no event return that was refused",
        },
        Row {
            name: "the return has fewer accesses",
            id: RETURN,
            script: |of| after(of, [of.passed()]),
            outcome: Error,
            words: "the delivery was not cut: the case ended without meeting the stop",
        },
        Row {
            name: "another exit",
            id: RETURN,
            script: |of| after(of, [Step::returns(Exit::Shutdown)]),
            outcome: Fail,
            words: "the guest was shut down",
        },
    ];
    check(&rows, &counts());
    let none = [Row {
        name: "a machine that cannot",
        id: RETURN,
        script: |of| after(of, [of.passed()]),
        outcome: Error,
        words: "the delivery was not cut: this machine cannot refuse single accesses",
    }];
    check(&none, &Conditions::default());
}
