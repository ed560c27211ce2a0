//! One try of each stop.

use super::Support;
use super::guest::{Guest, INPUT, Progress};
use crate::vcpu::{Exit, Protection, RunMode, VcpuError};
use fred::event::vector;
use kvm_bindings::{KVM_VCPUEVENT_VALID_PAYLOAD, kvm_vcpu_events};

/// Payload of the #PF that [`cancel`] sets: an address that the guest never uses.
const FAULT_ADDRESS: u64 = 0x1234_5000;

/// `block@frame`: UD2 while the frame's page refuses every access.
///
/// Both failed runs must leave the exception in the queue: the second shows that the event was
/// re-injected and not merely left over.
pub(super) fn block(mut guest: Guest) -> Result<Support, VcpuError> {
    if let Err(error) = guest.protect_frame(Protection::Blocked) {
        return Ok(Support::NotOffered(error.to_string()));
    }
    for attempt in ["first", "second"] {
        let what = format!("on the {attempt} run with its frame page blocked");
        match guest.run(RunMode::Normal)? {
            Progress::Exit(Exit::Fault { .. }) => {}
            Progress::Delivered => return Ok(Support::Silent),
            other => return Ok(Support::Wrong(format!("{} {what}", sentence("#UD", &other)))),
        }
        let events = guest.vcpu.events()?;
        if !in_flight(&events, vector::UD) {
            return Ok(Support::Wrong(format!("{} {what}", queue_sentence("#UD", &events))));
        }
    }
    guest.protect_frame(Protection::Open)?;
    delivered_once(&mut guest, "#UD", "after its frame page was opened")
}

/// `cancel`: a #PF set by the host, and a signal pending inside KVM_RUN.
///
/// Without the payload capability KVM_SET_VCPU_EVENTS drops pending exceptions, so it is set as
/// injected there and must still be so after the cancelled entry.
pub(super) fn cancel(mut guest: Guest, payload: bool) -> Result<Support, VcpuError> {
    let mut events = guest.vcpu.events()?;
    events.exception.nr = vector::PF;
    events.exception.has_error_code = 1;
    if payload {
        events.exception.pending = 1;
        events.flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
        events.exception_has_payload = 1;
        events.exception_payload = FAULT_ADDRESS;
    } else {
        events.exception.injected = 1;
    }
    if let Err(error) = guest.vcpu.set_events(&events) {
        return Ok(Support::NotOffered(format!("an exception cannot be put in the queue: {error}")));
    }
    let what = "when an entry with a signal pending was to be cancelled";
    match guest.run(RunMode::SignalPending) {
        Err(error) => return Ok(Support::NotOffered(format!("an entry cannot be cancelled: {error}"))),
        Ok(Progress::Exit(Exit::Interrupted)) => {}
        Ok(Progress::Delivered) => return Ok(Support::Silent),
        Ok(other) => return Ok(Support::Wrong(format!("{} {what}", sentence("#PF", &other)))),
    }
    let events = guest.vcpu.events()?;
    if events.exception.injected != 1 || events.exception.nr != vector::PF {
        return Ok(Support::Wrong(format!("{} {what}", queue_sentence("#PF", &events))));
    }
    let cr2 = guest.vcpu.sregs()?.cr2;
    if payload && cr2 != FAULT_ADDRESS {
        return Ok(Support::Wrong(format!(
            "CR2 is {cr2:#x} instead of the payload {FAULT_ADDRESS:#x} although the #PF shows as injected"
        )));
    }
    delivered_once(&mut guest, "#PF", "after the cancelled entry")
}

/// `io`: IN under RFLAGS.TF, completed without entering the guest.
pub(super) fn io(mut guest: Guest) -> Result<Support, VcpuError> {
    match guest.run(RunMode::Normal)? {
        Progress::Exit(Exit::IoIn { port: INPUT, size: 1, count: 1 }) => {}
        other => return Ok(Support::Wrong(format!("{} at an IN under TF", sentence("#DB", &other)))),
    }
    guest.vcpu.set_io_data(&[protocol::port::INPUT_BYTE])?;
    let what = "when the IN was to be completed alone";
    match guest.run(RunMode::ImmediateExit)? {
        Progress::Exit(Exit::Interrupted) => {}
        Progress::Delivered => return Ok(Support::Silent),
        other => return Ok(Support::Wrong(format!("{} {what}", sentence("#DB", &other)))),
    }
    let events = guest.vcpu.events()?;
    if !in_flight(&events, vector::DB) {
        return Ok(Support::Wrong(format!("{} {what}", queue_sentence("#DB", &events))));
    }
    delivered_once(&mut guest, "#DB", "after the IN was completed")
}

fn delivered_once(guest: &mut Guest, event: &str, when: &str) -> Result<Support, VcpuError> {
    Ok(match guest.run(RunMode::Normal)? {
        Progress::Delivered => Support::Works,
        other => Support::Wrong(format!("{} {when}", sentence(event, &other))),
    })
}

/// Whether the queue holds the exception, pending or injected.
fn in_flight(events: &kvm_vcpu_events, nr: u8) -> bool {
    let exception = events.exception;
    exception.nr == nr && (exception.injected != 0 || exception.pending != 0)
}

fn sentence(event: &str, progress: &Progress) -> String {
    match progress {
        Progress::Delivered => format!("the {event} was delivered"),
        Progress::Misdelivered(how) => format!("the {event} was delivered wrongly ({how})"),
        Progress::DoubleFault => format!("the {event} became a double fault in the guest"),
        Progress::Exit(Exit::Shutdown) => format!("the {event} became a triple fault"),
        Progress::Exit(Exit::Fault { .. }) => format!("the delivery of the {event} failed with EFAULT"),
        Progress::Exit(Exit::Interrupted | Exit::Deadline) => {
            format!("the {event} was not delivered in time")
        }
        Progress::Exit(other) => format!("KVM_RUN ended with {other:?} instead of the {event}"),
    }
}

fn queue_sentence(event: &str, events: &kvm_vcpu_events) -> String {
    let exception = events.exception;
    format!(
        "the queue does not hold the {event} (injected={}, pending={}, nr={})",
        exception.injected, exception.pending, exception.nr
    )
}
