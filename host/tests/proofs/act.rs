//! An access of the act itself is refused: no event is in flight, and RIP is in the act.

use crate::case_script::{CaseScript, injected, pending};
use crate::fake::{State, Step};
use crate::{Conditions, Row, after, check};
use fred::event::vector;
use midflight::report::outcome::Outcome::{Error, Fail, Pass};
use vm::Exit;

const ACT: &str = "touch/sti:fred:act:resume";

/// KVM_RUN fails because of an access of the act, with RIP so many bytes after its first instruction.
fn refused(of: &CaseScript<'_>, rip: u64) -> Step {
    let rip = of.case.act + rip;
    let blocked = |state: &State| state.page.is_some();
    Step::returns(Exit::Fault { gpa: None })
        .only_if(blocked)
        .with(move |state: &mut State| state.regs.rip = rip)
}

#[test]
fn an_access_that_is_refused_is_one_of_the_act() {
    let rows = [
        Row {
            name: "it is",
            id: ACT,
            script: |of| after(of, [refused(of, 1), of.passed()]),
            outcome: Pass,
            words: "",
        },
        Row {
            name: "an NMI at the cut",
            id: "touch/nmi:fred:act:resume",
            script: |of| after(of, [refused(of, 0), of.passed().only_if(|state| state.nmis == 1)]),
            outcome: Pass,
            words: "",
        },
        Row {
            name: "another page",
            id: ACT,
            script: |of| after(of, [Step::returns(Exit::Fault { gpa: Some(0x3000) })]),
            outcome: Fail,
            words: "KVM_RUN failed with EFAULT at guest-physical 0x3000",
        },
        Row {
            name: "RIP after the act",
            id: ACT,
            script: |of| {
                let after_it = of.case.after - of.case.act;
                after(of, [refused(of, after_it), of.passed()])
            },
            outcome: Error,
            words: "the delivery was not cut: no event is in flight and RIP is at touch.sti.last",
        },
        Row {
            name: "RIP before the act",
            id: ACT,
            script: |of| {
                let before = refused(of, 0).with(|state| state.regs.rip -= 1);
                after(of, [before, of.passed()])
            },
            outcome: Error,
            words: "the delivery was not cut: no event is in flight and RIP is at ",
        },
        Row {
            name: "an event is in flight",
            id: ACT,
            script: |of| {
                let delivered = refused(of, 1).with(|state| state.events = injected(vector::UD));
                after(of, [delivered, of.passed()])
            },
            outcome: Error,
            words: "the delivery was not cut: an event is in flight, so it is no access of the act's that was refused",
        },
        Row {
            name: "an event is pending",
            id: ACT,
            script: |of| {
                let pends = refused(of, 1).with(|state| state.events = pending(vector::UD));
                after(of, [pends, of.passed()])
            },
            outcome: Error,
            words: "the delivery was not cut: an event is in flight, so it is no access of the act's that was refused",
        },
        Row {
            name: "a handler was entered",
            id: ACT,
            script: |of| after(of, [refused(of, 1).with(of.entered()), of.passed()]),
            outcome: Error,
            words: "the delivery was not cut: the page refused access only after a handler was entered",
        },
        Row {
            name: "the page refuses nothing",
            id: ACT,
            script: |of| after(of, [of.passed().anyway()]),
            outcome: Error,
            words: "the delivery was not cut: the case ended without meeting the stop",
        },
        Row {
            name: "another exit",
            id: ACT,
            script: |of| after(of, [Step::returns(Exit::Shutdown)]),
            outcome: Fail,
            words: "the guest was shut down",
        },
    ];
    check(&rows, &Conditions::default());
}
