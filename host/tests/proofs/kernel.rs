//! Stops that the kernel makes: `evict`, which user space never sees, and `ring`.

use crate::case_script::{CaseScript, completed};
use crate::fake::{Logged, State, Step};
use crate::{Conditions, Row, check};
use kvm_bindings::kvm_vcpu_events;
use midflight::image::Place;
use midflight::report::outcome::Outcome::{Error, Fail, Pass};
use vm::{Exit, PAGE};

/// The host completes the doorbell and evicts the page; what the kernel then does to it, `done` says.
fn evicted(of: &CaseScript<'_>, done: Step) -> Vec<Step> {
    let page = of.image.pages.at(Place::Pt);
    let mut steps = of.begun();
    steps.push(completed().only_if(move |state| !state.evicted.contains(&page)));
    steps.push(done.only_if(move |state| state.evicted.contains(&page)));
    steps
}

/// The page is mapped again.
fn refaulted(of: &CaseScript<'_>, done: Step) -> Step {
    let page = of.image.pages.at(Place::Pt);
    done.with(move |state| {
        state.evicted.remove(&page);
    })
}

#[test]
fn an_evicted_page_must_have_been_met() {
    const ID: &str = "pf/read-unmapped:fred:evict@pt:resume";
    let rows = [
        Row {
            name: "the kernel has mapped it again",
            id: ID,
            script: |of| evicted(of, refaulted(of, of.passed())),
            outcome: Pass,
            words: "",
        },
        Row {
            name: "nothing accessed it",
            id: ID,
            script: |of| evicted(of, of.passed()),
            outcome: Error,
            words: "while it was evicted",
        },
        Row {
            name: "nothing accessed it, and the event was lost",
            id: ID,
            script: |of| evicted(of, of.lost()),
            outcome: Fail,
            words: "lost",
        },
        Row {
            name: "the kernel has mapped it again, and the case fails",
            id: ID,
            script: |of| evicted(of, refaulted(of, of.lost())),
            outcome: Fail,
            words: "lost",
        },
    ];
    check(&rows, &Conditions::default());
}

/// Where the host has the guest write, to fill the ring.
const PAGES: u64 = 0x1_0000;
/// Pages that the guest writes before it leaves.
const CHUNK: usize = 16;
/// The port that it then writes to.
const WRITTEN: u16 = 0x6D7E;

/// The ring is at its limit after the guest has written two pages.
fn filled() -> Step {
    Step::returns(Exit::DirtyRingFull).with(|state| {
        state.regs.rdi = PAGES + 2 * PAGE as u64;
        if let Some(ring) = &mut state.ring {
            ring.pages = vec![PAGES, PAGES + PAGE as u64];
        }
    })
}

/// The guest has written a chunk of pages, and the ring is not at its limit.
fn written() -> Step {
    Step::returns(Exit::IoOut { port: WRITTEN, size: 1, data: vec![0] })
}

/// KVM_RUN returns because of the ring, before the frame's page was written.
fn at_limit(of: &CaseScript<'_>) -> Step {
    let (act, page) = (of.case.act, of.image.pages.at(Place::Frame));
    Step::returns(Exit::DirtyRingFull)
        .only_if(move |state| state.regs.rip == act && state.regs.rdi == 0)
        .only_if(move |state| state.evicted.contains(&page))
        .only_if(|state| state.ring.as_ref().is_some_and(|ring| ring.harvested >= 1))
}

/// KVM_RUN returns because the delivery has written the frame's page.
fn full(of: &CaseScript<'_>) -> Step {
    let page = of.image.pages.at(Place::Frame);
    Step::returns(Exit::DirtyRingFull).with(of.in_flight()).with(move |state| {
        state.evicted.remove(&page);
    })
}

/// The page is in the ring, or no longer.
fn logged(of: &CaseScript<'_>, is: bool) -> impl FnOnce(&mut State) + use<> {
    let page = of.image.pages.at(Place::Frame);
    move |state| {
        if let Some(ring) = &mut state.ring {
            ring.pages = if is { vec![page] } else { Vec::new() };
        }
    }
}

fn ring_of<const N: usize>(of: &CaseScript<'_>, steps: [Step; N]) -> Vec<Step> {
    let mut all = of.begun();
    all.push(filled());
    all.extend(steps);
    all
}

fn with_ring() -> Conditions {
    Conditions { fresh: |state| state.ring = Some(Logged::default()), ..Conditions::default() }
}

const RING: &str = "pf/read-unmapped:fred:ring:resume";

