//! A case that runs again and again in a storm of signals.

use super::attempt::Attempt;
use super::trouble::{Trouble, expect};
use crate::report::{Finding, Outcome};
use crate::scenario::Action;
use crate::stops::storm::{Signals, StormBounds, Struck};
use protocol::doorbell::Doorbell;

impl Attempt<'_, '_, '_> {
    /// The case runs again and again, and signals come at random times, until enough of them have met
    /// its event in flight.
    pub(super) fn storm(&mut self, seed: u32, action: Action) -> Result<(), Trouble> {
        let StormBounds { cuts: wanted, time } = self.runner.storm;
        let mut signals = Signals::new(seed, &self.scenario.to_string(), time, self.deadline);
        loop {
            match signals.strike(&mut self.session)? {
                Struck::Cut(cut) => {
                    self.record(&cut);
                    self.disturb(action, &cut)?;
                    self.relocate(action, false)?;
                    self.advance_to_done()?;
                }
                Struck::Done => {}
                Struck::Over => return Err(self.too_few(&signals)),
            }
            self.judge()?;
            if self.report.outcome != Outcome::Pass {
                self.report.why.get_or_insert(Finding::InStorm { run: signals.runs });
                return Ok(());
            }
            if self.report.cuts >= wanted {
                return Ok(());
            }
            if signals.is_over() {
                return Err(self.too_few(&signals));
            }
            self.session.choose_case(self.index)?;
            expect(self.session.advance()?, Doorbell::Armed(self.index))?;
        }
    }

    /// A storm that is over before it had its cuts.
    fn too_few(&mut self, signals: &Signals) -> Trouble {
        self.report.cut = None;
        let why = signals.too_few(self.session.image(), self.report.cuts, self.runner.storm.cuts);
        Trouble::NoCut(Finding::NotCut { why })
    }
}
