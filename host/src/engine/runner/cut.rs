//! A stop that cuts the delivery, and what is done at each cut.

use super::attempt::Attempt;
use super::trouble::{Trouble, expect};
use crate::engine::disturb::disturb;
use crate::inject;
use crate::report::finding::Finding;
use crate::report::outcome::{Outcome, Report};
use crate::scenario::{Action, Migration, Scenario};
use crate::session::Session;
use crate::stops::how::{Again, CutStop, Target};
use crate::stops::{self, Cut, SecondRun};
use protocol::doorbell::Doorbell;
use std::time::Instant;
use vm::Machine;

impl Attempt<'_, '_, '_> {
    /// From the stop through its cuts to the verdict.
    pub(super) fn cut_and_judge(
        &self,
        session: &mut Session<'_>,
        report: &mut Report,
        stop: &dyn CutStop,
        action: Action,
        deadline: Instant,
    ) -> Result<(), Trouble> {
        match self.cut(session, report, stop, action, deadline) {
            Ok(SecondRun::Kept) => self.run_to_done(session, report),
            Ok(SecondRun::RanOn) => self.judge_lost(session, report),
            Ok(SecondRun::Changed(to)) => Err(Trouble::machine(Finding::EventChanged { to: Box::new(to) })),
            Err(no_cut @ (Trouble::NoCut(_) | Trouble::Ended)) => {
                self.judge_uncut(session, report, stop, no_cut)
            }
            Err(trouble) => Err(trouble),
        }
    }

    fn cut(
        &self,
        session: &mut Session<'_>,
        report: &mut Report,
        stop: &dyn CutStop,
        action: Action,
        deadline: Instant,
    ) -> Result<SecondRun, Trouble> {
        let Scenario { delivery, payload, .. } = *self.scenario;
        let mut cut = stop.cut(session, &Target { case: self.case, delivery, payload })?;
        self.record(report, &cut);
        if cut.second_run == SecondRun::Kept {
            inject::at_cut(session, self.case.flags)?;
            // Events that were injected now are not part of the cut event.
            cut.queue = Some(stops::cut::queue(session)?);
        }
        for _ in 0..action.again {
            if cut.second_run != SecondRun::Kept {
                return Ok(cut.second_run);
            }
            let Again::AsOften(again) = stop.again() else {
                return Err(not_cut("its stop cannot be repeated"));
            };
            self.act_and_release(session, report, (stop, action), &cut, false, deadline)?;
            cut = again.cut_again(session, self.case, &cut)?;
            self.record(report, &cut);
        }
        if cut.second_run != SecondRun::Kept {
            return Ok(cut.second_run);
        }
        let second_try = match stop.again() {
            Again::SecondTry(second_try) => Some(second_try),
            Again::Never | Again::AsOften(_) => None,
        };
        self.act_and_release(session, report, (stop, action), &cut, second_try.is_none(), deadline)?;
        let Some(second_try) = second_try else { return Ok(SecondRun::Kept) };
        let second = second_try.cut_again(session, self.case, &cut)?;
        self.record(report, &second);
        Ok(second.second_run)
    }

    fn act_and_release(
        &self,
        session: &mut Session<'_>,
        report: &mut Report,
        (stop, action): (&dyn CutStop, Action),
        cut: &Cut,
        last: bool,
        deadline: Instant,
    ) -> Result<(), Trouble> {
        self.disturb(session, action, cut)?;
        stop.release(session)?;
        self.relocate(session, report, action, last, deadline)
    }

    /// Rewrites registers, where the action says so.
    pub(super) fn disturb(
        &self,
        session: &mut Session<'_>,
        action: Action,
        cut: &Cut,
    ) -> Result<(), Trouble> {
        if action.disturb {
            disturb(session, cut.phase, has_xfd(self.runner.machine))?;
        }
        Ok(())
    }

    /// The guest migrates, where the action says so; `last` says that it then only has to run to the end of
    /// its case.
    pub(super) fn relocate(
        &self,
        session: &mut Session<'_>,
        report: &mut Report,
        action: Action,
        last: bool,
        deadline: Instant,
    ) -> Result<(), Trouble> {
        match action.migrate {
            None => Ok(()),
            Some(Migration::Here) => Ok(self.migrate(session, report, deadline)?),
            Some(Migration::Process) => self.migrate_to_process(session, report, last, deadline),
        }
    }

    /// The delivery was not cut. The guest's judge can still tell whether the event was
    /// delivered correctly: a failed case is a failure, and if it passes nothing was tested.
    fn judge_uncut(
        &self,
        session: &mut Session<'_>,
        report: &mut Report,
        stop: &dyn CutStop,
        no_cut: Trouble,
    ) -> Result<(), Trouble> {
        let missed = stop.missed(session);
        if let Trouble::NoCut(_) = no_cut {
            stop.release(session)?;
            let done = session.advance_past_io()?;
            expect(session, done, Doorbell::Done(self.index))?;
        }
        let missed = missed.and(stop.missed(session));
        self.judge(session, report)?;
        match report.outcome {
            Outcome::Pass => {
                Err(missed
                    .map_or(no_cut, |what| Trouble::machine(Finding::Machine { words: what.to_owned() })))
            }
            Outcome::Fail | Outcome::Error | Outcome::Skip | Outcome::Known => {
                let why = match no_cut {
                    Trouble::NoCut(finding) => finding,
                    _ => Finding::StopNotMet,
                };
                report.why.get_or_insert(why);
                Ok(())
            }
        }
    }

    /// The guest continued from the stop without its event: the event must be lost.
    fn judge_lost(&self, session: &Session<'_>, report: &mut Report) -> Result<(), Trouble> {
        self.judge(session, report)?;
        if report.outcome != Outcome::Fail {
            (report.cut, report.cuts) = (None, 0);
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