#[test]
fn a_full_ring_must_be_the_delivery_s() {
    let rows = [
        Row {
            name: "the delivery fills it",
            id: RING,
            script: |of| {
                let released =
                    |state: &State| state.ring.as_ref().is_some_and(|ring| ring.harvested == u32::MAX);
                ring_of(of, [at_limit(of), full(of), of.passed().only_if(released)])
            },
            outcome: Pass,
            words: "",
        },
        Row {
            name: "a handler was entered before",
            id: RING,
            script: |of| {
                let full = full(of).with(of.entered()).with(logged(of, true));
                ring_of(of, [full, of.passed().with(logged(of, true))])
            },
            outcome: Error,
            words: "the delivery was not cut: the dirty ring was full only after a handler was entered",
        },
        Row {
            name: "the queue is empty, and RIP elsewhere",
            id: RING,
            script: |of| {
                let full = full(of).with(logged(of, true)).with(|state| {
                    state.events = kvm_vcpu_events::default();
                    state.regs.rip += 1;
                });
                ring_of(of, [full, of.passed()])
            },
            outcome: Error,
            words: "the delivery was not cut: the queue is empty and RIP is at",
        },
        Row {
            name: "it is full without the delivery, again and again",
            id: RING,
            script: |of| {
                let mut steps = ring_of(of, []);
                steps.extend((0..64).map(|_| at_limit(of).with(logged(of, true))));
                steps.push(of.passed());
                steps
            },
            outcome: Error,
            words: "the delivery was not cut: the dirty ring was full, however much was taken out",
        },
        Row {
            name: "the delivery completes, and its page is in the ring",
            id: RING,
            script: |of| ring_of(of, [of.passed().with(logged(of, true))]),
            outcome: Error,
            words: "the delivery was not cut: the case ended without meeting the stop",
        },
        Row {
            name: "the delivery completes, and its page is not in the ring",
            id: RING,
            script: |of| ring_of(of, [of.passed().with(logged(of, false))]),
            outcome: Fail,
            words: "the delivery wrote its frame, and the dirty ring does not hold the page",
        },
        Row {
            name: "its page is in the ring at first",
            id: RING,
            script: |of| {
                let full = full(of).with(of.entered()).with(logged(of, true));
                ring_of(of, [full, of.passed().with(logged(of, false))])
            },
            outcome: Error,
            words: "the dirty ring was full only after a handler was entered",
        },
        Row {
            name: "its page is in the ring at last",
            id: RING,
            script: |of| {
                let full = full(of).with(of.entered()).with(logged(of, false));
                ring_of(of, [full, of.passed().with(logged(of, true))])
            },
            outcome: Error,
            words: "the dirty ring was full only after a handler was entered",
        },
        Row {
            name: "the guest comes to another end",
            id: RING,
            script: |of| ring_of(of, [Step::returns(Exit::Halt)]),
            outcome: Fail,
            words: "the guest came to a HLT",
        },
    ];
    check(&rows, &with_ring());
}

/// The guest writes for as long as the host lets it.
fn written_in_vain(of: &CaseScript<'_>, logged: usize) -> Vec<Step> {
    let mut steps = of.begun();
    steps.push(written().with(move |state| {
        let pages = (0..logged).map(|number| PAGES + (number * PAGE) as u64).collect();
        state.ring.iter_mut().for_each(|ring| ring.pages = Vec::clone(&pages));
    }));
    steps.extend((1..4096 / CHUNK).map(|_| written()));
    steps
}

#[test]
fn a_ring_must_fill() {
    let rows = [
        Row {
            name: "it never does",
            id: RING,
            script: |of| written_in_vain(of, CHUNK),
            outcome: Fail,
            words: "the guest wrote 4096 pages, and KVM_RUN did not return because of a full dirty ring",
        },
        Row {
            name: "it never does, and not all is in it",
            id: RING,
            script: |of| written_in_vain(of, CHUNK - 1),
            outcome: Fail,
            words: "the guest wrote to the page 0x1f000, and the dirty ring does not hold it",
        },
        Row {
            name: "it does, and not all is in it",
            id: RING,
            script: |of| {
                let mut steps = of.begun();
                steps.push(filled().with(|state| state.regs.rdi += PAGE as u64));
                steps
            },
            outcome: Fail,
            words: "the guest wrote to the page 0x12000, and the dirty ring does not hold it",
        },
        Row {
            name: "the guest comes to another end",
            id: RING,
            script: |of| {
                let mut steps = of.begun();
                steps.push(Step::returns(Exit::Shutdown));
                steps
            },
            outcome: Fail,
            words: "the guest was shut down",
        },
    ];
    check(&rows, &with_ring());
    let none = [Row {
        name: "there is none",
        id: RING,
        script: |of| of.begun(),
        outcome: Error,
        words: "the delivery was not cut: this VM has no dirty ring",
    }];
    check(&none, &Conditions::default());
}
