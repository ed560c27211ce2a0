//! A page must refuse a delivery, or leave the mapping.

use super::{DOUBLE_FAULT, FRAME, HANDLER, Probe, SILENT, check, delivered, measured, out};
use crate::case_script::delivery_failed;
use crate::fake::Step;
use vm::{Exit, PageAccess};

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

#[test]
fn a_page_must_refuse_what_an_instruction_reads() {
    /// The place of the probe's read.
    const READ: u64 = 0x7020;
    let probes = [
        Probe {
            name: "it does",
            stop: "act",
            script: || {
                let refused = refused(PageAccess::Blocked, Exit::Fault { gpa: None });
                measured([refused.with(|state| state.regs.rip = READ)])
            },
            answer: "works",
        },
        Probe {
            name: "it refuses something later",
            stop: "act",
            script: || {
                let refused = refused(PageAccess::Blocked, Exit::Fault { gpa: None });
                measured([refused.with(|state| state.regs.rip = HANDLER)])
            },
            answer: "KVM_RUN failed with EFAULT and named no address at a read of a page that is blocked",
        },
        Probe { name: "it is read", stop: "act", script: || measured([delivered()]), answer: SILENT },
        Probe {
            name: "a double fault",
            stop: "act",
            script: || measured([out(DOUBLE_FAULT)]),
            answer: "a read of a page that is blocked became a double fault in the guest",
        },
    ];
    check(&probes, true, |_| {});
}
