//! One try of each stop.

use super::Support;
use super::guest::{Guest, INPUT, Progress};
use crate::image::Place;
use crate::stops::{DIRTY_RING_ROOM, NotFilled, fill_dirty_ring};
use fred::event::vector;
use kvm_bindings::{KVM_INTERNAL_ERROR_DELIVERY_EV, KVM_VCPUEVENT_VALID_PAYLOAD};
use protocol::note::INTERRUPT;
use vm::{Exit, PageAccess, RunMode, VcpuError, explain};

/// Payload of the #PF that [`cancel`] sets: an address that the guest never uses.
const FAULT_ADDRESS: u64 = 0x1234_5000;

/// A page that the delivery of UD2's exception touches, and nothing else, refuses it.
///
/// So a run that ends because of the page, and not in a handler, was stopped in delivery. Neither the
/// queue nor RIP nor a second run is asked: what becomes of the exception is for the scenarios to judge.
pub(in crate::stops) fn refused(
    mut guest: Guest,
    place: Place,
    access: PageAccess,
) -> Result<Support, VcpuError> {
    if let Err(error) = guest.vcpu.set_page_access(Guest::page(place), access) {
        return Ok(Support::NotOffered(error.to_string()));
    }
    let what = match access {
        PageAccess::Hole => "with no memory slot for the page",
        PageAccess::ReadOnly => "with the page in a read-only memory slot",
        PageAccess::Userfault => "with the page missing and a signal pending",
        _ => "with the page blocked",
    };
    Ok(match (access, guest.run(RunMode::Normal)?) {
        (_, Progress::Delivered) => Support::Silent,
        (PageAccess::Blocked | PageAccess::Private, Progress::Exit(Exit::Fault { .. }))
        | (PageAccess::Userfault, Progress::Exit(Exit::Interrupted))
        | (
            PageAccess::Hole | PageAccess::ReadOnly,
            Progress::Exit(Exit::InternalError { suberror: KVM_INTERNAL_ERROR_DELIVERY_EV, .. }),
        ) if !guest.is_in_handler()? => Support::Works,
        (_, other) => Support::Wrong(format!("{} {what}", sentence("#UD", &other))),
    })
}

/// A page that the delivery touches leaves the guest's mapping, and the kernel maps it again.
pub(in crate::stops) fn evict(mut guest: Guest, place: Place) -> Result<Support, VcpuError> {
    let page = Guest::page(place);
    if let Err(error) = guest.vcpu.evict(page) {
        return Ok(Support::NotOffered(error.to_string()));
    }
    if guest.vcpu.is_resident(page)? {
        return Ok(Support::NotOffered("the page cannot be taken out of the guest's mapping".into()));
    }
    // Whatever else the guest comes to, the host may take the page away whenever it likes, and a scenario
    // will fail for it.
    Ok(match guest.run(RunMode::Normal)? {
        Progress::Delivered if !guest.vcpu.is_resident(page)? => {
            Support::Wrong("the #UD was delivered without the missing page".into())
        }
        _ => Support::Works,
    })
}

