//! From `Armed` to the verdict.

use super::fork::{Runner, StoppedAt};
use super::trouble::{Trouble, expect};
use crate::engine::verdict;
use crate::image::Case;
use crate::inject;
use crate::report::{AtCut, Finding, Outcome, Report};
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
    pub(super) runner: &'r Runner<'m>,
    pub(super) session: Session<'a>,
    pub(super) case: &'a Case,
    pub(super) index: u16,
    pub(super) scenario: &'a Scenario,
    /// What is known of it so far.
    pub(super) report: &'r mut Report,
    /// When the guest must have ended.
    pub(super) deadline: Instant,
}

impl Attempt<'_, '_, '_> {
    /// Does `work`, and writes into the report what it means where that gave no verdict.
    pub(super) fn conclude(mut self, work: fn(&mut Self) -> Result<(), Trouble>) {
        if let Err(trouble) = work(&mut self) {
            trouble.settle(Some(&mut self.session), self.runner.timeout, self.report);
        }
    }

    /// From `Ready` to the verdict.
    pub(super) fn run(&mut self) -> Result<(), Trouble> {
        self.session.choose_case(self.index)?;
        let armed = self.session.advance()?;
        if armed == Stopped::Doorbell(Doorbell::Done(self.index)) {
            // It has not armed, and has nothing to judge: a skip, an error, or an event where none
            // may be.
            self.judge()?;
            return match self.report.outcome {
                Outcome::Skip | Outcome::Error | Outcome::Fail => Ok(()),
                Outcome::Pass | Outcome::Known => Err(Trouble::machine(Finding::NeverArmed)),
            };
        }
        expect(armed, Doorbell::Armed(self.index))?;
        self.seen("armed", self.case.act);
        self.runner.rang(Doorbell::Armed(self.index), &mut self.session)?;
        self.stands_still(StoppedAt::Armed);
        match self.scenario.plan {
            Plan::Cold => {
                inject::at_armed(&mut self.session, self.case)?;
                self.run_to_done()
            }
            Plan::None => {
                inject::at_armed(&mut self.session, self.case)?;
                if !self.runner.path.is_empty() {
                    self.migrate()?;
                }
                self.run_to_done()
            }
            Plan::Cut(stop, action) => {
                let way = stop.how().way();
                way.prepare(&mut self.session)?;
                inject::at_armed(&mut self.session, self.case)?;
                match way {
                    Way::Cut(stop) => self.cut_and_judge(stop, action),
                    Way::Unseen(unseen) => self.unseen(unseen),
                    Way::RunsAgain { seed } => self.storm(seed, action),
                }
            }
        }
    }

    /// An armed guest that nothing stops any more, to the end of its case.
    pub(super) fn run_to_done(&mut self) -> Result<(), Trouble> {
        if self.case.flags.contains(CaseFlags::SHUTDOWN) {
            return self.run_to_shutdown();
        }
        self.advance_to_done()?;
        self.runner.rang(Doorbell::Done(self.index), &mut self.session)?;
        self.stands_still(StoppedAt::Done);
        self.judge()
    }

    /// A stop that only the kernel sees.
    fn unseen(&mut self, unseen: &dyn Unseen) -> Result<(), Trouble> {
        unseen.set_up(&mut self.session)?;
        let rip = self.session.vcpu.regs()?.rip;
        self.run_to_done()?;
        match unseen.prove(&self.session, rip) {
            Ok(cut) => self.record(&cut),
            // An event that was lost met no page either.
            Err(no_cut) if self.report.outcome != Outcome::Fail => return Err(no_cut.into()),
            Err(_) => {}
        }
        Ok(())
    }

    pub(super) fn advance_to_done(&mut self) -> Result<(), Trouble> {
        expect(self.session.advance_past_io()?, Doorbell::Done(self.index))
    }

    pub(super) fn record(&mut self, cut: &Cut) {
        self.report.cut = Some(cut.proof);
        self.report.cuts += 1;
        let at = self.session.image().describe_address(cut.rip);
        self.report.queue = Some(AtCut { queue: cut.queue, at });
        self.seen("cut", cut.rip);
        self.stands_still(StoppedAt::Cut);
    }

    /// Shows the guest to whoever wants to look at it, in time of its own.
    fn stands_still(&mut self, at: StoppedAt) {
        if let Some(look) = &self.runner.on_stopped {
            let start = Instant::now();
            look(at, &mut self.session);
            self.deadline += start.elapsed();
            self.session.vcpu.set_deadline(self.deadline);
        }
    }

    pub(super) fn seen(&self, state: &str, rip: u64) {
        if let Some(on_seen) = &self.runner.on_seen {
            on_seen(&format!("{state} at {}", self.session.image().describe_address(rip)));
        }
    }

    pub(super) fn judge(&mut self) -> Result<(), Trouble> {
        let mailbox = self.session.mailbox()?;
        verdict::read(&mailbox, self.case, self.scenario.delivery, self.report);
        if self.runner.frames.wanted(self.report.outcome) {
            self.report.frames = verdict::frames(&mailbox, self.report);
        }
        Ok(())
    }

    /// A case that ends in a shutdown has no verdict from its guest: it passes when the guest was shut down before a
    /// handler was entered.
    fn run_to_shutdown(&mut self) -> Result<(), Trouble> {
        let stopped = self.session.advance_past_io()?;
        let wrong = |words: String| Err(Trouble::machine(Finding::Machine { words }));
        match (stopped, self.session.entries()?) {
            (Stopped::Exit(Exit::Shutdown), 0) => {
                (self.report.outcome, self.report.compared) = (Outcome::Pass, 1);
                Ok(())
            }
            (Stopped::Exit(Exit::Shutdown), entries) => {
                wrong(format!("the guest was shut down after {entries} deliveries, not at the first"))
            }
            (Stopped::Doorbell(_), _) => wrong("the guest goes on where it must be shut down".to_owned()),
            (other, _) => Err(Trouble::Stopped(other)),
        }
    }
}
