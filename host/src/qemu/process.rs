//! QEMU's process: what it prints, and how it ends.

use super::error::{VmError, system};
use crate::deadline::Deadline;
use crate::process::{Child, ChildEvent};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a look at it lasts.
pub(super) const LOOK: Duration = Duration::from_micros(100);
/// How much of what QEMU prints is kept, in bytes.
const KEPT: usize = 64 << 10;

/// A process that is killed when this is dropped.
pub(super) struct Process {
    child: Child,
    said: Vec<u8>,
}

impl Process {
    /// Starts QEMU with this standard input. Fails when it cannot be.
    pub(super) fn start(command: Command, input: Stdio) -> Result<Self, VmError> {
        let child = Child::start_with(command, input).map_err(system("starting QEMU"))?;
        Ok(Self { child, said: Vec::new() })
    }

    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits a moment. Fails when QEMU has ended, or at the deadline, before which `what` should have happened.
    pub(super) fn look_after(&mut self, what: &'static str, deadline: &Deadline) -> Result<(), VmError> {
        if deadline.has_passed(self.id()) {
            return Err(VmError::Late(what));
        }
        match self.look()? {
            None => Ok(()),
            Some(ended) => Err(ended),
        }
    }

    /// The end of a process that has closed its channel.
    pub(super) fn ended(&mut self, deadline: &Deadline) -> VmError {
        loop {
            match self.look() {
                Err(error) | Ok(Some(error)) => return error,
                Ok(None) if deadline.has_passed(self.id()) => return VmError::Closed,
                Ok(None) => {}
            }
        }
    }

    /// What it does next, if that is soon: its end, as an error, or nothing that matters.
    pub(super) fn look(&mut self) -> Result<Option<VmError>, VmError> {
        match self.child.next(Instant::now() + LOOK).map_err(system("reading QEMU's output"))? {
            ChildEvent::Output(_) | ChildEvent::Late => Ok(None),
            ChildEvent::Errors(bytes) => {
                self.said.extend(bytes.iter().take(KEPT.saturating_sub(self.said.len())));
                Ok(None)
            }
            ChildEvent::EndRequested => Err(VmError::EndRequested),
            ChildEvent::Ended(status) => {
                let says = self.says().unwrap_or_else(|| "(nothing)".to_owned());
                Ok(Some(VmError::Ended { code: status.code(), status: status.to_string(), says }))
            }
        }
    }

    /// The first line of what it printed that is no warning; what comes after it is the guest's registers.
    pub(super) fn says(&self) -> Option<String> {
        let said = String::from_utf8_lossy(&self.said);
        let lines = said.lines().map(str::trim);
        lines.filter(|line| !line.is_empty() && !line.contains("warning:")).map(str::to_owned).next()
    }
}
