//! A case that runs again and again in a storm of signals.

use super::attempt::Run;
use super::trouble::{Trouble, expect};
use crate::result::{Outcome, Report};
use crate::run::storm::Storm;
use crate::scenario::{Action, Stop};
use crate::session::Session;
use protocol::doorbell::Doorbell;
use std::time::Instant;

impl Run<'_, '_, '_> {
    /// The case runs again and again, and signals come at random times, until enough of them have met
    /// its event half-way.
    pub(super) fn storm(
        &mut self,
        session: &mut Session<'_>,
        report: &mut Report,
        seed: u32,
        action: Action,
        deadline: Instant,
    ) -> Result<(), Trouble> {
        let mut storm = Storm::new(seed, &self.scenario.to_string());
        let end = Instant::now() + self.runner.storm.time;
        loop {
            if let Some(cut) = storm.strike(session)? {
                self.record(report, &cut);
                self.act(session, report, (Stop::Storm(seed), action), &cut, false, deadline)?;
                let done = session.advance_past_io()?;
                expect(session, done, Doorbell::Done(self.index))?;
            }
            self.judge(session, report)?;
            if report.outcome != Outcome::Pass {
                report.reason.get_or_insert_with(|| format!("in run {} of the storm", storm.runs));
                return Ok(());
            }
            if report.cuts >= self.runner.storm.cuts {
                return Ok(());
            }
            if Instant::now() >= end {
                let (cuts, wanted) = (report.cuts, self.runner.storm.cuts);
                report.cut = None;
                let what = format!("{cuts} of {} runs were cut in time, {wanted} were wanted", storm.runs);
                return Err(Trouble::NoCut(what));
            }
            session.choose_case(self.index)?;
            let armed = session.advance()?;
            expect(session, armed, Doorbell::Armed(self.index))?;
        }
    }
}
