//! A case that runs again and again in a storm of signals.

use super::attempt::Run;
use super::trouble::{Trouble, expect};
use crate::report::outcome::{Outcome, Report};
use crate::scenario::{Action, Stop};
use crate::session::Session;
use crate::stops::storm::{Storm, StormBounds, Struck};
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
        let StormBounds { cuts: wanted, time } = self.runner.storm;
        let mut storm = Storm::new(seed, &self.scenario.to_string(), time, deadline);
        loop {
            match storm.strike(session)? {
                Struck::Cut(cut) => {
                    self.record(report, &cut);
                    self.act(session, report, (Stop::Storm(seed), action), &cut, false, deadline)?;
                    let done = session.advance_past_io()?;
                    expect(session, done, Doorbell::Done(self.index))?;
                }
                Struck::Done => {}
                Struck::Over => return Err(self.too_few(report, &storm)),
            }
            self.judge(session, report)?;
            if report.outcome != Outcome::Pass {
                report.reason.get_or_insert_with(|| format!("in run {} of the storm", storm.runs));
                return Ok(());
            }
            if report.cuts >= wanted {
                return Ok(());
            }
            if storm.is_over() {
                return Err(self.too_few(report, &storm));
            }
            session.choose_case(self.index)?;
            let armed = session.advance()?;
            expect(session, armed, Doorbell::Armed(self.index))?;
        }
    }

    /// A storm that is over before it had its cuts.
    fn too_few(&self, report: &mut Report, storm: &Storm) -> Trouble {
        report.cut = None;
        let (cuts, runs, wanted) = (report.cuts, storm.runs, self.runner.storm.cuts);
        let mut what = format!("{cuts} of {runs} runs were cut in time, {wanted} were wanted");
        match storm.rip {
            Some(rip) => {
                let (signals, still) = (storm.signals, storm.still);
                let place = self.image.describe_address(rip);
                what += &format!(
                    "; {signals} signals ended KVM_RUN before the handler, {still} of them with the guest \
                     where the one before had left it; the last found it at {place}"
                );
            }
            None => what += "; no signal ended KVM_RUN before the handler was entered",
        }
        Trouble::NoCut(what)
    }
}
