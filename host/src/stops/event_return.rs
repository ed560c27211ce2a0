//! `return@N`: one memory access of the next event return (ERETS, ERETU, IRETQ) is refused, counted from 0.
//!
//! No event is in flight then, but what the host injects there must not be delivered before the return: blocking
//! by NMI lasts until IRETQ has completed, although the processor ends it when IRETQ begins. And the guest is in a
//! handler, with a stack level and NMI blocking that a migration must carry.
//!
//! The model alone can. A run of everything has the first access, `midflight explore` all of them.

use super::action::Action;
use super::cut::{Cut, Look, NoCut, Proof};
use super::how::{Again, CutStop, How, StopFacts, Target, Way};
use super::number::number;
use super::probe::guest::ProbeAct;
use super::probe::{Prober, Support};
use crate::image::DeliveryMode;
use crate::session::{Session, Stopped};
use protocol::disturbance::Phase;
use protocol::note::CaseFlags;
use vm::{Exit, VcpuError};

/// Every handler has recorded its registers: there is nothing to disturb.
pub(crate) const ACTIONS: [Action; 2] = [Action::RESUME, Action::MIGRATE];

/// An access of an event return that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Return(pub u16);

impl How for Return {
    fn syntax() -> &'static [&'static str] {
        &["return@N"]
    }

    fn parse(id: &str) -> Option<Result<Self, &'static str>> {
        let access = number(id.strip_prefix("return@")?);
        Some(access.map(Self).ok_or("the number of its access is none"))
    }

    fn all() -> Vec<Self> {
        vec![Self(0)]
    }

    fn asked(self) -> Self {
        Self(0)
    }

    fn id(&self) -> String {
        format!("return@{}", self.0)
    }

    fn facts(&self) -> StopFacts {
        StopFacts::ORDINARY
    }

    fn words(&self) -> String {
        format!(
            "Memory access {} of the next event return (ERETS, ERETU or IRETQ) is refused, counted from 0. No event is in \
             flight then; the guest is still in its handler.",
            self.0
        )
    }

    fn applies(&self, target: &Target<'_>) -> bool {
        // An NMI is blocked until the return of another, or where the host has blocked NMIs. Otherwise it comes
        // before the return, and not where the case expects it.
        let flags = target.case.flags;
        let nmi_waits = !flags.contains(CaseFlags::NMI_AT_CUT)
            || flags.intersects(CaseFlags::NMI_AT_ARMED | CaseFlags::BLOCK_NMI);
        // A return by IRETQ is as the one before it but for NMI blocking: no hypervisor that is wrong fails the rest.
        // `explore` has them all.
        let nmis = CaseFlags::NMI_AT_CUT.union(CaseFlags::NMI_AT_ARMED).union(CaseFlags::BLOCK_NMI);
        nmi_waits && (target.delivery == DeliveryMode::Fred || flags.intersects(nmis))
    }

    fn actions(&self, payload: bool) -> &'static [Action] {
        if payload { &ACTIONS } else { &[] }
    }

    fn probe(&self, prober: &Prober<'_>) -> Result<Support, VcpuError> {
        prober.with_guest(self.facts().vm, ProbeAct::Undefined, |mut guest| {
            Ok(match guest.vcpu.delivery_accesses() {
                Some(_) => Support::Works,
                None => Support::NotOffered(NONE.to_owned()),
            })
        })
    }

    fn way(&self) -> Way<'_> {
        Way::Cut(self)
    }
}

const NONE: &str = "this machine cannot refuse single accesses";

impl CutStop for Return {
    fn cut(&self, session: &mut Session<'_>, _: &Target<'_>) -> Result<Cut, NoCut> {
        let Some(accesses) = session.vcpu.delivery_accesses() else {
            return Err(NoCut::Unproved(NONE.into()));
        };
        accesses.refuse_of_return(self.0.into());
        match session.advance_past_io()? {
            Stopped::Exit(Exit::Fault { .. }) => {}
            other => return Err(NoCut::Unexpected(other)),
        }
        let look = Look::at(session)?;
        if look.in_flight() || look.events.exception.pending != 0 {
            return Err(NoCut::Unproved(
                "an event is in flight, so it is no event return that was refused".into(),
            ));
        }
        Ok(look.cut(Proof::Return, Phase::After))
    }

    fn again(&self) -> Again<'_> {
        Again::Never
    }
}
