//! `access@N`: one memory access of the delivery is refused, counted from 0; `access@N,M`: also one of its
//! second try.
//!
//! The model alone can. `midflight explore` walks through all of them; no run of everything has them.

use super::action::Action;
use super::cut::{Cut, Look, NoCut};
use super::how::{Again, CutAgain, CutStop, How, StopFacts, Target, Way};
use super::number::number;
use super::probe::guest::ProbeAct;
use super::probe::{Prober, Support};
use crate::image::Case;
use crate::session::{Session, Stopped};
use protocol::disturbance::Phase;
use vm::{Exit, VcpuError};

/// A memory access that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Access {
    /// Its number in the delivery.
    pub first: u16,
    /// The number of one in the delivery's second try.
    pub second: Option<u16>,
}

impl How for Access {
    fn syntax() -> &'static [&'static str] {
        &["access@N", "access@N,M"]
    }

    fn parse(id: &str) -> Option<Result<Self, &'static str>> {
        let numbers = id.strip_prefix("access@")?;
        let number = |text| number(text).ok_or("the number of its access is none");
        Some(match numbers.split_once(',') {
            Some((first, second)) => {
                number(first).and_then(|first| Ok(Self { first, second: Some(number(second)?) }))
            }
            None => number(numbers).map(|first| Self { first, second: None }),
        })
    }

    fn all() -> Vec<Self> {
        Vec::new()
    }

    fn asked(self) -> Self {
        Self { first: 0, second: None }
    }

    fn id(&self) -> String {
        match self.second {
            None => format!("access@{}", self.first),
            Some(second) => format!("access@{},{second}", self.first),
        }
    }

    fn facts(&self) -> StopFacts {
        StopFacts::ORDINARY
    }

    fn words(&self) -> String {
        let first = format!("Memory access {} of the delivery is refused, counted from 0", self.first);
        match self.second {
            None => format!("{first}. The model alone can do that."),
            Some(second) => {
                format!(
                    "{first}, and access {second} of the second attempt as well. The model alone can do that."
                )
            }
        }
    }

    fn applies(&self, _: &Target<'_>) -> bool {
        true
    }

    fn actions(&self, _: bool) -> &'static [Action] {
        &[]
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

impl CutStop for Access {
    fn cut(&self, session: &mut Session<'_>, target: &Target<'_>) -> Result<Cut, NoCut> {
        refuse(session, target.case, self.first)
    }

    fn again(&self) -> Again<'_> {
        match self.second {
            Some(_) => Again::SecondTry(self),
            None => Again::Never,
        }
    }
}

impl CutAgain for Access {
    fn cut_again(&self, session: &mut Session<'_>, case: &Case, before: &Cut) -> Result<Cut, NoCut> {
        Ok(refuse(session, case, self.second.unwrap_or(self.first))?.again(before, session))
    }
}

/// Refuses one access of the delivery. What was refused belongs to a delivery for certain, so that
/// the queue, or the page, only says which.
fn refuse(session: &mut Session<'_>, case: &Case, number: u16) -> Result<Cut, NoCut> {
    let Some(accesses) = session.vcpu.delivery_accesses() else {
        return Err(NoCut::Unproved(NONE.into()));
    };
    accesses.refuse(number.into());
    match session.advance_past_io()? {
        Stopped::Exit(Exit::Fault { .. }) => {}
        other => return Err(NoCut::Unexpected(other)),
    }
    let look = Look::in_time(session, "the access was refused")?;
    Ok(look.cut(look.proof(session, case)?, Phase::After))
}
