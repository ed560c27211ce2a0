//! A ring must be full before the handler.

use super::{ACT, FRAME, HANDLER, Probe, SILENT, check, delivered, measured};
use crate::fake::{Logged, Step};
use vm::{Exit, PAGE};

/// The ring is at its limit after the guest has written a page.
fn filled() -> Step {
    Step::returns(Exit::DirtyRingFull).with(|state| {
        state.regs.rdi = 0x1_0000 + PAGE as u64;
        state.ring.iter_mut().for_each(|ring| ring.pages = vec![0x1_0000]);
    })
}

fn full(rip: u64) -> Step {
    Step::returns(Exit::DirtyRingFull)
        .only_if(|state| state.ring.as_ref().is_some_and(|ring| ring.harvested > 0))
        .with(move |state| {
            state.evicted.clear();
            state.regs.rip = rip;
        })
}

#[test]
fn a_ring_must_be_full_before_the_handler() {
    let probes = [
        Probe {
            name: "it is",
            stop: "ring",
            script: || measured([filled(), Step::returns(Exit::DirtyRingFull), full(ACT)]),
            answer: "works",
        },
        Probe {
            name: "only after it",
            stop: "ring",
            script: || measured([filled(), full(HANDLER)]),
            answer: "the #UD was delivered before KVM_RUN returned because of the full dirty ring",
        },
        Probe {
            name: "never, and the page is logged",
            stop: "ring",
            script: || {
                measured([
                    filled(),
                    delivered().with(|state| {
                        state.ring.iter_mut().for_each(|ring| ring.pages.push(FRAME));
                    }),
                ])
            },
            answer: SILENT,
        },
        Probe {
            name: "never, and a page that is not logged the scenarios find",
            stop: "ring",
            script: || measured([filled(), delivered()]),
            answer: "works",
        },
        Probe {
            name: "a page that is not logged while the ring is filled, too",
            stop: "ring",
            script: || measured([filled().with(|state| state.regs.rdi += PAGE as u64)]),
            answer: "works",
        },
        Probe {
            name: "a triple fault while it is filled",
            stop: "ring",
            script: || measured([Step::returns(Exit::Shutdown)]),
            answer: "the guest was shut down, as by a triple fault (KVM_EXIT_SHUTDOWN) while the dirty ring was filled",
        },
        Probe {
            name: "a triple fault when it is full",
            stop: "ring",
            script: || measured([filled(), Step::returns(Exit::Shutdown)]),
            answer: "the #UD became a triple fault with the dirty ring full",
        },
        Probe {
            name: "again and again",
            stop: "ring",
            script: || {
                let mut steps = measured([filled()]);
                steps.extend((0..64).map(|_| Step::returns(Exit::DirtyRingFull)));
                steps
            },
            answer: "the dirty ring was full, however much was taken out",
        },
    ];
    check(&probes, true, |state| state.ring = Some(Logged::default()));
    let none = [Probe {
        name: "there is none",
        stop: "ring",
        script: || measured([]),
        answer: "this VM has no dirty ring",
    }];
    check(&none, true, |_| {});
}
