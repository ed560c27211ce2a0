//! The steps of a case: what a sound machine with a sound guest does, of which each row changes one thing.

use crate::fake::{State, Step};
use fred::control::CR4_FRED;
use fred::event::vector;
use kvm_bindings::{KVM_INTERNAL_ERROR_DELIVERY_EV, kvm_vcpu_events};
use midflight::image::{Case, DeliveryMode, Image, Place};
use protocol::compared;
use protocol::doorbell::Doorbell;
use protocol::mailbox::{Mailbox, Verdict};
use protocol::port;
use vm::{Exit, PageAccess, RunMode};
use zerocopy::IntoBytes;

/// Makes the steps of a case.
pub(crate) struct CaseScript<'i> {
    pub(crate) image: &'i Image,
    pub(crate) case: &'i Case,
    pub(crate) index: u16,
    pub(crate) delivery: DeliveryMode,
}

impl CaseScript<'_> {
    /// The image has booted, and has set CR4.FRED where it is to use FRED.
    pub(crate) fn ready(&self) -> Step {
        let fred = self.delivery == DeliveryMode::Fred;
        ring(Doorbell::Ready).with(move |state| state.sregs.cr4 |= if fred { CR4_FRED } else { 0 })
    }

    /// The case is armed: it must have been chosen.
    pub(crate) fn armed(&self) -> Step {
        let (mailbox, index, act) = (self.image.mailbox, self.index, self.case.act);
        ring(Doorbell::Armed(index))
            .only_if(move |state| state.word(mailbox + CASE_AT) == u32::from(index))
            .with(move |state| {
                state.regs.rip = act;
                state.write(mailbox + ENTRIES_AT, &0_u32.to_le_bytes());
            })
    }

    /// `Ready` and `Armed`.
    pub(crate) fn begun(&self) -> Vec<Step> {
        vec![self.ready(), self.armed()]
    }

    /// The case's exception is in flight at its act.
    pub(crate) fn in_flight(&self) -> impl FnOnce(&mut State) + use<> {
        let act = self.case.act;
        move |state| {
            state.regs.rip = act;
            state.events = kvm_vcpu_events { nmi: state.events.nmi, ..injected(vector::PF) };
        }
    }

    /// The page at `place` refuses the delivery as `stop` says: `block`, `hole` and so on. The host must have
    /// made it refuse.
    pub(crate) fn refused(&self, stop: &str, place: Place) -> Step {
        let page = self.image.pages.at(place);
        let (access, exit) = match stop {
            "block" => (PageAccess::Blocked, Exit::Fault { gpa: Some(page) }),
            "private" => (PageAccess::Private, Exit::Fault { gpa: Some(page + 8) }),
            "uffd" => (PageAccess::Userfault, Exit::Interrupted),
            "hole" => (PageAccess::Hole, delivery_failed()),
            _ => (PageAccess::ReadOnly, delivery_failed()),
        };
        Step::returns(exit).only_if(move |state| state.refuses(page, access)).with(self.in_flight())
    }

    /// As [`refused`](Self::refused), by `block@frame`.
    pub(crate) fn blocked(&self) -> Step {
        self.refused("block", Place::Frame)
    }

    /// The case is done, and its judge has written this; no page refuses anything any more.
    pub(crate) fn judged(&self, change: impl FnOnce(&mut Mailbox)) -> Step {
        let entries = self.case.entries(self.delivery);
        let least = compared::least(self.delivery == DeliveryMode::Fred, entries);
        let mut mailbox =
            Mailbox { verdict: Verdict::Pass as u32, compared: least, entries, ..Mailbox::EMPTY };
        change(&mut mailbox);
        let at = self.image.mailbox;
        ring(Doorbell::Done(self.index)).only_if(|state| state.page.is_none()).with(move |state| {
            state.events = kvm_vcpu_events::default();
            // What the host writes stays: the case, and what it has rewritten.
            let (case, list) = (state.word(at + CASE_AT), state.word(at + DISTURBANCES_AT));
            (mailbox.case, mailbox.disturbance_count) = (case, list);
            state.write(at, mailbox.as_bytes());
        })
    }

    /// The case is done and has passed.
    pub(crate) fn passed(&self) -> Step {
        self.judged(|_| {})
    }

    /// The case is done, and its event never came.
    pub(crate) fn lost(&self) -> Step {
        self.judged(|mailbox| {
            (mailbox.verdict, mailbox.entries) = (Verdict::Fail as u32, 0);
            mailbox.reason[..4].copy_from_slice(b"lost");
        })
    }

    /// A handler was entered.
    pub(crate) fn entered(&self) -> impl FnOnce(&mut State) + use<> {
        let at = self.image.mailbox + ENTRIES_AT;
        move |state| state.write(at, &1_u32.to_le_bytes())
    }

    /// The entry that the host abandons, with the case's exception injected.
    pub(crate) fn abandoned(&self) -> Step {
        let nr = self.case.cancel.map_or(vector::PF, |cancel| cancel.vector);
        Step::returns(Exit::Interrupted)
            .entered(|mode| mode == RunMode::SignalPending)
            .with(move |state| state.events = injected(nr))
    }
}

const CASE_AT: u64 = std::mem::offset_of!(Mailbox, case) as u64;
const ENTRIES_AT: u64 = std::mem::offset_of!(Mailbox, entries) as u64;
pub(crate) const DISTURBANCES_AT: u64 = std::mem::offset_of!(Mailbox, disturbance_count) as u64;

/// KVM_EXIT_INTERNAL_ERROR of a delivery that cannot go on.
pub(crate) fn delivery_failed() -> Exit {
    Exit::InternalError { suberror: KVM_INTERNAL_ERROR_DELIVERY_EV, data: vec![1, 2] }
}

/// The doorbell rings.
pub(crate) fn ring(doorbell: Doorbell) -> Step {
    Step::returns(Exit::IoOut { port: port::DOORBELL, size: 4, data: doorbell.encode().to_le_bytes().into() })
}

/// The image ends itself with `byte`.
pub(crate) fn ends(byte: u8) -> Step {
    Step::returns(Exit::IoOut { port: port::EXIT, size: 1, data: vec![byte] })
}

/// The input port is read, a byte.
pub(crate) fn input() -> Step {
    Step::returns(Exit::IoIn { port: port::INPUT, size: 1, count: 1 })
}

/// The I/O that the guest waits for is completed.
pub(crate) fn completed() -> Step {
    Step::returns(Exit::Interrupted).entered(|mode| mode == RunMode::ImmediateExit)
}

/// A signal ends KVM_RUN.
pub(crate) fn signalled() -> Step {
    Step::returns(Exit::Interrupted).entered(|mode| matches!(mode, RunMode::SignalAfter(_)))
}

/// A queue with this exception injected.
pub(crate) fn injected(nr: u8) -> kvm_vcpu_events {
    let mut events = kvm_vcpu_events::default();
    (events.exception.injected, events.exception.nr) = (1, nr);
    events
}

/// A queue with this exception pending.
pub(crate) fn pending(nr: u8) -> kvm_vcpu_events {
    let mut events = kvm_vcpu_events::default();
    (events.exception.pending, events.exception.nr) = (1, nr);
    events
}
