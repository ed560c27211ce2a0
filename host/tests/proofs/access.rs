//! `access` and `return`: single accesses of a delivery, and of an event return, are refused by their number.

use crate::case_script::{CaseScript, injected, pending};
use crate::fake::{State, Step};
use crate::{Conditions, Row, after, check};
use fred::event::vector;
use kvm_bindings::kvm_vcpu_events;
use midflight::report::outcome::Outcome::{Error, Fail, Pass};
use vm::Exit;

/// The access of this number is refused.
pub(crate) fn refused(of: &CaseScript<'_>, number: u64) -> Step {
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
            name: "the queue is empty, and RIP at another place",
            id: ACCESS,
            script: |of| {
                let moved = refused(of, 3).with(|state| {
                    state.events = kvm_vcpu_events::default();
                    state.regs.rip += 1;
                });
                after(of, [moved, of.passed()])
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
pub(crate) fn counts() -> Conditions {
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
