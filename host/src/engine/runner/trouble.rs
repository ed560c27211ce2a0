//! What an end without a verdict means.
//!
//! An *error* is only what our own program or the environment did. Whatever a guest that is right on
//! a sound machine cannot come to, the machine has done: a failure.

use crate::report::outcome::{Outcome, Report};
use crate::session::{Session, Stopped};
use crate::stops::NoCut;
use protocol::doorbell::Doorbell;
use protocol::exit::ImageExit;
use protocol::text;
use std::time::Duration;
use vm::{Exit, VcpuError, explain};

/// Why a scenario came to no verdict of the guest's.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// A call failed.
    #[error(transparent)]
    Vcpu(#[from] VcpuError),
    /// The guest stopped where it should not.
    #[error("the guest stopped")]
    Stopped(Stopped),
    /// The machine did what it must not.
    #[error("{0}")]
    Machine(String),
    /// The cut did not happen, and the guest stands wherever it is.
    #[error("the delivery was not cut: {0}")]
    NoCut(String),
    /// The case ended without meeting the stop.
    #[error("the delivery was not cut: the case ended without meeting the stop")]
    Ended,
    /// The guest was to continue in another process and was not judged there.
    #[error("{0}")]
    Migration(String),
    /// None: the guest left. Its report came back, or is for whoever resumes it.
    #[error("another process judges the guest")]
    Judged,
    /// What it means is known already.
    #[error("{1}")]
    Told(Outcome, String),
}

impl From<NoCut> for Trouble {
    fn from(no_cut: NoCut) -> Self {
        match no_cut {
            NoCut::Vcpu(error) => Self::Vcpu(error),
            NoCut::Elsewhere(Stopped::Doorbell(Doorbell::Done(_))) => Self::Ended,
            NoCut::Elsewhere(stopped) => Self::Stopped(stopped),
            NoCut::Machine(what) => Self::Machine(what),
            NoCut::Unproved(why) => Self::NoCut(why),
        }
    }
}

impl Trouble {
    /// Of a guest that stopped where it should not, and that nobody will see any more.
    pub(super) fn told(mut session: Session<'_>, stopped: &Stopped, timeout: Duration) -> Self {
        let (outcome, sentence) = describe(Some(&mut session), stopped, timeout);
        Self::Told(outcome, sentence)
    }

    /// What it means: writes it into the report. `timeout` is how long the scenario had.
    pub(super) fn settle(self, session: Option<&mut Session<'_>>, timeout: Duration, report: &mut Report) {
        let sentence = self.to_string();
        (report.outcome, report.reason) = match self {
            Self::Judged => return,
            Self::Migration(_) | Self::NoCut(_) | Self::Ended => (Outcome::Error, Some(sentence)),
            Self::Machine(_) => (Outcome::Fail, Some(sentence)),
            Self::Vcpu(error) => (error.blame().into(), Some(sentence)),
            Self::Told(outcome, _) => (outcome, Some(sentence)),
            Self::Stopped(stopped) => {
                let (outcome, reason) = describe(session, &stopped, timeout);
                (outcome, Some(reason))
            }
        };
    }
}

/// What a guest that stopped where it should not says about the machine, or about us.
fn describe(session: Option<&mut Session<'_>>, stopped: &Stopped, timeout: Duration) -> (Outcome, String) {
    let Some(session) = session else { return (Outcome::Error, "the guest was lost".to_owned()) };
    let image = session.image();
    let rip = session.vcpu.regs().map(|regs| regs.rip);
    let place = rip.map_or("an unknown address".to_owned(), |rip| image.describe_address(rip));
    match stopped {
        Stopped::Exit(Exit::Deadline) => {
            let limit = timeout.as_secs_f64();
            (Outcome::Error, format!("timeout: after {limit} s the guest was still running, at {place}"))
        }
        Stopped::Exit(exit @ Exit::UnknownInstruction { rip, .. }) => {
            let at = image.describe_address(*rip);
            (explain::blame(exit).into(), format!("{} at {at}", explain::exit(exit)))
        }
        Stopped::Exit(exit @ Exit::FailEntry { set, .. }) => {
            let with = explain::entered_with(session.vcpu.as_mut(), set);
            (explain::blame(exit).into(), format!("{}; RIP at {place}; {with}", explain::exit(exit)))
        }
        Stopped::Exit(exit) => {
            (explain::blame(exit).into(), format!("{}, RIP at {place}", explain::exit(exit)))
        }
        Stopped::Ended(byte) => ended(session, *byte),
        Stopped::Doorbell(doorbell) => {
            let rang = match doorbell {
                Doorbell::Ready => "Ready".to_owned(),
                Doorbell::Armed(case) => format!("Armed of case {case}"),
                Doorbell::Done(case) => format!("Done of case {case}"),
            };
            (Outcome::Fail, format!("the guest rang {rang} out of turn, RIP at {place}"))
        }
        Stopped::Input => {
            (Outcome::Fail, format!("the guest read the input port out of turn, RIP at {place}"))
        }
        Stopped::Output => {
            (Outcome::Fail, format!("the guest wrote to the output port out of turn, RIP at {place}"))
        }
    }
}

pub(super) fn expect(_: &Session<'_>, stopped: Stopped, doorbell: Doorbell) -> Result<(), Trouble> {
    if stopped == Stopped::Doorbell(doorbell) { Ok(()) } else { Err(Trouble::Stopped(stopped)) }
}

/// An image that ended itself in mid-case: it fails where it has met what no sound machine does.
fn ended(session: &Session<'_>, byte: u8) -> (Outcome, String) {
    let exit = ImageExit::from_byte(byte);
    let how = match exit {
        Some(ImageExit::Pass) => "as passed".to_owned(),
        Some(ImageExit::Fail) => "as failed".to_owned(),
        Some(ImageExit::Error) => "with an error".to_owned(),
        Some(ImageExit::Skip) => "as skipped".to_owned(),
        None => format!("with the unknown byte {byte:#x}"),
    };
    let mailbox = session.mailbox().ok();
    let reason = mailbox.as_ref().and_then(|mailbox| text::read(&mailbox.reason)).unwrap_or("");
    let serial = session.serial_text();
    let last = serial.lines().last().unwrap_or("");
    let story = if reason.is_empty() { last } else { reason };
    let outcome = if exit == Some(ImageExit::Fail) { Outcome::Fail } else { Outcome::Error };
    (outcome, format!("the image ended itself in mid-case, {how}: {story}"))
}
