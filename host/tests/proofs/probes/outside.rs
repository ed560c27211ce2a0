//! A signal must end KVM_RUN near an event, and what the host injects must be taken.

use super::{FRAME, HANDLER, Probe, check, delivered, measured};
use crate::case_script::signalled;
use crate::fake::Step;
use vm::Exit;

#[test]
fn a_signal_must_end_kvm_run_near_an_event() {
    let probes = [
        Probe {
            name: "after an instruction of the act's",
            stop: "storm",
            script: || {
                measured([
                    delivered().only_if(|state| state.evicted.contains(&FRAME)),
                    signalled(),
                    signalled().with(|state| state.regs.rip += 1),
                ])
            },
            answer: "works",
        },
        Probe {
            name: "the guest ends",
            stop: "storm",
            script: || measured([delivered(), Step::returns(Exit::Shutdown)]),
            answer: "the #UD became a triple fault",
        },
        Probe {
            name: "the guest ends without a signal",
            stop: "storm",
            script: || measured([Step::returns(Exit::Shutdown)]),
            answer: "the #UD became a triple fault",
        },
        Probe {
            name: "only in the handler, or not at all",
            stop: "storm",
            script: || {
                let mut steps = measured([delivered()]);
                let in_handler = || signalled().with(|state| state.regs.rip = HANDLER);
                steps.extend((0..50).flat_map(|_| [in_handler(), delivered()]));
                steps
            },
            answer: "of 50 signals in 100 guests none ended KVM_RUN between an instruction before the #UD and its handler",
        },
    ];
    check(&probes, true, |_| {});
    let refuses = [Probe {
        name: "the host cannot evict",
        stop: "storm",
        script: || measured([]),
        answer: "madvise failed: no (errno 22)",
    }];
    check(&refuses, true, |state| state.fails = Some("madvise"));
}

#[test]
fn what_the_host_injects_must_be_taken() {
    let takes = |stop| Probe { name: stop, stop, script: || measured([]), answer: "works" };
    check(&[takes("nmi"), takes("interrupt")], true, |_| {});
    let refuses = |stop, answer| [Probe { name: stop, stop, script: || measured([]), answer }];
    check(&refuses("nmi", "KVM_NMI failed: no (errno 22)"), true, |state| state.fails = Some("KVM_NMI"));
    check(&refuses("interrupt", "KVM_INTERRUPT failed: no (errno 22)"), true, |state| {
        state.fails = Some("KVM_INTERRUPT");
    });
    let counts = [Probe { name: "counts", stop: "access@0", script: || measured([]), answer: "works" }];
    check(&counts, true, |state| state.access = Some(0));
    let cannot = Probe {
        name: "cannot count",
        stop: "access@0",
        script: || measured([]),
        answer: "this machine cannot refuse single accesses",
    };
    let no_return = Probe { name: "cannot count those of returns", stop: "return@0", ..cannot };
    let can_return =
        Probe { name: "counts those of returns", stop: "return@0", script: || measured([]), answer: "works" };
    check(&[cannot, no_return], true, |_| {});
    check(&[can_return], true, |state| state.access = Some(0));
}