/// `ring`: the page of the frame is the one that fills the dirty ring.
pub(in crate::stops) fn ring(mut guest: Guest) -> Result<Support, VcpuError> {
    match fill_dirty_ring(guest.vcpu.as_mut()) {
        Ok(()) => {}
        // A write that is not logged is no missing ring: a scenario will fail.
        Err(NotFilled::NotLogged(_)) => return Ok(Support::Works),
        Err(NotFilled::Elsewhere(exit)) => {
            return Ok(Support::Wrong(format!("{} while the dirty ring was filled", explain::exit(&exit))));
        }
        Err(other @ (NotFilled::Vcpu(_) | NotFilled::NoRing)) => {
            return Ok(Support::NotOffered(other.to_string()));
        }
    }
    let page = Guest::page(Place::Frame);
    guest.vcpu.evict(page)?;
    for _ in 0..DIRTY_RING_ROOM {
        if let Some(ring) = guest.vcpu.dirty_ring() {
            ring.harvest(1)?;
        }
        match guest.run(RunMode::Normal)? {
            Progress::Exit(Exit::DirtyRingFull) if !guest.vcpu.is_resident(page)? => {}
            Progress::Exit(Exit::DirtyRingFull) if !guest.is_in_handler()? => return Ok(Support::Works),
            Progress::Exit(Exit::DirtyRingFull) => {
                let what = "the #UD was delivered before KVM_RUN returned because of the full dirty ring";
                return Ok(Support::Wrong(what.into()));
            }
            Progress::Delivered => {
                let logged = guest.vcpu.dirty_ring().is_none_or(|ring| ring.holds(page));
                return Ok(if logged { Support::Silent } else { Support::Works });
            }
            other => {
                return Ok(Support::Wrong(format!("{} with the dirty ring full", sentence("#UD", &other))));
            }
        }
    }
    Ok(Support::Wrong("the dirty ring was full, however much was taken out".into()))
}

/// `cancel`: a #PF set by the host, and a signal pending inside KVM_RUN.
///
/// Without the payload capability KVM_SET_VCPU_EVENTS drops pending exceptions, so it is set as
/// injected there.
pub(in crate::stops) fn cancel(mut guest: Guest, payload: bool) -> Result<Support, VcpuError> {
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
    // Still pending, it was abandoned before injection was prepared. Neither, it was lost: a stop,
    // and a scenario that will fail.
    let events = guest.vcpu.events()?;
    if events.exception.injected == 0 && events.exception.pending != 0 {
        return Ok(Support::Wrong(format!("the #PF was left pending {what}")));
    }
    Ok(Support::Works)
}

/// `io`: IN under RFLAGS.TF, completed without entering the guest.
///
/// A #DB that the queue does not hold then is lost, which is for the scenarios to find, or it is raised
/// by the next entry, and then there is no such stop.
pub(in crate::stops) fn io(mut guest: Guest) -> Result<Support, VcpuError> {
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
    let exception = guest.vcpu.events()?.exception;
    if exception.injected != 0 || exception.pending != 0 {
        return Ok(Support::Works);
    }
    Ok(match guest.run(RunMode::Normal)? {
        Progress::Delivered => {
            Support::Wrong(format!("the #DB is raised by the next entry only, not {what}"))
        }
        _ => Support::Works,
    })
}

/// Whether the host may inject an NMI. Whether it comes, and when, is the scenarios' question.
pub(in crate::stops) fn nmi(mut guest: Guest) -> Support {
    accepted(guest.vcpu.nmi())
}

/// Whether the host may inject an external interrupt.
pub(in crate::stops) fn interrupt(mut guest: Guest) -> Support {
    accepted(guest.vcpu.interrupt(INTERRUPT))
}

fn accepted(answer: Result<(), VcpuError>) -> Support {
    answer.map_or_else(|error| Support::NotOffered(error.to_string()), |()| Support::Works)
}

pub(in crate::stops) fn sentence(event: &str, progress: &Progress) -> String {
    match progress {
        Progress::Delivered => format!("the {event} was delivered"),
        Progress::DoubleFault => format!("the {event} became a double fault in the guest"),
        Progress::Exit(Exit::Shutdown) => format!("the {event} became a triple fault"),
        Progress::Exit(Exit::Interrupted | Exit::Deadline) => {
            format!("the {event} was not delivered in time")
        }
        // Its data differ with each page.
        Progress::Exit(Exit::InternalError { suberror, .. }) => {
            let bare = Exit::InternalError { suberror: *suberror, data: Vec::new() };
            format!("{} instead of the {event}", explain::exit(&bare))
        }
        Progress::Exit(other) => format!("{} instead of the {event}", explain::exit(other)),
    }
}
