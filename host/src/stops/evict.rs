//! `evict@PLACE`: the page is taken out of the guest's mapping, and the kernel maps it again by itself.
//!
//! MADV_DONTNEED, contents kept. The delivery meets the page's absence, exits to the kernel, is requeued and
//! injected again; user space sees nothing of it.

use super::action::Action;
use super::cut::{Cut, NoCut, Proof, SecondRun};
use super::how::{How, StopFacts, Target, Unseen, Way};
use super::page;
use super::probe::guest::{ProbeAct, ProbeGuest, Progress};
use super::probe::{Prober, Support};
use crate::image::Place;
use crate::session::Session;
use protocol::disturbance::Phase;
use protocol::note::CaseFlags;
use vm::{RunMode, VcpuError};

const NAME: &str = "evict";

/// A page that leaves the guest's mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Evict(pub Place);

impl How for Evict {
    fn syntax() -> &'static [&'static str] {
        &["evict@PLACE"]
    }

    fn parse(id: &str) -> Option<Result<Self, &'static str>> {
        Some(page::parse(NAME, id)?.map(Self))
    }

    fn all() -> Vec<Self> {
        Place::ALL.map(Self).into()
    }

    fn id(&self) -> String {
        format!("{NAME}@{}", self.0)
    }

    fn facts(&self) -> StopFacts {
        StopFacts { place: Some(self.0), migrates_between_machines: false, ..StopFacts::ORDINARY }
    }

    fn words(&self) -> String {
        format!(
            "Before the event {} is taken out of the guest's mapping: the delivery exits to the kernel, which maps the page again \
             and injects the event again. User space sees nothing of it.",
            self.0.words()
        )
    }

    fn applies(&self, target: &Target<'_>) -> bool {
        // There is no cut at which the host could inject anything.
        let injected = target.case.flags.intersects(CaseFlags::NMI_AT_CUT | CaseFlags::INTERRUPT_AT_CUT);
        !injected && page::applies(self.0, target)
    }

    fn actions(&self, payload: bool) -> &'static [Action] {
        if payload { &[Action::RESUME] } else { &[] }
    }

    /// A page that the delivery touches leaves the guest's mapping, and the kernel maps it again.
    fn probe(&self, prober: &Prober<'_>) -> Result<Support, VcpuError> {
        prober.with_guest(self.facts().vm, ProbeAct::Undefined, |mut guest| {
            let page = ProbeGuest::page(self.0);
            if let Err(error) = guest.vcpu.evict(page) {
                return Ok(Support::NotOffered(error.to_string()));
            }
            if guest.vcpu.is_resident(page)? {
                return Ok(Support::NotOffered("the page cannot be taken out of the guest's mapping".into()));
            }
            // Wherever the guest is, the host may evict the page at any time, and a scenario
            // will fail for it.
            Ok(match guest.run(RunMode::Normal)? {
                Progress::Delivered if !guest.vcpu.is_resident(page)? => {
                    Support::Wrong("the #UD was delivered without the missing page".into())
                }
                _ => Support::Works,
            })
        })
    }

    fn way(&self) -> Way<'_> {
        Way::Unseen(self)
    }
}

impl Unseen for Evict {
    fn set_up(&self, session: &mut Session<'_>) -> Result<(), VcpuError> {
        session.complete_io()?;
        session.vcpu.evict(session.image().pages.at(self.0))
    }

    fn prove(&self, session: &Session<'_>, rip: u64) -> Result<Cut, NoCut> {
        let page = session.image().pages.at(self.0);
        if !session.vcpu.is_resident(page)? {
            return Err(NoCut::Unproved(format!("nothing accessed the page {page:#x} while it was evicted")));
        }
        Ok(Cut { proof: Proof::Refault, phase: Phase::After, queue: None, rip, second_run: SecondRun::Kept })
    }
}
