//! A stop that cuts the delivery, and what is done at each cut.

use super::attempt::Attempt;
use super::trouble::Trouble;
use crate::engine::disturb::disturb;
use crate::inject;
use crate::report::{Finding, Outcome};
use crate::scenario::{Action, Migration, Scenario};
use crate::stops::how::{Again, CutStop, Target};
use crate::stops::{self, Cut, SecondRun};
use vm::Machine;

impl Attempt<'_, '_, '_> {
    /// From the stop through its cuts to the verdict.
    pub(super) fn cut_and_judge(&mut self, stop: &dyn CutStop, action: Action) -> Result<(), Trouble> {
        match self.cut(stop, action) {
            Ok(SecondRun::Kept) => self.run_to_done(),
            Ok(SecondRun::RanOn) => self.judge_lost(),
            Ok(SecondRun::Changed(to)) => Err(Trouble::machine(Finding::EventChanged { to: Box::new(to) })),
            Err(no_cut @ (Trouble::NoCut(_) | Trouble::Ended)) => self.judge_uncut(stop, no_cut),
            Err(trouble) => Err(trouble),
        }
    }

    fn cut(&mut self, stop: &dyn CutStop, action: Action) -> Result<SecondRun, Trouble> {
        let Scenario { delivery, payload, .. } = *self.scenario;
        let mut cut = stop.cut(&mut self.session, &Target { case: self.case, delivery, payload })?;
        self.record(&cut);
        if cut.second_run == SecondRun::Kept {
            inject::at_cut(&mut self.session, self.case.flags)?;
            // Events that were injected now are not part of the cut event.
            cut.queue = Some(stops::cut::queue(&mut self.session)?);
        }
        for _ in 0..action.again {
            if cut.second_run != SecondRun::Kept {
                return Ok(cut.second_run);
            }
            let Again::AsOften(again) = stop.again() else {
                return Err(not_cut("its stop cannot be repeated"));
            };
            self.act_and_release(stop, action, &cut, false)?;
            cut = again.cut_again(&mut self.session, self.case, &cut)?;
            self.record(&cut);
        }
        if cut.second_run != SecondRun::Kept {
            return Ok(cut.second_run);
        }
        let second_try = match stop.again() {
            Again::SecondTry(second_try) => Some(second_try),
            Again::Never | Again::AsOften(_) => None,
        };
        self.act_and_release(stop, action, &cut, second_try.is_none())?;
        let Some(second_try) = second_try else { return Ok(SecondRun::Kept) };
        let second = second_try.cut_again(&mut self.session, self.case, &cut)?;
        self.record(&second);
        Ok(second.second_run)
    }

    fn act_and_release(
        &mut self,
        stop: &dyn CutStop,
        action: Action,
        cut: &Cut,
        last: bool,
    ) -> Result<(), Trouble> {
        self.disturb(action, cut)?;
        stop.release(&mut self.session)?;
        self.relocate(action, last)
    }

    /// Rewrites registers, where the action says so.
    pub(super) fn disturb(&mut self, action: Action, cut: &Cut) -> Result<(), Trouble> {
        if action.disturb {
            let rewritten = disturb(&mut self.session, cut.phase, has_xfd(self.runner.machine))?;
            self.seen(&rewritten, cut.rip);
        }
        Ok(())
    }

    /// The guest migrates, where the action says so; `last` says that it then only has to run to the end of
    /// its case.
    pub(super) fn relocate(&mut self, action: Action, last: bool) -> Result<(), Trouble> {
        match action.migrate {
            None => Ok(()),
            Some(Migration::Here) => Ok(self.migrate()?),
            Some(Migration::Process) => self.migrate_to_process(last),
        }
    }

    /// The delivery was not cut. The guest's judge can still tell whether the event was
    /// delivered correctly: a failed case is a failure, and if it passes nothing was tested.
    fn judge_uncut(&mut self, stop: &dyn CutStop, no_cut: Trouble) -> Result<(), Trouble> {
        let missed = stop.missed(&mut self.session);
        if let Trouble::NoCut(_) = no_cut {
            stop.release(&mut self.session)?;
            self.advance_to_done()?;
        }
        let missed = missed.and(stop.missed(&mut self.session));
        self.judge()?;
        match self.report.outcome {
            Outcome::Pass => {
                let wrong = |what: &str| Trouble::machine(Finding::Machine { words: what.to_owned() });
                Err(missed.map_or(no_cut, wrong))
            }
            Outcome::Fail | Outcome::Error | Outcome::Skip | Outcome::Known => {
                let why = match no_cut {
                    Trouble::NoCut(finding) => finding,
                    _ => Finding::StopNotMet,
                };
                self.report.why.get_or_insert(why);
                Ok(())
            }
        }
    }

    /// The guest continued from the stop without its event: the event must be lost.
    fn judge_lost(&mut self) -> Result<(), Trouble> {
        self.judge()?;
        if self.report.outcome != Outcome::Fail {
            (self.report.cut, self.report.cuts) = (None, 0);
            return Err(not_cut("the event was still delivered"));
        }
        Ok(())
    }
}

fn not_cut(why: &str) -> Trouble {
    Trouble::NoCut(Finding::NotCut { why: why.to_owned() })
}

fn has_xfd(machine: &dyn Machine) -> bool {
    machine.msr_indices().contains(&fred::msr::XFD_ERR)
}
