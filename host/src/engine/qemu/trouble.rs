//! What it means that a guest in QEMU has no verdict.

use crate::deadline::Deadline;
use crate::image::Image;
use crate::machines::transcript::exit_of;
use crate::qemu::error::VmError;
use crate::qemu::saved::SavedError;
use crate::qemu::vm::QemuVm;
use crate::report::{Finding, Outcome};
use protocol::doorbell::Doorbell;
use protocol::exit::ImageExit;
use protocol::mailbox::Mailbox;
use protocol::text;
use std::time::Duration;
use vm::{Exit, explain};

/// Why a scenario has no verdict from its guest.
pub(super) enum Trouble {
    /// QEMU did not do what it was asked for, or the guest did not come where it should.
    Vm(VmError),
    /// The same of a guest that this QEMU still has.
    In(Box<QemuVm>, VmError),
    /// The guest rang another doorbell.
    OutOfTurn(Doorbell),
    /// The case has ended without `Armed`; its mailbox.
    NotArmed(Box<Mailbox>),
    /// What it means is known already.
    Found(Outcome, Finding),
}

impl From<VmError> for Trouble {
    fn from(error: VmError) -> Self {
        Self::Vm(error)
    }
}

impl From<SavedError> for Trouble {
    fn from(error: SavedError) -> Self {
        Self::Vm(error.into())
    }
}

impl Trouble {
    /// The machine did something that is wrong.
    pub(super) fn machine(words: impl Into<String>) -> Self {
        Self::Found(Outcome::Fail, Finding::Machine { words: words.into() })
    }

    /// The machine lacks something.
    pub(super) fn lacks(what: impl Into<String>) -> Self {
        Self::Found(Outcome::Skip, Finding::Lacks { what: what.into() })
    }

    /// What it means. `timeout` is how long the scenario had.
    pub(super) fn meaning(self, image: &Image, timeout: Duration) -> (Outcome, Finding) {
        match self {
            Self::Found(outcome, finding) => (outcome, finding),
            Self::OutOfTurn(doorbell) => {
                (Outcome::Fail, Finding::OutOfTurn { port: doorbell.into(), at: None })
            }
            Self::NotArmed(_) => (Outcome::Fail, Finding::NeverArmed),
            Self::Vm(error) => of_error(error, None, timeout),
            Self::In(mut vm, error) => {
                let rip = where_it_is(&mut vm, &error);
                let (outcome, mut finding) = of_error(error, vm.read_mailbox().ok().as_deref(), timeout);
                if let Finding::Deadline { at, .. } | Finding::Exit { at, .. } = &mut finding {
                    *at = rip.map(|rip| image.describe_address(rip));
                }
                (outcome, finding)
            }
        }
    }
}

/// Where a guest is that its QEMU still has, where that says something of the error.
fn where_it_is(vm: &mut QemuVm, error: &VmError) -> Option<u64> {
    match error {
        VmError::Late(_) => vm.registers(&Deadline::after(ANSWER)).map(|registers| registers.rip),
        VmError::Halted { rip } => Some(*rip),
        VmError::Ended { .. }
        | VmError::Stopped { .. }
        | VmError::Refused { .. }
        | VmError::Closed
        | VmError::Garbled(_)
        | VmError::Saved(_)
        | VmError::System { .. }
        | VmError::EndRequested => None,
    }
}

/// How long a QEMU that is late may take to say where its guest is.
const ANSWER: Duration = Duration::from_secs(2);

