//! `storm`, `storm=SEED`: signals arrive at random times while the case is repeated.
//!
//! A signal ends KVM_RUN wherever the guest is. Where an exception has just been queued, or its delivery was
//! interrupted, KVM_RUN returns with the event in flight.

mod aim;
mod probe;
mod signals;
mod watch;

pub use signals::StormBounds;
pub(crate) use signals::{Signals, Struck};

use super::action::Action;
use super::how::{How, StopFacts, Target, Way};
use super::number::number;
use super::probe::{Prober, Support};
use protocol::note::CaseFlags;
use vm::VcpuError;

/// A storm of signals; the number seeds it, and ids do not write 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Storm(pub u32);

impl How for Storm {
    fn syntax() -> &'static [&'static str] {
        &["storm", "storm=SEED"]
    }

    fn parse(id: &str) -> Option<Result<Self, &'static str>> {
        if id == "storm" {
            return Some(Ok(Self(0)));
        }
        let seed = number(id.strip_prefix("storm=")?).filter(|seed| *seed > 0);
        Some(seed.map(Self).ok_or("the seed of its storm is no number above 0"))
    }

    fn all() -> Vec<Self> {
        vec![Self(0)]
    }

    fn asked(self) -> Self {
        Self(0)
    }

    fn id(&self) -> String {
        match self.0 {
            0 => "storm".to_owned(),
            seed => format!("storm={seed}"),
        }
    }

    fn facts(&self) -> StopFacts {
        // A guest would migrate again from wherever it is by then.
        StopFacts { depends_on_time: true, migrates_between_machines: false, ..StopFacts::ORDINARY }
    }

    fn words(&self) -> String {
        "The case runs again and again, and signals end KVM_RUN at random times, until enough of them have found the event in \
         flight."
            .to_owned()
    }

    fn applies(&self, target: &Target<'_>) -> bool {
        // It runs a case many times, knows a cut by the queue, and looks at the first event only. Of a nested one it may meet
        // the event before it, which is in flight as well.
        let other = CaseFlags::INJECTED | CaseFlags::SOFT;
        target.case.entries(target.delivery) == 1 && !target.case.flags.intersects(other)
    }

    fn actions(&self, payload: bool) -> &'static [Action] {
        if payload { &[Action::RESUME, Action::MIGRATE] } else { &[] }
    }

    fn is_of_interest(&self, _: bool) -> bool {
        true
    }

    fn probe(&self, prober: &Prober<'_>) -> Result<Support, VcpuError> {
        probe::probe(prober)
    }

    fn way(&self) -> Way<'_> {
        Way::RunsAgain { seed: self.0 }
    }
}
