//! A page refuses the delivery: `block`, `private`, `uffd`, `hole`, `read-only`.

use crate::case_script::{CaseScript, delivery_failed, input};
use crate::fake::{State, Step};
use crate::{Conditions, Row, after, check};
use kvm_bindings::kvm_vcpu_events;
use midflight::image::Place;
use midflight::report::outcome::Outcome::{Error, Fail, Pass};
use protocol::port::OUTPUT;
use vm::Exit;

/// A page refuses a #PF's delivery.
pub(crate) const ID: &str = "pf/read-unmapped:fred:block@frame:resume";

/// The delivery is refused twice, the second time with `change`.
pub(crate) fn twice(of: &CaseScript<'_>, change: impl FnOnce(&mut State) + 'static) -> Vec<Step> {
    after(of, [of.blocked(), of.blocked().with(change)])
}

#[test]
fn a_page_that_refuses_the_delivery_is_a_cut() {
    let rows = [
        Row {
            name: "block",
            id: ID,
            script: |of| after(of, [of.blocked(), of.blocked(), of.passed()]),
            outcome: Pass,
            words: "",
        },
        Row {
            name: "the act reads and writes ports before its event",
            id: ID,
            script: |of| {
                let output = || Step::returns(Exit::IoOut { port: OUTPUT, size: 1, data: vec![0] });
                after(of, [input(), output(), of.blocked(), input(), of.blocked(), output(), of.passed()])
            },
            outcome: Pass,
            words: "",
        },
        Row {
            name: "private",
            id: "pf/read-unmapped:fred:private@pt:resume",
            script: |of| {
                let refused = || of.refused("private", Place::Pt);
                after(of, [refused(), refused(), of.passed()])
            },
            outcome: Pass,
            words: "",
        },
        Row {
            name: "uffd",
            id: "pf/read-unmapped:fred:uffd@pd:resume",
            script: |of| after(of, [of.refused("uffd", Place::Pd), of.passed()]),
            outcome: Pass,
            words: "",
        },
        Row {
            name: "hole",
            id: "pf/read-unmapped:idt:hole@idt:resume",
            script: |of| after(of, [of.refused("hole", Place::Idt), of.passed()]),
            outcome: Pass,
            words: "",
        },
        Row {
            name: "read-only",
            id: "pf/read-unmapped:idt:read-only@frame:resume",
            script: |of| after(of, [of.refused("read-only", Place::Frame), of.passed()]),
            outcome: Pass,
            words: "",
        },
        Row {
            name: "an interrupt is in flight",
            id: ID,
            script: |of| {
                let refused = || {
                    of.blocked().with(|state| {
                        state.events = kvm_vcpu_events::default();
                        state.events.interrupt.injected = 1;
                        state.regs.rip = 0x10;
                    })
                };
                after(of, [refused(), refused(), of.passed()])
            },
            outcome: Pass,
            words: "",
        },
        Row {
            name: "an NMI is in flight",
            id: ID,
            script: |of| {
                let refused = || {
                    of.blocked().with(|state| {
                        state.events = kvm_vcpu_events::default();
                        state.events.nmi.injected = 1;
                        state.regs.rip = 0x10;
                    })
                };
                after(of, [refused(), refused(), of.passed()])
            },
            outcome: Pass,
            words: "",
        },
        Row {
            name: "the queue is empty, and RIP at the act",
            id: ID,
            script: |of| {
                let refused = || of.blocked().with(|state| state.events = kvm_vcpu_events::default());
                after(of, [refused(), refused(), of.passed()])
            },
            outcome: Pass,
            words: "",
        },
        Row {
            name: "the queue is empty, and RIP after the act",
            id: ID,
            script: |of| {
                let after_act = of.case.after;
                let refused = || {
                    of.blocked().with(move |state| {
                        state.events = kvm_vcpu_events::default();
                        state.regs.rip = after_act;
                    })
                };
                after(of, [refused(), refused(), of.passed()])
            },
            outcome: Pass,
            words: "",
        },
    ];
    check(&rows, &Conditions::default());
}

