//! `act`: the page that frames are pushed to refuses an access of the act itself.
//!
//! No event is in flight then. What the host injects there must come where it would have come otherwise, at the earliest
//! after the shadow of STI or MOV SS; and what the instruction does, a trap included, is done once, when it runs again.
//! A guest that migrates there takes its shadow along.

use super::action::Action;
use super::cut::{Cut, Look, NoCut, Proof};
use super::event_return;
use super::how::{Again, CutStop, How, StopFacts, Target, Way, one_id};
use super::probe::guest::{ProbeAct, ProbeGuest, Progress};
use super::probe::{Prober, Support};
use crate::image::Place;
use crate::session::{Session, Stopped};
use protocol::disturbance::Phase;
use protocol::note::CaseFlags;
use vm::{Exit, PageAccess, RunMode, VcpuError, explain};

/// An access of the act that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Act;

impl How for Act {
    one_id!("act");

    fn facts(&self) -> StopFacts {
        StopFacts { of_the_act: true, place: Some(Place::Frame), ..StopFacts::ORDINARY }
    }

    fn words(&self) -> String {
        "The page that frames are pushed to refuses an access of the act itself. No event is in flight then."
            .to_owned()
    }

    fn applies(&self, target: &Target<'_>) -> bool {
        target.case.flags.contains(CaseFlags::TOUCHES_FRAME)
    }

    fn actions(&self, payload: bool) -> &'static [Action] {
        // No event has written registers that could be disturbed.
        if payload { &event_return::ACTIONS } else { &[] }
    }

    /// A page that an instruction reads refuses it.
    fn probe(&self, prober: &Prober<'_>) -> Result<Support, VcpuError> {
        prober.with_guest(self.facts().vm, ProbeAct::Read, |mut guest| {
            if let Err(error) =
                guest.vcpu.set_page_access(ProbeGuest::page(Place::Frame), PageAccess::Blocked)
            {
                return Ok(Support::NotOffered(error.to_string()));
            }
            Ok(match guest.run(RunMode::Normal)? {
                Progress::Exit(Exit::Fault { .. }) if guest.is_at_act()? => Support::Works,
                // The read is done, and the UD2 after it has raised its event.
                Progress::Delivered => Support::Silent,
                Progress::Exit(exit) => {
                    Support::Wrong(format!("{} at a read of a page that is blocked", explain::exit(&exit)))
                }
                Progress::DoubleFault => Support::Wrong(
                    "a read of a page that is blocked became a double fault in the guest".to_owned(),
                ),
            })
        })
    }

    fn way(&self) -> Way<'_> {
        Way::Cut(self)
    }
}

impl CutStop for Act {
    fn cut(&self, session: &mut Session<'_>, target: &Target<'_>) -> Result<Cut, NoCut> {
        let page = session.image().pages.at(Place::Frame);
        session.vcpu.set_page_access(page, PageAccess::Blocked)?;
        match session.advance_past_io()? {
            Stopped::Exit(Exit::Fault { gpa }) if gpa.is_none_or(|gpa| gpa & !0xFFF == page) => {}
            other => return Err(NoCut::Unexpected(other)),
        }
        let look = Look::in_time(session, "the page refused access")?;
        if look.in_flight() || look.events.exception.pending != 0 {
            return Err(NoCut::Unproved(
                "an event is in flight, so it is no access of the act's that was refused".into(),
            ));
        }
        let rip = look.regs.rip;
        if !(target.case.act..target.case.after).contains(&rip) {
            let place = session.image().describe_address(rip);
            return Err(NoCut::Unproved(format!(
                "no event is in flight and RIP is at {place}, not in the act"
            )));
        }
        Ok(look.cut(Proof::Act, Phase::Before))
    }

    fn again(&self) -> Again<'_> {
        Again::Never
    }

    fn release(&self, session: &mut Session<'_>) -> Result<(), VcpuError> {
        let page = session.image().pages.at(Place::Frame);
        session.vcpu.set_page_access(page, PageAccess::Open)
    }
}
