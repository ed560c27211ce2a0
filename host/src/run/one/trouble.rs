//! What an end without a verdict means.

use super::attempt::Run;
use crate::cut::NoCut;
use crate::result::{Outcome, Report};
use crate::session::{Session, Stopped};
use protocol::doorbell::Doorbell;
use protocol::exit::ImageExit;
use protocol::text;
use vm::{Exit, VcpuError};

/// Why a scenario came to no verdict.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// A call failed.
    #[error(transparent)]
    Vcpu(#[from] VcpuError),
    /// The guest stopped where it should not.
    #[error("the guest stopped")]
    Stopped(Stopped),
    /// The cut did not happen.
    #[error("the delivery was not cut: {0}")]
    NoCut(String),
    /// The guest went on elsewhere and was not judged there.
    #[error("{0}")]
    Elsewhere(String),
    /// None: the guest went on elsewhere, and its report came back.
    #[error("the guest was judged elsewhere")]
    Judged,
}

impl From<NoCut> for Trouble {
    fn from(no_cut: NoCut) -> Self {
        match no_cut {
            NoCut::Vcpu(error) => Self::Vcpu(error),
            NoCut::Elsewhere(stopped @ Stopped::Exit(_)) => Self::Stopped(stopped),
            NoCut::Elsewhere(Stopped::Doorbell(Doorbell::Done(_))) => {
                Self::NoCut("the case ended without meeting the stop".to_owned())
            }
            NoCut::Elsewhere(other) => Self::NoCut(format!("the guest stopped at {other:?} instead")),
            NoCut::Unproved(why) => Self::NoCut(why),
        }
    }
}

impl Run<'_, '_, '_> {
    /// What an end without a verdict means.
    pub(super) fn settle(
        &self,
        done: Result<(), Trouble>,
        session: Option<&Session<'_>>,
        report: &mut Report,
    ) {
        let (outcome, reason) = match done {
            Ok(()) | Err(Trouble::Judged) => return,
            Err(Trouble::Elsewhere(why)) => (Outcome::Error, why),
            Err(Trouble::Vcpu(error)) => (Outcome::Error, error.to_string()),
            Err(Trouble::NoCut(why)) => (Outcome::Error, format!("the delivery was not cut: {why}")),
            Err(Trouble::Stopped(stopped)) => self.describe(session, &stopped),
        };
        report.outcome = outcome;
        report.reason = Some(reason);
    }
    /// What a guest that stopped where it should not says about the machine, or about the harness.
    pub(super) fn describe(&self, session: Option<&Session<'_>>, stopped: &Stopped) -> (Outcome, String) {
        let place = session
            .and_then(|session| session.vcpu.regs().ok())
            .map_or("an unknown address".to_owned(), |regs| self.image.describe_address(regs.rip));
        match stopped {
            Stopped::Exit(Exit::Deadline) => {
                let limit = self.runner.timeout.as_secs_f64();
                (Outcome::Error, format!("timeout: after {limit} s the guest was still running, at {place}"))
            }
            Stopped::Exit(Exit::Shutdown) => {
                (Outcome::Fail, format!("the guest was shut down (triple fault), RIP at {place}"))
            }
            Stopped::Exit(Exit::InternalError { suberror, data }) => (
                Outcome::Fail,
                format!("KVM_EXIT_INTERNAL_ERROR, suberror {suberror}, data {data:x?}, RIP at {place}"),
            ),
            Stopped::Exit(Exit::UnknownInstruction { text, rip }) => (
                Outcome::Error,
                format!("unsupported instruction {text} at {}", self.image.describe_address(*rip)),
            ),
            Stopped::Ended(byte) => (Outcome::Error, ended(session, *byte)),
            other => (Outcome::Error, format!("the guest stopped with {other:?}, RIP at {place}")),
        }
    }
}

pub(super) fn expect(session: &Session<'_>, stopped: Stopped, doorbell: Doorbell) -> Result<(), Trouble> {
    if stopped == Stopped::Doorbell(doorbell) { Ok(()) } else { Err(explain(session, stopped)) }
}

/// A stop while booting happens to a session that the caller never sees: its story goes into the
/// trouble itself.
pub(super) fn explain(session: &Session<'_>, stopped: Stopped) -> Trouble {
    match stopped {
        Stopped::Ended(byte) => Trouble::NoCut(ended(Some(session), byte)),
        other => Trouble::Stopped(other),
    }
}

pub(super) fn ended(session: Option<&Session<'_>>, byte: u8) -> String {
    let how = match ImageExit::from_byte(byte) {
        Some(exit) => format!("{exit:?}"),
        None => format!("unknown byte {byte:#x}"),
    };
    let mailbox = session.and_then(|session| session.mailbox().ok());
    let reason = mailbox.as_ref().and_then(|mailbox| text::read(&mailbox.reason)).unwrap_or("");
    let serial = session.map(Session::serial_text).unwrap_or_default();
    let last = serial.lines().last().unwrap_or("");
    let story = if reason.is_empty() { last } else { reason };
    format!("the image ended itself in mid-case ({how}): {story}")
}
