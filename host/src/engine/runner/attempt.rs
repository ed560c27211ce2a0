//! From `Armed` to the verdict.

use super::fork::Runner;
use super::trouble::{Trouble, expect};
use crate::engine::verdict;
use crate::image::{Case, Image};
use crate::inject;
use crate::report::finding::Finding;
use crate::report::outcome::{AtCut, Outcome, Report};
use crate::scenario::{Plan, Scenario};
use crate::session::{Session, Stopped};
use crate::stops::how::Unseen;
use crate::stops::{Cut, Way};
use protocol::doorbell::Doorbell;
use protocol::note::CaseFlags;
use std::time::Instant;
use vm::Exit;

/// One scenario under way.
pub(super) struct Attempt<'r, 'm, 'a> {
    pub(super) runner: &'r mut Runner<'m>,
    pub(super) image: &'a Image,
    pub(super) case: &'a Case,
    pub(super) index: u16,
    pub(super) scenario: &'a Scenario,
}

impl<'a> Attempt<'_, '_, 'a> {
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
                Outcome::Pass | Outcome::Known => Err(Trouble::machine(Finding::NeverArmed)),
            };
        }
        expect(session, armed, Doorbell::Armed(self.index))?;
        self.seen("armed", self.case.act);
        self.runner.rang(Doorbell::Armed(self.index), session)?;
        match self.scenario.plan {
            Plan::Cold => {
                inject::at_armed(session, self.case.flags)?;
                self.run_to_done(session, report)
            }
            Plan::None => {
                inject::at_armed(session, self.case.flags)?;
                if !self.runner.path.is_empty() {
                    self.migrate(session, report, deadline)?;
                }
                self.run_to_done(session, report)
            }
            Plan::Cut(stop, action) => {
                let way = stop.how().way();
                way.prepare(session)?;
                inject::at_armed(session, self.case.flags)?;
                match way {
                    Way::Cut(stop) => self.cut_and_judge(session, report, stop, action, deadline),
                    Way::Unseen(unseen) => self.unseen(session, report, unseen),
                    Way::RunsAgain { seed } => self.storm(session, report, seed, action, deadline),
                }
            }
        }
    }

    /// An armed guest that nothing stops any more, to the end of its case.
    pub(super) fn run_to_done(&self, session: &mut Session<'_>, report: &mut Report) -> Result<(), Trouble> {
        let done = session.advance_past_io()?;
        if self.case.flags.contains(CaseFlags::SHUTDOWN) {
            return shut_down(session, &done, report);
        }
        expect(session, done, Doorbell::Done(self.index))?;
        self.runner.rang(Doorbell::Done(self.index), session)?;
        self.judge(session, report)
    }

    /// A stop that only the kernel sees.
    fn unseen(
        &self,
        session: &mut Session<'_>,
        report: &mut Report,
        unseen: &dyn Unseen,
    ) -> Result<(), Trouble> {
        unseen.set_up(session)?;
        let rip = session.vcpu.regs()?.rip;
        self.run_to_done(session, report)?;
        match unseen.prove(session, rip) {
            Ok(cut) => self.record(report, &cut),
            // An event that was lost met no page either.
            Err(no_cut) if report.outcome != Outcome::Fail => return Err(no_cut.into()),
            Err(_) => {}
        }
        Ok(())
    }

    /// The outcome of a guest that ended without a verdict.
    pub(super) fn settle(
        &self,
        done: Result<(), Trouble>,
        session: Option<&mut Session<'_>>,
        report: &mut Report,
    ) {
        if let Err(trouble) = done {
            trouble.settle(session, self.runner.timeout, report);
        }
    }

    pub(super) fn to_done(&self, session: &mut Session<'_>, report: &mut Report) -> Result<(), Trouble> {
        let done = session.advance_past_io()?;
        expect(session, done, Doorbell::Done(self.index))?;
        self.judge(session, report)
    }

    pub(super) fn record(&self, report: &mut Report, cut: &Cut) {
        report.cut = Some(cut.proof);
        report.cuts += 1;
        report.queue = Some(AtCut { queue: cut.queue, at: self.image.describe_address(cut.rip) });
        self.seen("cut", cut.rip);
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

/// A case that ends in a shutdown has no verdict from its guest: it passes when the guest was shut down before a
/// handler was entered.
fn shut_down(session: &Session<'_>, stopped: &Stopped, report: &mut Report) -> Result<(), Trouble> {
    let entries = session.entries()?;
    match stopped {
        Stopped::Exit(Exit::Shutdown) if entries == 0 => {
            (report.outcome, report.compared) = (Outcome::Pass, 1);
            Ok(())
        }
        Stopped::Exit(Exit::Shutdown) => Err(Trouble::machine(Finding::Machine {
            words: format!("the guest was shut down after {entries} deliveries, not at the first"),
        })),
        Stopped::Doorbell(_) => Err(Trouble::machine(Finding::Machine {
            words: "the guest goes on where it must be shut down".to_owned(),
        })),
        other => Err(Trouble::Stopped(other.clone())),
    }
}
