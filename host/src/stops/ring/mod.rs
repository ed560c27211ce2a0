//! The dirty ring is full once the delivery has written: `ring`.
//!
//! The ring is filled up to its soft limit by a few instructions of the host's own, which the guest
//! executes in free memory while it is armed, and then a page at a time is taken out. So there is room
//! for one page until the delivery, which has to leave the guest for the frame's page, fills the ring:
//! KVM_RUN returns before it injects the event again.

mod fill;

use super::action::{Action, FEWER};
use super::cut::{Cut, Look, NoCut};
use super::how::{Again, CutStop, How, StopFacts, Target, Way, one_id};
use super::page;
use super::probe::guest::{ProbeAct, ProbeGuest, Progress};
use super::probe::{Prober, Support, sentence};
use crate::image::Place;
use crate::session::{Session, Stopped};
use fill::{NotFilled, ROOM, fill, ring};
use protocol::disturbance::Phase;
use vm::{Exit, RunMode, VcpuError, VmKind, explain};

/// A dirty ring with room for one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ring;

impl How for Ring {
    one_id!("ring");

    fn facts(&self) -> StopFacts {
        StopFacts { vm: VmKind::DirtyRing, ..StopFacts::ORDINARY }
    }

    fn words(&self) -> String {
        "The frame's page takes the last place in the dirty ring, so KVM_RUN returns after the delivery was interrupted and before \
         the event is injected again."
            .to_owned()
    }

    fn applies(&self, target: &Target<'_>) -> bool {
        page::applies(Place::Frame, target)
    }

    fn actions(&self, payload: bool) -> &'static [Action] {
        if payload { &FEWER } else { &[] }
    }

    fn probe(&self, prober: &Prober<'_>) -> Result<Support, VcpuError> {
        prober.with_guest(self.facts().vm, ProbeAct::Undefined, try_once)
    }

    fn way(&self) -> Way<'_> {
        Way::Cut(self)
    }
}

impl CutStop for Ring {
    /// Fills the ring, which the guest does by running.
    fn prepare(&self, session: &mut Session<'_>) -> Result<(), NoCut> {
        session.complete_io()?;
        Ok(fill(session.vcpu.as_mut())?)
    }

    fn cut(&self, session: &mut Session<'_>, target: &Target<'_>) -> Result<Cut, NoCut> {
        let page = session.image().pages.at(Place::Frame);
        session.vcpu.evict(page)?;
        for _ in 0..ROOM {
            ring(session.vcpu.as_mut())?.harvest(1)?;
            match session.advance_past_io()? {
                Stopped::Exit(Exit::DirtyRingFull) if session.vcpu.is_resident(page)? => {
                    let look = Look::in_time(session, "the dirty ring was full")?;
                    // Where no event is in flight, this KVM has checked its ring too late, or logged the page
                    // too late, or the event is lost.
                    return Ok(look.cut(look.proof(session, target.case)?, Phase::After));
                }
                // The limit itself, or a page that the act has written before its event.
                Stopped::Exit(Exit::DirtyRingFull) => {}
                other => return Err(NoCut::Unexpected(other)),
            }
        }
        Err(NoCut::Unproved("the dirty ring was full, however much was taken out".into()))
    }

    fn again(&self) -> Again<'_> {
        Again::Never
    }

    fn release(&self, session: &mut Session<'_>) -> Result<(), VcpuError> {
        session.vcpu.dirty_ring().map_or(Ok(()), |ring| ring.harvest(u32::MAX))
    }

    fn missed(&self, session: &mut Session<'_>) -> Option<&'static str> {
        let page = session.image().pages.at(Place::Frame);
        let is_logged = session.vcpu.dirty_ring().is_none_or(|ring| ring.holds(page));
        (!is_logged).then_some("the delivery wrote its frame, and the dirty ring does not hold the page")
    }
}

/// The page of the frame is the one that fills the dirty ring.
fn try_once(mut guest: ProbeGuest) -> Result<Support, VcpuError> {
    match fill(guest.vcpu.as_mut()) {
        Ok(()) => {}
        // A write that is not logged is no missing ring: a scenario will fail.
        Err(NotFilled::NotLogged(_)) => return Ok(Support::Works),
        Err(NotFilled::Unexpected(exit)) => {
            return Ok(Support::Wrong(format!("{} while the dirty ring was filled", explain::exit(&exit))));
        }
        Err(other @ (NotFilled::Vcpu(_) | NotFilled::NoRing)) => {
            return Ok(Support::NotOffered(other.to_string()));
        }
    }
    let page = ProbeGuest::page(Place::Frame);
    guest.vcpu.evict(page)?;
    for _ in 0..ROOM {
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
