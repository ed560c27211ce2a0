//! Probes: what a machine must do for a stop to work on it, and what is said of one that does something else.

use crate::case_script::{delivery_failed, injected, pending, signalled};
use crate::fake::{Logged, Scripted, State, Step};
use fred::event::vector;
use kvm_bindings::kvm_vcpu_events;
use midflight::engine::questions::{Question, ask};
use vm::{Exit, PAGE, PageAccess, RunMode};

/// The probe's guest: its act, its handlers, the frame's page, the port that it reads, and those that its handlers
/// write to.
const ACT: u64 = 0x7000;
const HANDLER: u64 = 0x7040;
const FRAME: u64 = 0xA000;
const INPUT: u16 = 0x20;
const ENTERED: u16 = 0x10;
const DOUBLE_FAULT: u16 = 0x12;

/// A probe, and its answer.
#[derive(Clone, Copy)]
struct Probe {
    name: &'static str,
    stop: &'static str,
    script: fn() -> Vec<Step>,
    /// `works`, or the whole sentence.
    answer: &'static str,
}

const SILENT: &str = "the machine takes no notice of the stop and delivers the event";

fn out(port: u16) -> Step {
    Step::returns(Exit::IoOut { port, size: 1, data: vec![0] })
}

/// The handler is entered.
fn delivered() -> Step {
    out(ENTERED).with(|state| state.regs.rip = HANDLER)
}

/// The guest that is measured, and then these.
fn measured<const N: usize>(steps: [Step; N]) -> Vec<Step> {
    let mut all = vec![delivered()];
    all.extend(steps);
    all
}

fn pending_signal(step: Step) -> Step {
    step.entered(|mode| mode == RunMode::SignalPending)
}

fn immediate(step: Step) -> Step {
    step.entered(|mode| mode == RunMode::ImmediateExit)
}

#[track_caller]
fn check(probes: &[Probe], payload: bool, fresh: fn(&mut State)) {
    for Probe { name, stop, script, answer } in probes {
        let question = match *stop {
            "nmi" => Question::Nmi,
            "interrupt" => Question::Interrupt,
            stop => Question::Stop(stop.parse().unwrap()),
        };
        let mut machine = Scripted::new(script());
        machine.fresh = fresh;
        let seen = ask(&machine, payload, question).unwrap().to_string();
        assert_eq!((seen.as_str(), machine.left()), (*answer, 0), "{name}");
    }
}

/// The page refuses the delivery so.
fn refused(access: PageAccess, exit: Exit) -> Step {
    Step::returns(exit).only_if(move |state| state.refuses(FRAME, access))
}

#[test]
fn a_page_must_refuse_a_delivery() {
    let probes = [
        Probe {
            name: "block",
            stop: "block@frame",
            script: || measured([refused(PageAccess::Blocked, Exit::Fault { gpa: None })]),
            answer: "works",
        },
        Probe {
            name: "private",
            stop: "private@frame",
            script: || measured([refused(PageAccess::Private, Exit::Fault { gpa: Some(FRAME) })]),
            answer: "works",
        },
        Probe {
            name: "uffd",
            stop: "uffd@frame",
            script: || measured([refused(PageAccess::Userfault, Exit::Interrupted)]),
            answer: "works",
        },
        Probe {
            name: "hole",
            stop: "hole@frame",
            script: || measured([refused(PageAccess::Hole, delivery_failed())]),
            answer: "works",
        },
        Probe {
            name: "read-only",
            stop: "read-only@frame",
            script: || measured([refused(PageAccess::ReadOnly, delivery_failed())]),
            answer: "works",
        },
        Probe {
            name: "the event is delivered",
            stop: "block@frame",
            script: || measured([delivered()]),
            answer: SILENT,
        },
        Probe {
            name: "the page refuses the handler",
            stop: "block@frame",
            script: || {
                measured([Step::returns(Exit::Fault { gpa: None }).with(|state| state.regs.rip = HANDLER)])
            },
            answer: "KVM_RUN failed with EFAULT and named no address instead of the #UD with the page blocked",
        },
        Probe {
            name: "a double fault",
            stop: "hole@frame",
            script: || measured([out(DOUBLE_FAULT)]),
            answer: "the #UD became a double fault in the guest with no memory slot for the page",
        },
        Probe {
            name: "a triple fault",
            stop: "read-only@frame",
            script: || measured([Step::returns(Exit::Shutdown)]),
            answer: "the #UD became a triple fault with the page in a read-only memory slot",
        },
        Probe {
            name: "no exit in time",
            stop: "uffd@frame",
            script: || measured([Step::returns(Exit::Deadline)]),
            answer: "the #UD was not delivered in time with the page missing and a signal pending",
        },
        Probe {
            name: "another internal error, without its data",
            stop: "private@frame",
            script: || measured([Step::returns(Exit::InternalError { suberror: 9, data: vec![7] })]),
            answer: "KVM_EXIT_INTERNAL_ERROR, suberror 9 instead of the #UD with the page blocked",
        },
    ];
    check(&probes, true, |_| {});
    let refuses = [Probe {
        name: "the host cannot",
        stop: "block@frame",
        script: || measured([]),
        answer: "mprotect failed: no (errno 22)",
    }];
    check(&refuses, true, |state| state.fails = Some("mprotect"));
    let no_vm = [Probe {
        name: "there is no such VM",
        stop: "private@frame",
        script: || measured([]),
        answer: "KVM_CREATE_VM failed: no (errno 22)",
    }];
    check(&no_vm, true, |state| state.fails = Some("KVM_CREATE_VM"));
}

#[test]
fn a_page_must_leave_the_mapping() {
    let probes = [
        Probe {
            name: "and come back",
            stop: "evict@frame",
            script: || {
                measured([delivered().only_if(|state| state.evicted.contains(&FRAME)).with(|state| {
                    state.evicted.clear();
                })])
            },
            answer: "works",
        },
        Probe {
            name: "the event is delivered without it",
            stop: "evict@frame",
            script: || measured([delivered()]),
            answer: "the #UD was delivered without the missing page",
        },
        Probe {
            name: "whatever else happens the scenarios find",
            stop: "evict@frame",
            script: || measured([Step::returns(Exit::Shutdown)]),
            answer: "works",
        },
    ];
    check(&probes, true, |_| {});
    let refuses = [Probe {
        name: "the host cannot",
        stop: "evict@frame",
        script: || measured([]),
        answer: "madvise failed: no (errno 22)",
    }];
    check(&refuses, true, |state| state.fails = Some("madvise"));
    let stays = [Probe {
        name: "it stays",
        stop: "evict@frame",
        script: || measured([]),
        answer: "the page cannot be taken out of the guest's mapping",
    }];
    check(&stays, true, |state| state.pinned = true);
}

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
