//! What was in flight when a signal ended KVM_RUN.

use crate::image::Place;
use crate::session::Session;
use crate::stops::cut::{Cut, Look, Proof};
use vm::VcpuError;

/// What was in flight at a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The event in flight.
    Event(Cut),
    /// The handler was entered before.
    Handler,
    /// Everything as the signal before has left it.
    Still,
    /// The guest on its way to its event.
    OnTheWay,
}

/// A guest between `Armed` and its handler, looked at after each signal.
pub(super) struct Watch {
    last: Look,
}

impl Watch {
    /// Begins at `Armed`.
    ///
    /// The pages that deliveries touch leave the guest's mapping first, as for `evict`: a processor that
    /// delivers without its hypervisor leaves the guest at each, and where it never leaves it no signal
    /// meets an event. Fails when a page cannot be taken, or the guest not be looked at.
    pub(super) fn begin(session: &mut Session<'_>) -> Result<Self, VcpuError> {
        session.complete_io()?;
        for page in Place::ALL.map(|place| session.image().pages.at(place)) {
            session.vcpu.evict(page)?;
        }
        Ok(Self { last: Look::at(session)? })
    }

    /// Looks at a guest whose KVM_RUN a signal has ended. Fails when it cannot be looked at.
    pub(super) fn look(&mut self, session: &mut Session<'_>) -> Result<Found, VcpuError> {
        let look = Look::at(session)?;
        let found = if look.entries > 0 {
            Found::Handler
        } else if look.in_flight() || look.events.exception.pending != 0 {
            Found::Event(look.cut(Proof::Queue, look.phase()))
        } else if look == self.last {
            Found::Still
        } else {
            Found::OnTheWay
        };
        self.last = look;
        Ok(found)
    }

    /// Where the guest was seen last.
    pub(super) fn rip(&self) -> u64 {
        self.last.regs.rip
    }
}
