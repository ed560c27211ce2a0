//! `abandon`: a page refuses the delivery, and then the entry that injects the event again is abandoned.
//!
//! As `cancel`, but with an event that the processor has met: of any type, also those that the host cannot
//! queue and that the queue does not show. Such a one is proved by the page; the abandoned entry must leave
//! everything as the page has.

use super::action::{AGAIN, Action};
use super::block::Block;
use super::cut::{Cut, Look, NoCut};
use super::how::{Again, CutAgain, CutStop, How, StopFacts, Target, Way, one_id};
use super::page;
use super::probe::{Prober, Support};
use crate::image::{Case, Place};
use crate::session::{Session, Stopped};
use vm::{Exit, PageAccess, RunMode, VcpuError};

/// With the capability on. Off, the entry before is `block@frame`'s, and `cancel` abandons another.
const ACTIONS: [Action; 3] = [Action::RESUME, Action::MIGRATE_DISTURB, AGAIN];

/// An event that the processor has met, and whose entry is abandoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Abandon;

impl How for Abandon {
    one_id!("abandon");

    fn facts(&self) -> StopFacts {
        StopFacts { place: Some(Place::Frame), ..StopFacts::ORDINARY }
    }

    fn words(&self) -> String {
        "The page that the frame is pushed to refuses the delivery. Then the page is opened, and the VM entry that is to \
         inject the event again is abandoned because of a pending signal."
            .to_owned()
    }

    fn applies(&self, target: &Target<'_>) -> bool {
        page::applies(Place::Frame, target)
    }

    fn actions(&self, payload: bool) -> &'static [Action] {
        if payload { &ACTIONS } else { &[] }
    }

    /// What `block@frame` needs: that an entry can be abandoned is a signal's nature, and what becomes of the
    /// event is for the scenarios to judge.
    fn probe(&self, prober: &Prober<'_>) -> Result<Support, VcpuError> {
        Block(Place::Frame).probe(prober)
    }

    fn way(&self) -> Way<'_> {
        Way::Cut(self)
    }
}

impl CutStop for Abandon {
    fn cut(&self, session: &mut Session<'_>, target: &Target<'_>) -> Result<Cut, NoCut> {
        let (_, refused) = page::stop::<Block>(session, target.case, Place::Frame)?;
        self.release(session)?;
        abandon(session, &refused)
    }

    fn again(&self) -> Again<'_> {
        Again::AsOften(self)
    }

    fn release(&self, session: &mut Session<'_>) -> Result<(), VcpuError> {
        session.vcpu.set_page_access(session.image().pages.at(Place::Frame), PageAccess::Open)
    }
}

impl CutAgain for Abandon {
    fn cut_again(&self, session: &mut Session<'_>, _: &Case, before: &Cut) -> Result<Cut, NoCut> {
        abandon(session, before)
    }
}

/// Abandons an entry; the event must be the one of the cut `before`.
fn abandon(session: &mut Session<'_>, before: &Cut) -> Result<Cut, NoCut> {
    match session.vcpu.run(RunMode::SignalPending)? {
        Exit::Interrupted => {}
        other => return Err(NoCut::Unexpected(Stopped::Exit(other))),
    }
    let look = Look::in_time(session, "the entry was abandoned")?;
    Ok(look.cut(before.proof, before.phase).again(before, session))
}
