//! A case that runs again and again in a storm of signals.

use super::attempt::Attempt;
use super::trouble::{Trouble, expect};
use crate::report::finding::Finding;
use crate::report::outcome::{Outcome, Report};
use crate::scenario::Action;
use crate::session::Session;
use crate::stops::storm::{Signals, StormBounds, Struck};
use protocol::doorbell::Doorbell;
use std::time::Instant;

impl Attempt<'_, '_, '_> {
    /// The case runs again and again, and signals come at random times, until enough of them have met
    /// its event in flight.
    pub(super) fn storm(
        &mut self,
        session: &mut Session<'_>,
        report: &mut Report,
        seed: u32,
        action: Action,
        deadline: Instant,
    ) -> Result<(), Trouble> {
        let StormBounds { cuts: wanted, time } = self.runner.storm;
        let mut signals = Signals::new(seed, &self.scenario.to_string(), time, deadline);
        loop {
            match signals.strike(session)? {
                Struck::Cut(cut) => {
                    self.record(report, &cut);
                    self.disturb(session, action, &cut)?;
                    self.relocate(session, report, action, false, deadline)?;
                    let done = session.advance_past_io()?;
                    expect(session, done, Doorbell::Done(self.index))?;
                }
                Struck::Done => {}
                Struck::Over => return Err(self.too_few(report, &signals)),
            }
            self.judge(session, report)?;
            if report.outcome != Outcome::Pass {
                report.why.get_or_insert(Finding::InStorm { run: signals.runs });
                return Ok(());
            }
            if report.cuts >= wanted {
                return Ok(());
            }
            if signals.is_over() {
                return Err(self.too_few(report, &signals));
            }
            session.choose_case(self.index)?;
            let armed = session.advance()?;
            expect(session, armed, Doorbell::Armed(self.index))?;
        }
    }

    /// A storm that is over before it had its cuts.
    fn too_few(&self, report: &mut Report, signals: &Signals) -> Trouble {
        report.cut = None;
        let why = signals.too_few(self.image, report.cuts, self.runner.storm.cuts);
        Trouble::NoCut(Finding::NotCut { why })
    }
}
