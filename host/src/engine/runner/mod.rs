//! One scenario on one machine.
//!
//! | module | holds |
//! |---|---|
//! | `fork` | the machine, and guests at `Ready`, forked from snapshots |
//! | `attempt` | from `Armed` to the verdict |
//! | `cut` | a stop that cuts the delivery, and what is done at each cut |
//! | `storm` | a case that runs again and again |
//! | `migrate` | migrations |
//! | `trouble` | what it means that a guest ended without a verdict |

mod attempt;
mod cut;
mod fork;
mod migrate;
mod storm;
mod trouble;

pub use fork::{OnDoorbell, OnSeen, OnStopped, Runner, StoppedAt, ToProcess};

use crate::image::Image;
use crate::report::{Disbelief, Finding, Outcome, Report};
use crate::scenario::{Plan, Scenario};
use crate::session::Session;
use crate::session::devices::DevicesState;
use attempt::Attempt;
use std::time::Instant;
use vm::Vcpu;

impl Runner<'_> {
    /// Runs one scenario of `image`.
    pub fn run(&mut self, image: &Image, scenario: &Scenario) -> Report {
        let start = Instant::now();
        let deadline = start + self.timeout;
        let mut report = Report::new(scenario, self.machine.name(), self.behaviour.as_deref());
        let Some((index, case)) = image.case(&scenario.case) else {
            return conclude(no_case(report, image), start);
        };
        match self.start(image, scenario, deadline) {
            Ok(session) => {
                let report = &mut report;
                Attempt { runner: self, session, case, index, scenario, report, deadline }
                    .conclude(Attempt::run);
            }
            Err(trouble) => trouble.settle(None, self.timeout, &mut report),
        }
        conclude(report, start)
    }

    /// Runs a guest that was stopped in another process to the end of its case, and judges it; `report` is what
    /// is known of it.
    pub fn finish(
        &mut self,
        image: &Image,
        scenario: &Scenario,
        mut vcpu: Box<dyn Vcpu>,
        devices: &DevicesState,
        mut report: Report,
    ) -> Report {
        let deadline = Instant::now() + self.timeout;
        let Some((index, case)) = image.case(&scenario.case) else { return no_case(report, image) };
        vcpu.set_deadline(deadline);
        match Session::resumed(vcpu, image, devices) {
            Ok(session) => {
                let report = &mut report;
                let run = Attempt { runner: self, session, case, index, scenario, report, deadline };
                run.conclude(Attempt::run_to_done);
            }
            Err(reason) => report = report.concluded(Outcome::Error, Finding::program(reason)),
        }
        report
    }
}

fn no_case(report: Report, image: &Image) -> Report {
    let reason = format!("image {} has no case {}", image.name, report.scenario.case);
    report.concluded(Outcome::Error, Finding::program(reason))
}

/// What is made of a guest's verdict: nothing passes that read back otherwise after a restore, or whose cut
/// was not proved.
pub fn conclude(mut report: Report, start: Instant) -> Report {
    report.blame_restore();
    if matches!(report.scenario.plan, Plan::Cut(..))
        && report.cut.is_none()
        && report.outcome == Outcome::Pass
    {
        report = report.concluded(Outcome::Error, Finding::Verdict { why: Disbelief::NoCut });
    }
    report.duration_us = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    report
}
