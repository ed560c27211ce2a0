//! What a page has refused is refused again: the event in flight must be the same.

use crate::case_script::injected;
use crate::page::{ID, twice};
use crate::{Conditions, Row, after, check};
use fred::event::vector;
use kvm_bindings::kvm_vcpu_events;
use midflight::image::Place;
use midflight::report::outcome::Outcome::{Error, Fail, Pass};

const AGAIN: &str = "pf/read-unmapped:fred:block@frame:again=1";

#[test]
fn an_event_is_the_same_at_the_second_try() {
    let rows = [
        Row {
            name: "another vector",
            id: ID,
            script: |of| twice(of, |state| state.events.exception.nr = vector::UD),
            outcome: Fail,
            words: "the event in flight changed at the second KVM_RUN, to #UD (6)",
        },
        Row {
            name: "gone from the queue",
            id: ID,
            script: |of| twice(of, |state| state.events = kvm_vcpu_events::default()),
            outcome: Fail,
            words: "the event in flight changed at the second KVM_RUN, to nothing shown",
        },
        Row {
            name: "RIP",
            id: ID,
            script: |of| twice(of, |state| state.regs.rip += 2),
            outcome: Fail,
            words: "changed at the second KVM_RUN, to #PF (14) pending=0 injected=1 no payload at pf.read-unmapped.act+0x2",
        },
        Row {
            name: "RFLAGS and RSP",
            id: ID,
            script: |of| twice(of, |state| (state.regs.rflags, state.regs.rsp) = (0x202, 8)),
            outcome: Fail,
            words: "(RFLAGS 0x2 -> 0x202, RSP 0x0 -> 0x8)",
        },
        Row {
            name: "the interrupt shadow, and NMI blocking",
            id: ID,
            script: |of| twice(of, |state| (state.events.interrupt.shadow, state.events.nmi.masked) = (1, 1)),
            outcome: Fail,
            words: "(interrupt shadow 0x0 -> 0x1, NMI mask 0x0 -> 0x1)",
        },
        Row {
            name: "a register of the guest's",
            id: ID,
            script: |of| twice(of, |state| state.regs.rbx = 1),
            outcome: Fail,
            words: "the event in flight changed at the second KVM_RUN",
        },
        Row {
            name: "a handler was entered in between",
            id: ID,
            script: |of| {
                let entered = of.entered();
                twice(of, entered)
            },
            outcome: Fail,
            words: "the event in flight changed at the second KVM_RUN",
        },
        Row {
            name: "private, another vector",
            id: "pf/read-unmapped:fred:private@frame:resume",
            script: |of| {
                let refused = || of.refused("private", Place::Frame);
                after(of, [refused(), refused().with(|state| state.events.exception.nr = vector::UD)])
            },
            outcome: Fail,
            words: "the event in flight changed at the second KVM_RUN, to #UD (6)",
        },
        Row {
            name: "the guest runs on, and its event is lost",
            id: ID,
            script: |of| after(of, [of.blocked(), of.lost().anyway()]),
            outcome: Fail,
            words: "lost",
        },
        Row {
            name: "the guest runs on, and its event was delivered all the same",
            id: ID,
            script: |of| after(of, [of.blocked(), of.passed().anyway()]),
            outcome: Error,
            words: "the delivery was not cut: the event was still delivered",
        },
    ];
    check(&rows, &Conditions::default());
}

#[test]
fn an_event_is_the_same_when_its_delivery_is_cut_again() {
    let rows = [
        Row {
            name: "the same",
            id: AGAIN,
            script: |of| after(of, [of.blocked(), of.blocked(), of.blocked(), of.passed()]),
            outcome: Pass,
            words: "",
        },
        Row {
            name: "another vector",
            id: AGAIN,
            script: |of| {
                let third = of.blocked().with(|state| state.events = injected(vector::UD));
                after(of, [of.blocked(), of.blocked(), third])
            },
            outcome: Fail,
            words: "the event in flight changed at the second KVM_RUN, to #UD (6)",
        },
        Row {
            name: "another RIP",
            id: AGAIN,
            script: |of| {
                let third = of.blocked().with(|state| state.regs.rip += 2);
                after(of, [of.blocked(), of.blocked(), third])
            },
            outcome: Fail,
            words: "the event in flight changed at the second KVM_RUN",
        },
        Row {
            name: "the guest runs on, and its event is lost",
            id: AGAIN,
            script: |of| after(of, [of.blocked(), of.blocked(), of.lost().anyway()]),
            outcome: Fail,
            words: "lost",
        },
        Row {
            name: "the event was changed before the first release",
            id: AGAIN,
            script: |of| twice(of, |state| state.events.exception.nr = vector::UD),
            outcome: Fail,
            words: "the event in flight changed at the second KVM_RUN, to #UD (6)",
        },
    ];
    check(&rows, &Conditions::default());
}
