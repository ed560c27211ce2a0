//! A delivery that was cut, and how that is proved.

use crate::image::{Address, Case};
use crate::session::{Session, Stopped};
use kvm_bindings::{kvm_regs, kvm_vcpu_events};
use protocol::disturbance::Phase;
use serde::{Deserialize, Serialize};
use vm::VcpuError;
use vm::explain::ShownQueue;

/// How it is known that the delivery was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// The queue shows the event in flight.
    Queue,
    /// The only refused page is one that nothing but the delivery touches: KVM_RUN failed on it, RIP
    /// is at the act or at the instruction after it, and no handler was entered.
    Page,
    /// The host queued the event itself.
    Synthetic,
    /// A page that nothing but the delivery touches was missing from the guest's mapping when the act
    /// began, and after it it was there again: the kernel has met its absence.
    Refault,
    /// The machine has refused an access of an event return, and no event is in flight.
    Return,
    /// The page has refused an access while RIP was in the act, and no event is in flight.
    Act,
}

/// A proved cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// How it was proved.
    pub proof: Proof,
    /// Whether the event's own effects on CR2 and DR6 are still to come.
    pub phase: Phase,
    /// The queue at the cut; `None` if the guest was not stopped there.
    pub queue: Option<ShownQueue>,
    /// RIP at the cut.
    pub rip: u64,
    /// The event after a second KVM_RUN.
    pub second_run: SecondRun,
}

impl Cut {
    /// The cut of a delivery that was cut `before`: its event must be the same still.
    pub(super) fn again(self, before: &Self, session: &Session<'_>) -> Self {
        let same = (&self.queue, self.rip) == (&before.queue, before.rip);
        self.of_the_same(same, session)
    }

    /// The cut of a delivery that was cut before: whether its event is the `same` still.
    pub(super) fn of_the_same(mut self, same: bool, session: &Session<'_>) -> Self {
        if !same {
            let at = Some(session.image().describe_address(self.rip));
            self.second_run = SecondRun::Changed(Changed { queue: self.queue, at, changes: Vec::new() });
        }
        self
    }
}

/// The fate of the event in flight when KVM_RUN was entered again with the stop still in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecondRun {
    /// It failed in the same way with the same state, or was not tried.
    Kept,
    /// The event was gone: the guest ran to the end of the case.
    RanOn,
    /// It failed again, and the event was not the same any more.
    Changed(Changed),
}

/// How an event changed at a second KVM_RUN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Changed {
    /// The queue.
    pub queue: Option<ShownQueue>,
    /// Where the guest was.
    #[serde(default)]
    pub at: Option<Address>,
    /// Other state that changed.
    #[serde(default)]
    pub changes: Vec<Change>,
}

/// A value of the guest's that was not as it had been.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Its name.
    pub field: String,
    /// What it was.
    pub before: u64,
    /// What it is.
    pub after: u64,
}

/// The delivery was not cut.
#[derive(Debug, thiserror::Error)]
pub enum NoCut {
    /// A call failed.
    #[error(transparent)]
    Vcpu(#[from] VcpuError),
    /// The guest stopped for another reason.
    #[error("the guest stopped at an unexpected place")]
    Unexpected(Stopped),
    /// The machine did something that is wrong.
    #[error("{0}")]
    Machine(String),
    /// The entry was cancelled, and the event that it was to inject is lost from the queue.
    #[error("the event is gone from the queue: {0}")]
    Gone(ShownQueue),
    /// It stopped, but nothing proves that an event was in flight.
    #[error("{0}")]
    Unproved(String),
}

/// The state that is read when the guest is stopped.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Look {
    pub(super) regs: kvm_regs,
    pub(super) events: kvm_vcpu_events,
    pub(super) entries: u32,
}

impl Look {
    pub(super) fn at(session: &mut Session<'_>) -> Result<Self, VcpuError> {
        let events = session.vcpu.events()?;
        Ok(Self { regs: session.vcpu.regs()?, events, entries: session.entries()? })
    }

    /// A guest that was stopped before a handler was entered; `what` has happened too late otherwise.
    pub(super) fn in_time(session: &mut Session<'_>, what: &str) -> Result<Self, NoCut> {
        let look = Self::at(session)?;
        match look.entries {
            0 => Ok(look),
            _ => Err(NoCut::Unproved(format!("{what} only after a handler was entered"))),
        }
    }

    /// What proves that a refused access belongs to the case's delivery: the queue, or where it shows
    /// nothing (events of software, and events that this hypervisor has lost) the page alone, which
    /// nothing else touches, with RIP where the event leaves it.
    pub(super) fn proof(&self, session: &Session<'_>, case: &Case) -> Result<Proof, NoCut> {
        if self.in_flight() {
            return Ok(Proof::Queue);
        }
        if self.regs.rip == case.act || self.regs.rip == case.after {
            return Ok(Proof::Page);
        }
        let place = session.image().describe_address(self.regs.rip);
        Err(NoCut::Unproved(format!("the queue is empty and RIP is at {place}, not at the act")))
    }

    pub(super) fn in_flight(&self) -> bool {
        let events = &self.events;
        events.exception.injected != 0 || events.interrupt.injected != 0 || events.nmi.injected != 0
    }

    /// State that changed, besides the queue and RIP.
    pub(super) fn changes_since(&self, before: &Self) -> Vec<Change> {
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
        changed.map(|((name, before), (_, after))| Change { field: name.to_owned(), before, after }).collect()
    }

    /// Whether the event's own effects on registers are still to come. They come when the payload
    /// leaves the queue: at delivery, when the queue is read without the capability, and on
    /// older kernels (6.1) as soon as it is queued.
    pub(super) fn phase(&self) -> Phase {
        let exception = &self.events.exception;
        let waits = exception.pending != 0 && exception.injected == 0;
        if waits && self.events.exception_has_payload != 0 { Phase::Before } else { Phase::After }
    }

    pub(super) fn cut(&self, proof: Proof, phase: Phase) -> Cut {
        let queue = Some(ShownQueue::from(&self.events));
        Cut { proof, phase, queue, rip: self.regs.rip, second_run: SecondRun::Kept }
    }
}

/// The event queue as user space sees it now. Fails when it cannot be read.
pub fn queue(session: &mut Session<'_>) -> Result<ShownQueue, VcpuError> {
    Ok(ShownQueue::from(&session.vcpu.events()?))
}