/// A QEMU that does not take back what it has saved is wrong; one that cannot be driven is an error, and so is a guest
/// that is not through in time, as on every machine.
fn of_error(error: VmError, mailbox: Option<&Mailbox>, timeout: Duration) -> (Outcome, Finding) {
    let words = error.to_string();
    match error {
        VmError::Late(_) => (Outcome::Error, Finding::Deadline { seconds: timeout.as_secs_f64(), at: None }),
        VmError::Ended { code: Some(0), .. } => {
            let words = "the guest was shut down, as by a triple fault".to_owned();
            (Outcome::Fail, Finding::Machine { words })
        }
        VmError::Ended { code: Some(code), .. } => match exit_of(code) {
            Some(exit) => ended(exit, mailbox),
            None => (Outcome::Error, Finding::program(words)),
        },
        VmError::Stopped { says, .. } => match internal_error(&says) {
            Some(exit) => (explain::blame(&exit).into(), Finding::Exit { exit, at: None, entered: None }),
            None => (Outcome::Fail, Finding::Machine { words }),
        },
        VmError::Halted { .. } => {
            let exit = Exit::Halt;
            (explain::blame(&exit).into(), Finding::Exit { exit, at: None, entered: None })
        }
        VmError::Refused { command: "migrate" | "migrate-incoming", .. } => {
            (Outcome::Fail, Finding::Machine { words })
        }
        VmError::Ended { code: None, .. }
        | VmError::Refused { .. }
        | VmError::Closed
        | VmError::Garbled(_)
        | VmError::Saved(_)
        | VmError::System { .. }
        | VmError::EndRequested => (Outcome::Error, Finding::program(words)),
    }
}

/// What KVM_RUN returned with, where QEMU prints that it was KVM_EXIT_INTERNAL_ERROR: `kvm_handle_internal_error` in
/// accel/kvm/kvm-all.c.
fn internal_error(says: &str) -> Option<Exit> {
    let suberror = says.strip_prefix("KVM internal error. Suberror: ")?;
    Some(Exit::InternalError { suberror: suberror.parse().ok()?, data: Vec::new() })
}

/// An image that ended itself in mid-case: it fails where it has met what no sound machine does.
fn ended(exit: ImageExit, mailbox: Option<&Mailbox>) -> (Outcome, Finding) {
    let words = mailbox.and_then(|mailbox| text::read(&mailbox.reason)).unwrap_or_default().to_owned();
    let outcome = if exit == ImageExit::Fail { Outcome::Fail } else { Outcome::Error };
    (outcome, Finding::Ended { byte: exit as u8, words })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(error: VmError) -> (Outcome, Finding) {
        of_error(error, None, Duration::from_secs(1))
    }

    fn ended(code: Option<i32>) -> VmError {
        VmError::Ended { code, status: "a status".to_owned(), says: "(nothing)".to_owned() }
    }

    #[test]
    fn what_a_guest_cannot_come_to_on_a_sound_machine_is_a_failure() {
        let stopped =
            |says: &str| VmError::Stopped { state: "internal-error".to_owned(), says: says.to_owned() };
        let exit = Exit::InternalError { suberror: 1, data: Vec::new() };
        let found = Finding::Exit { exit, at: None, entered: None };
        let printed = "KVM internal error. Suberror: 1";
        assert_eq!(outcome(stopped(printed)), (Outcome::Fail, found));
        for error in [
            stopped(""),
            stopped("KVM internal error. Suberror: x"),
            // Shut down; an image that has met an event where none may be.
            ended(Some(0)),
            ended(Some(35)),
            VmError::Refused { command: "migrate", why: "no".to_owned() },
            VmError::Refused { command: "migrate-incoming", why: "no".to_owned() },
        ] {
            assert_eq!(outcome(error.clone()).0, Outcome::Fail, "{error}");
        }
    }

    #[test]
    fn a_guest_that_nothing_wakes_is_a_failure_with_the_exit_of_kvm() {
        let found = Finding::Exit { exit: Exit::Halt, at: None, entered: None };
        assert_eq!(outcome(VmError::Halted { rip: 0x10_0000 }), (Outcome::Fail, found));
    }

    #[test]
    fn what_is_not_the_guest_s_is_an_error() {
        for error in [
            ended(None),
            ended(Some(1)),
            ended(Some(37)),
            VmError::Late("x"),
            VmError::Closed,
            VmError::Refused { command: "cont", why: "no".to_owned() },
        ] {
            assert_eq!(outcome(error.clone()).0, Outcome::Error, "{error}");
        }
    }
}
