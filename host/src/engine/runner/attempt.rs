//! From `Armed` through the cuts to the verdict.

use super::Runner;
use super::trouble::{Trouble, expect};
use crate::engine::disturb::disturb;
use crate::engine::verdict;
use crate::image::{Case, Image};
use crate::inject;
use crate::report::outcome::{Outcome, Report};
use crate::scenario::{Action, Migration, Plan, Scenario, Stop};
use crate::session::{Session, Stopped};
use crate::stops::{self, Cut, SecondRun};
use protocol::doorbell::Doorbell;
use std::time::Instant;
use vm::Machine;

/// One scenario under way.
pub(super) struct Run<'r, 'm, 'a> {
    pub(super) runner: &'r mut Runner<'m>,
    pub(super) image: &'a Image,
    pub(super) case: &'a Case,
    pub(super) index: u16,
    pub(super) scenario: &'a Scenario,
}

impl<'a> Run<'_, '_, 'a> {
    pub(super) fn conclude(&mut self, report: &mut Report, start: Instant) {
        let deadline = start + self.runner.timeout;
        let mut session = None;
        let done = self.attempt(&mut session, report, deadline);
        self.settle(done, session.as_mut(), report);
    }

    pub(super) fn attempt(
        &mut self,
        slot: &mut Option<Session<'a>>,
        report: &mut Report,
        deadline: Instant,
    ) -> Result<(), Trouble> {
        let started = match self.scenario.plan {
            Plan::Cold => self.runner.boot(self.image, self.scenario, deadline)?,
            Plan::None | Plan::Cut(..) => {
                Session::new(self.runner.fork(self.image, self.scenario, deadline)?, self.image)
            }
        };
        let session = slot.insert(started);
        session.choose_case(self.index)?;
        let armed = session.advance()?;
        if armed == Stopped::Doorbell(Doorbell::Done(self.index)) {
            // It has not armed, and has nothing to judge: a skip, an error, or an event where none
            // may be.
            self.judge(session, report)?;
            return match report.outcome {
                Outcome::Skip | Outcome::Error | Outcome::Fail => Ok(()),
                Outcome::Pass | Outcome::Known => Err(Trouble::Machine(
                    "the guest came to Done, and KVM_RUN had not returned at the Armed before it".to_owned(),
                )),
            };
        }
        expect(session, armed, Doorbell::Armed(self.index))?;
        self.seen("armed", self.case.act);
        self.runner.rang(Doorbell::Armed(self.index), session)?;
        if matches!(self.scenario.plan, Plan::Cut(Stop::Ring, _)) {
            stops::prepare_dirty_ring(session)?;
        }
        inject::at_armed(session, self.case.flags)?;
        if self.scenario.plan == Plan::None && !self.runner.route.is_empty() {
            self.migrate(session, report, deadline)?;
        }
        let evicted = match self.scenario.plan {
            Plan::Cut(Stop::Storm(seed), action) => {
                return self.storm(session, report, seed, action, deadline);
            }
            Plan::Cut(Stop::Evict(place), _) => Some(stops::evict(session, place)?),
            Plan::Cut(stop, action) => match self.cut(session, report, stop, action, deadline) {
                Ok(SecondRun::Kept) => None,
                Ok(SecondRun::RanOn) => return self.judge_lost(session, report),
                Ok(SecondRun::Changed(after)) => {
                    let what = format!("the event in flight changed at the second KVM_RUN, to {after}");
                    return Err(Trouble::Machine(what));
                }
                Err(no_cut @ (Trouble::NoCut(_) | Trouble::Ended)) => {
                    return self.judge_uncut(session, report, stop, no_cut);
                }
                Err(trouble) => return Err(trouble),
            },
            Plan::Cold | Plan::None => None,
        };
        let done = session.advance_past_io()?;
        expect(session, done, Doorbell::Done(self.index))?;
        self.runner.rang(Doorbell::Done(self.index), session)?;
        self.judge(session, report)?;
        match evicted.map(|evicted| evicted.prove(session)) {
            Some(Ok(cut)) => self.record(report, &cut),
            // An event that was lost met no page either.
            Some(Err(no_cut)) if report.outcome != Outcome::Fail => return Err(no_cut.into()),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn to_done(&self, session: &mut Session<'_>, report: &mut Report) -> Result<(), Trouble> {
        let done = session.advance_past_io()?;
        expect(session, done, Doorbell::Done(self.index))?;
        self.judge(session, report)
    }

    /// The delivery was not cut. What the machine made of the event all the same, the guest's judge can
    /// tell: it is wrong where the case fails, and where it passes there was nothing to test.
    fn judge_uncut(
        &self,
        session: &mut Session<'_>,
        report: &mut Report,
        stop: Stop,
        no_cut: Trouble,
    ) -> Result<(), Trouble> {
        let mut logged = stops::is_logged(session, stop);
        if let Trouble::NoCut(_) = no_cut {
            stops::release(session, stop)?;
            let done = session.advance_past_io()?;
            expect(session, done, Doorbell::Done(self.index))?;
        }
        logged |= stops::is_logged(session, stop);
        self.judge(session, report)?;
        match report.outcome {
            Outcome::Pass if !logged => Err(Trouble::Machine(
                "the delivery wrote its frame, and the dirty ring does not hold the page".to_owned(),
            )),
            Outcome::Pass => Err(no_cut),
            Outcome::Fail | Outcome::Error | Outcome::Skip | Outcome::Known => {
                report.reason.get_or_insert_with(|| no_cut.to_string());
                Ok(())
            }
        }
    }

    /// The guest ran on from where its delivery was stopped: its event must be gone.
    pub(super) fn judge_lost(&self, session: &Session<'_>, report: &mut Report) -> Result<(), Trouble> {
        self.judge(session, report)?;
        if report.outcome != Outcome::Fail {
            (report.cut, report.cuts) = (None, 0);
            let what = "the event was delivered all the same";
            return Err(Trouble::NoCut(what.to_owned()));
        }
        Ok(())
    }

    pub(super) fn record(&self, report: &mut Report, cut: &Cut) {
        report.cut = Some(cut.proof);
        report.cuts += 1;
        report.queue = Some(format!("{} at {}", cut.queue, self.image.describe_address(cut.rip)));
        self.seen("cut", cut.rip);
    }

    pub(super) fn cut(
        &mut self,
        session: &mut Session<'_>,
        report: &mut Report,
        stop: Stop,
        action: Action,
        deadline: Instant,
    ) -> Result<SecondRun, Trouble> {
        let mut cut = stops::cut(session, self.case, stop, self.scenario.delivery, self.scenario.payload)?;
        self.record(report, &cut);
        if cut.second_run == SecondRun::Kept {
            inject::at_cut(session, self.case.flags)?;
            // What waits behind the event from now on is no change of the event.
            cut.queue = stops::queue(session)?;
        }
        for _ in 0..action.again {
            if cut.second_run != SecondRun::Kept {
                return Ok(cut.second_run);
            }
            self.act(session, report, (stop, action), &cut, false, deadline)?;
            cut = stops::cut_again(session, self.case, stop, &cut)?;
            self.record(report, &cut);
        }
        if cut.second_run != SecondRun::Kept {
            return Ok(cut.second_run);
        }
        let last = !matches!(stop, Stop::Access(_, Some(_)));
        self.act(session, report, (stop, action), &cut, last, deadline)?;
        match stop {
            Stop::Access(_, Some(_)) => {
                let second = stops::cut_again(session, self.case, stop, &cut)?;
                self.record(report, &second);
                Ok(second.second_run)
            }
            _ => Ok(SecondRun::Kept),
        }
    }

    /// What is done at a cut; `last` says that the guest then only has to run to the end of its case.
    pub(super) fn act(
        &self,
        session: &mut Session<'_>,
        report: &mut Report,
        (stop, action): (Stop, Action),
        cut: &Cut,
        last: bool,
        deadline: Instant,
    ) -> Result<(), Trouble> {
        if action.disturb {
            disturb(session, cut.phase, has_xfd(self.runner.machine))?;
        }
        stops::release(session, stop)?;
        match action.migrate {
            None => Ok(()),
            Some(Migration::Here) => Ok(self.migrate(session, report, deadline)?),
            Some(Migration::Process) => self.migrate_to_process(session, report, last, deadline),
        }
    }
    pub(super) fn seen(&self, state: &str, rip: u64) {
        if let Some(on_seen) = &self.runner.on_seen {
            on_seen(&format!("{state} at {}", self.image.describe_address(rip)));
        }
    }
    pub(super) fn judge(&self, session: &Session<'_>, report: &mut Report) -> Result<(), Trouble> {
        let mailbox = session.mailbox()?;
        verdict::read(&mailbox, self.case, self.scenario.delivery, report);
        if self.runner.frames {
            report.frames = verdict::frames(&mailbox, report);
        }
        Ok(())
    }
}

fn has_xfd(machine: &dyn Machine) -> bool {
    machine.msr_indices().contains(&fred::msr::XFD_ERR)
}
