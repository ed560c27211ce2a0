//! What it means that a guest ended without a verdict.
//!
//! An *error* is only what our own program or the environment did. Whatever a guest that is right on
//! a sound machine cannot come to, the machine has done: a failure.

use crate::report::{Finding, Outcome, Port, Report};
use crate::session::{Session, Stopped};
use crate::stops::NoCut;
use protocol::doorbell::Doorbell;
use protocol::exit::ImageExit;
use protocol::text;
use std::time::Duration;
use vm::{Exit, VcpuError, explain};

/// Why a scenario has no verdict from its guest.
#[derive(Debug)]
pub(super) enum Trouble {
    /// A call failed.
    Vcpu(VcpuError),
    /// The guest stopped where it should not.
    Stopped(Stopped),
    /// The cut did not happen; the guest is stopped at an unknown place.
    NoCut(Finding),
    /// The case ended without meeting the stop.
    Ended,
    /// None: the guest was migrated. Its report was returned, or `resume` writes it.
    Judged,
    /// What it means is known already.
    Found(Outcome, Finding),
}

impl From<VcpuError> for Trouble {
    fn from(error: VcpuError) -> Self {
        Self::Vcpu(error)
    }
}

impl From<NoCut> for Trouble {
    fn from(no_cut: NoCut) -> Self {
        match no_cut {
            NoCut::Vcpu(error) => Self::Vcpu(error),
            NoCut::Unexpected(Stopped::Doorbell(Doorbell::Done(_))) => Self::Ended,
            NoCut::Unexpected(stopped) => Self::Stopped(stopped),
            NoCut::Machine(words) => Self::machine(Finding::Machine { words }),
            NoCut::Gone(queue) => Self::machine(Finding::EventGone { queue }),
            NoCut::Unproved(why) => Self::NoCut(Finding::NotCut { why }),
        }
    }
}

impl Trouble {
    /// The machine did something that is wrong.
    pub(super) fn machine(finding: Finding) -> Self {
        Self::Found(Outcome::Fail, finding)
    }

    /// The guest was to continue in another process and was not judged there.
    pub(super) fn migration(error: impl ToString) -> Self {
        Self::Found(Outcome::Error, Finding::program(error))
    }

    /// For a guest that stopped at an unexpected place; consumes its session.
    pub(super) fn unexpected(mut session: Session<'_>, stopped: Stopped, timeout: Duration) -> Self {
        let (outcome, finding) = describe(Some(&mut session), stopped, timeout);
        Self::Found(outcome, finding)
    }

    /// What it means: writes it into the report. `timeout` is how long the scenario had.
    pub(super) fn settle(self, session: Option<&mut Session<'_>>, timeout: Duration, report: &mut Report) {
        let (outcome, finding) = match self {
            Self::Judged => return,
            Self::NoCut(finding) => (Outcome::Error, finding),
            Self::Ended => (Outcome::Error, Finding::StopNotMet),
            Self::Vcpu(error) => (error.blame().into(), Finding::from(&error)),
            Self::Found(outcome, finding) => (outcome, finding),
            Self::Stopped(stopped) => describe(session, stopped, timeout),
        };
        (report.outcome, report.why) = (outcome, Some(finding));
    }
}

/// What an unexpected stop of the guest means: a fault of the machine, or of midflight.
fn describe(session: Option<&mut Session<'_>>, stopped: Stopped, timeout: Duration) -> (Outcome, Finding) {
    let Some(session) = session else { return (Outcome::Error, Finding::program("the guest was lost")) };
    let image = session.image();
    let at = session.vcpu.regs().ok().map(|regs| image.describe_address(regs.rip));
    let out_of_turn = |port| (Outcome::Fail, Finding::OutOfTurn { port, at: at.clone() });
    match stopped {
        Stopped::Exit(Exit::Deadline) => {
            (Outcome::Error, Finding::Deadline { seconds: timeout.as_secs_f64(), at })
        }
        Stopped::Exit(exit) => {
            let (at, entered) = match &exit {
                Exit::UnknownInstruction { rip, .. } => (Some(image.describe_address(*rip)), None),
                Exit::FailEntry { set, .. } => {
                    (at, Some(Box::new(explain::entered(session.vcpu.as_mut(), set))))
                }
                Exit::IoOut { .. } | Exit::IoIn { .. } | Exit::Mmio { .. } | Exit::Fault { .. } => (at, None),
                Exit::InterruptWindow | Exit::Halt | Exit::Shutdown | Exit::Interrupted => (at, None),
                Exit::Deadline | Exit::DirtyRingFull => (at, None),
                Exit::InternalError { .. } | Exit::Unknown { .. } | Exit::Other { .. } => (at, None),
            };
            (explain::blame(&exit).into(), Finding::Exit { exit, at, entered })
        }
        Stopped::Ended(byte) => ended(session, byte),
        Stopped::Doorbell(doorbell) => out_of_turn(doorbell.into()),
        Stopped::Input => out_of_turn(Port::Input),
        Stopped::Output => out_of_turn(Port::Output),
    }
}

/// What a guest that was to ring `doorbell` has done instead, if it did not.
pub(super) fn expect(stopped: Stopped, doorbell: Doorbell) -> Result<(), Trouble> {
    if stopped == Stopped::Doorbell(doorbell) { Ok(()) } else { Err(Trouble::Stopped(stopped)) }
}

/// An image that ended itself in mid-case: it fails where it has met what no sound machine does.
fn ended(session: &Session<'_>, byte: u8) -> (Outcome, Finding) {
    let mailbox = session.mailbox().ok();
    let reason = mailbox.as_ref().and_then(|mailbox| text::read(&mailbox.reason)).unwrap_or("");
    let serial = session.serial_text();
    let words = if reason.is_empty() { serial.lines().last().unwrap_or("") } else { reason };
    let failed = ImageExit::from_byte(byte) == Some(ImageExit::Fail);
    let outcome = if failed { Outcome::Fail } else { Outcome::Error };
    (outcome, Finding::Ended { byte, words: words.to_owned() })
}
