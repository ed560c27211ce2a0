//! Stopping a delivery half-way, and proving it.
//!
//! | module | stops |
//! |---|---|
//! | `refused` | a page, or one access, refuses the delivery: `block`, `private`, `uffd`, `hole`, `read-only`, `access` |
//! | `queued` | the event is in the queue and the guest was not entered: `cancel`, `io` |
//! | `ring` | the dirty ring is full once the delivery has written: `ring` |
//! | `evict` | the kernel stops the delivery by itself: `evict` |
//! | `signalled` | a signal has ended KVM_RUN wherever the guest was: `storm` |
//! | `aim` | when such signals come |

mod action;
mod cancel;
mod evict;
mod page;
pub mod probe;
mod ring;
mod stop;
pub mod storm;

pub use action::{Action, Migration};
pub use evict::{Evicted, evict};
pub use ring::{NotFilled, ROOM as DIRTY_RING_ROOM, fill as fill_dirty_ring, prepare as prepare_dirty_ring};
pub use stop::Stop;

use crate::image::{Case, Delivery, Place};
use crate::session::{Session, Stopped};
use kvm_bindings::{kvm_regs, kvm_vcpu_events};
use protocol::disturbance::Phase;
use serde::{Deserialize, Serialize};
use vm::Queue;
use vm::{PageAccess, VcpuError};

/// How it is known that the delivery was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// The queue shows the event in flight.
    Queue,
    /// The only refused page is one that nothing but the delivery touches: KVM_RUN failed on it, RIP
    /// is at the act or behind it, and no handler was entered.
    Page,
    /// The host queued the event itself.
    Synthetic,
    /// A page that nothing but the delivery touches was missing from the guest's mapping when the act
    /// began, and behind it it was there again: the kernel has met its absence.
    Refault,
}

/// A proved cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// How it was proved.
    pub proof: Proof,
    /// Whether the event's own effects on CR2 and DR6 are still to come.
    pub phase: Phase,
    /// What the queue held, for people.
    pub queue: String,
    /// RIP at the cut.
    pub rip: u64,
    /// What a second KVM_RUN made of the event.
    pub second_run: SecondRun,
}

/// What became of a cut event when KVM_RUN was entered again with the stop still in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecondRun {
    /// It failed in the same way with the same state, or was not tried.
    Kept,
    /// The event was gone: the guest ran to the end of the case.
    RanOn,
    /// It failed again, and the event was not the same any more.
    Changed(String),
}

/// The delivery was not cut.
#[derive(Debug, thiserror::Error)]
pub enum NoCut {
    /// A call failed.
    #[error(transparent)]
    Vcpu(#[from] VcpuError),
    /// The guest stopped for another reason.
    #[error("the guest stopped elsewhere")]
    Elsewhere(Stopped),
    /// The machine did what it must not.
    #[error("{0}")]
    Machine(String),
    /// It stopped, but nothing proves that an event was half-way.
    #[error("{0}")]
    Unproved(String),
}

/// What is looked at when the guest stands still.
#[derive(Clone, Debug, PartialEq)]
struct Look {
    regs: kvm_regs,
    events: kvm_vcpu_events,
    entries: u32,
}

impl Look {
    fn at(session: &mut Session<'_>) -> Result<Self, VcpuError> {
        let events = session.vcpu.events()?;
        Ok(Self { regs: session.vcpu.regs()?, events, entries: session.entries()? })
    }

    fn in_flight(&self) -> bool {
        let events = &self.events;
        events.exception.injected != 0 || events.interrupt.injected != 0 || events.nmi.injected != 0
    }

    /// What is not as it was, beyond the queue and RIP: ` (NAME 0x1 -> 0x2)`, or nothing.
    fn changes_since(&self, before: &Self) -> String {
        let of = |look: &Self| {
            [
                ("RFLAGS", look.regs.rflags),
                ("RSP", look.regs.rsp),
                ("interrupt shadow", look.events.interrupt.shadow.into()),
                ("NMI mask", look.events.nmi.masked.into()),
                ("flags", look.events.flags.into()),
            ]
        };
        let changed = of(before).into_iter().zip(of(self)).filter(|(old, new)| old != new);
        let each = changed.map(|((name, old), (_, new))| format!("{name} {old:#x} -> {new:#x}"));
        match each.collect::<Vec<_>>().join(", ") {
            none if none.is_empty() => none,
            some => format!(" ({some})"),
        }
    }