#[test]
fn what_is_not_proved_is_no_pass() {
    let rows = [
        Row {
            name: "the queue is empty, and RIP elsewhere",
            id: ID,
            script: |of| {
                let refused = of.blocked().with(|state| {
                    state.events = kvm_vcpu_events::default();
                    state.regs.rip += 1;
                });
                after(of, [refused, of.passed()])
            },
            outcome: Error,
            words: "the delivery was not cut: the queue is empty and RIP is at pf.read-unmapped.act+0x1",
        },
        Row {
            name: "an exception that waits is not in flight",
            id: ID,
            script: |of| {
                let refused = of.blocked().with(|state| {
                    (state.events.exception.injected, state.events.exception.pending) = (0, 1);
                    state.regs.rip += 1;
                });
                after(of, [refused, of.passed()])
            },
            outcome: Error,
            words: "the delivery was not cut: the queue is empty and RIP is at pf.read-unmapped.act+0x1",
        },
        Row {
            name: "a handler was entered already",
            id: ID,
            script: |of| after(of, [of.blocked().with(of.entered()), of.passed()]),
            outcome: Error,
            words: "the delivery was not cut: the page refused access only after a handler was entered",
        },
        Row {
            name: "another page was refused",
            id: ID,
            script: |of| {
                let gpa = Some(of.image.pages.at(Place::Pt));
                after(of, [Step::returns(Exit::Fault { gpa }).with(of.in_flight())])
            },
            outcome: Fail,
            words: "KVM_RUN failed with EFAULT at guest-physical",
        },
        Row {
            name: "another page was refused the second time",
            id: ID,
            script: |of| {
                let gpa = Some(of.image.pages.at(Place::Pt));
                after(of, [of.blocked(), Step::returns(Exit::Fault { gpa }).with(of.in_flight())])
            },
            outcome: Fail,
            words: "KVM_RUN failed with EFAULT at guest-physical",
        },
        Row {
            name: "the event was delivered in spite of the page",
            id: ID,
            script: |of| after(of, [of.passed().anyway()]),
            outcome: Error,
            words: "the delivery was not cut: the case ended without meeting the stop",
        },
        Row {
            name: "the event never came",
            id: ID,
            script: |of| after(of, [of.lost().anyway()]),
            outcome: Fail,
            words: "lost",
        },
        Row {
            name: "no cut is proved, and the case fails",
            id: ID,
            script: |of| after(of, [of.blocked().with(of.entered()), of.lost()]),
            outcome: Fail,
            words: "lost",
        },
        Row {
            name: "no cut is proved, and then the guest ends up elsewhere",
            id: ID,
            script: |of| after(of, [of.blocked().with(of.entered()), Step::returns(Exit::Shutdown)]),
            outcome: Fail,
            words: "the guest was shut down",
        },
    ];
    check(&rows, &Conditions::default());
}

#[test]
fn each_stop_knows_its_exit() {
    let rows = [
        Row {
            name: "block ends in a failed delivery",
            id: ID,
            script: |of| after(of, [Step::returns(delivery_failed()).with(of.in_flight())]),
            outcome: Fail,
            words: "KVM_EXIT_INTERNAL_ERROR, suberror 3",
        },
        Row {
            name: "private ends in a signal",
            id: "pf/read-unmapped:fred:private@frame:resume",
            script: |of| after(of, [Step::returns(Exit::Interrupted).with(of.in_flight())]),
            outcome: Error,
            words: "KVM_RUN returned EINTR",
        },
        Row {
            name: "uffd ends in EFAULT",
            id: "pf/read-unmapped:fred:uffd@frame:resume",
            script: |of| after(of, [Step::returns(Exit::Fault { gpa: None }).with(of.in_flight())]),
            outcome: Fail,
            words: "KVM_RUN failed with EFAULT",
        },
        Row {
            name: "hole ends in a failed emulation",
            id: "pf/read-unmapped:fred:hole@frame:resume",
            script: |of| {
                let exit = Exit::InternalError { suberror: 1, data: Vec::new() };
                after(of, [Step::returns(exit).with(of.in_flight())])
            },
            outcome: Fail,
            words: "KVM_EXIT_INTERNAL_ERROR, suberror 1",
        },
        Row {
            name: "read-only ends in MMIO",
            id: "pf/read-unmapped:fred:read-only@frame:resume",
            script: |of| {
                let exit = Exit::Mmio { address: of.image.pages.at(Place::Frame), write: true };
                after(of, [Step::returns(exit).with(of.in_flight())])
            },
            outcome: Fail,
            words: "KVM_EXIT_MMIO",
        },
        Row {
            name: "read-only ends in a failed emulation",
            id: "pf/read-unmapped:fred:read-only@frame:resume",
            script: |of| {
                let exit = Exit::InternalError { suberror: 1, data: Vec::new() };
                after(of, [Step::returns(exit).with(of.in_flight())])
            },
            outcome: Fail,
            words: "KVM_EXIT_INTERNAL_ERROR, suberror 1",
        },
    ];
    check(&rows, &Conditions::default());
}