    /// Whether the event's own effects on registers are still to come. They come when the payload
    /// leaves the queue: at delivery, when somebody looks at the queue without the capability, and on
    /// older kernels (6.1) as soon as it is queued.
    fn phase(&self) -> Phase {
        let exception = &self.events.exception;
        let waits = exception.pending != 0 && exception.injected == 0;
        if waits && self.events.exception_has_payload != 0 { Phase::Before } else { Phase::After }
    }

    fn cut(&self, proof: Proof, phase: Phase) -> Cut {
        let queue = Queue(&self.events).to_string();
        Cut { proof, phase, queue, rip: self.regs.rip, second_run: SecondRun::Kept }
    }
}

/// The event queue as user space sees it now, for people.
///
/// # Errors
/// When it cannot be read.
pub fn queue(session: &mut Session<'_>) -> Result<String, VcpuError> {
    Ok(Queue(&session.vcpu.events()?).to_string())
}

/// Cuts the delivery of `case`, whose `Armed` has just rung.
///
/// # Errors
/// When no cut can be proved.
pub fn cut(
    session: &mut Session<'_>,
    case: &Case,
    stop: Stop,
    delivery: Delivery,
    payload: bool,
) -> Result<Cut, NoCut> {
    if let (Some(access), Some(place)) = (stop.page_access(), stop.place()) {
        return page::page(session, case, place, access);
    }
    match stop {
        Stop::Cancel => {
            let Some(event) = case.cancel else {
                return Err(NoCut::Unproved("the case does not say how its event is synthesised".into()));
            };
            cancel::cancel(session, &event, delivery, payload)
        }
        Stop::Io => cancel::io(session, case),
        Stop::Ring => ring::full(session, case),
        Stop::Access(number, _) => page::access(session, case, number),
        other => Err(NoCut::Unproved(format!("{other} is no stop at which the guest stands still"))),
    }
}

/// Cuts the delivery that `first` has cut once more, in the same way. An access is the delivery's
/// second try's.
///
/// # Errors
/// When no cut can be proved.
pub fn cut_again(session: &mut Session<'_>, case: &Case, stop: Stop, first: &Cut) -> Result<Cut, NoCut> {
    let mut again = match (stop, stop.place(), stop.page_access()) {
        (_, Some(place), Some(access)) => page::page_again(session, case, place, access)?,
        (Stop::Access(_, Some(second)), ..) => page::access(session, case, second)?,
        _ => cancel::abandon(session)?,
    };
    // What was pending is injected once its entry has been prepared.
    let same = match stop {
        Stop::Io => again.rip == first.rip,
        _ => (&again.queue, again.rip) == (&first.queue, first.rip),
    };
    if !same && again.second_run == SecondRun::Kept {
        let place = session.image().describe_address(again.rip);
        again.second_run = SecondRun::Changed(format!("{} at {place}", again.queue));
    }
    Ok(again)
}

/// Whether the page of the frame is logged as written, where `stop` logs pages at all.
pub fn is_logged(session: &mut Session<'_>, stop: Stop) -> bool {
    let page = session.image().pages.at(Place::Frame);
    stop != Stop::Ring || session.vcpu.dirty_ring().is_none_or(|ring| ring.holds(page))
}

/// Lets the guest go on after a cut.
///
/// # Errors
/// When the page cannot be opened, or the ring not be emptied.
pub fn release(session: &mut Session<'_>, stop: Stop) -> Result<(), VcpuError> {
    if let (Some(_), Some(place)) = (stop.page_access(), stop.place()) {
        let page = session.image().pages.at(place);
        return session.vcpu.set_page_access(page, PageAccess::Open);
    }
    match session.vcpu.dirty_ring() {
        Some(ring) => ring.harvest(u32::MAX),
        None => Ok(()),
    }
}
