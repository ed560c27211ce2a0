//! One QEMU with its guest.

use super::error::{VmError, system};
use super::memory::Memory;
use super::qmp::Qmp;
use super::saved::Saved;
use crate::process::{Child, ChildEvent, MemoryFile};
use protocol::doorbell::Doorbell;
use protocol::mailbox::{HostFlags, Mailbox};
use serde_json::{Value, json};
use std::io::{Read, Seek};
use std::mem::offset_of;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use zerocopy::IntoBytes;

/// Guest memory in bytes: the least that QEMU's machines start with, and more than images use.
pub(crate) const MEMORY: u64 = 8 << 20;
/// How often a guest that runs is looked at, and a QEMU that is busy asked.
const LOOK: Duration = Duration::from_micros(100);
/// How often QEMU is asked whether a guest that reaches no doorbell still runs.
const ASK: Duration = Duration::from_millis(50);
/// How much of what QEMU prints is kept, in bytes.
const KEPT: usize = 64 << 10;

/// A QEMU whose guest is paused, or runs; it is killed when this is dropped.
pub(crate) struct QemuVm {
    child: Child,
    qmp: Qmp,
    pub(crate) memory: Memory,
    /// Where the image's mailbox is.
    mailbox: u64,
    said: Vec<u8>,
}

impl QemuVm {
    /// Starts `program`, whose guest is paused: `arguments` say what is in it, and `mailbox` where its mailbox is.
    /// Fails when it does not start.
    pub(crate) fn start(
        program: &Path,
        arguments: &[String],
        mailbox: u64,
        deadline: Instant,
    ) -> Result<Self, VmError> {
        let memory = Memory::new(MEMORY).map_err(system("making memory for a guest"))?;
        let (ours, theirs) = UnixStream::pair().map_err(system("making a socket for QEMU"))?;
        let mut command = Command::new(program);
        let backend =
            format!("memory-backend-file,id=memory,share=on,size={MEMORY},mem-path={}", memory.path());
        command.args(["-object", &backend, "-m", &format!("{}M", MEMORY >> 20), "-S"]);
        command.args(["-chardev", "socket,id=qmp,fd=0", "-mon", "chardev=qmp,mode=control"]).args(arguments);
        let child = Child::start_with(command, Stdio::from(OwnedFd::from(theirs)));
        let mut child = child.map_err(system("starting QEMU"))?;
        let mut said = Vec::new();
        match Qmp::greeted(ours, deadline) {
            Ok(qmp) => Ok(Self { child, qmp, memory, mailbox, said }),
            Err(VmError::Closed) => Err(ended(&mut child, &mut said, deadline)),
            Err(error) => Err(error),
        }
    }

    /// Writes the host's flags for an image that has not begun. Fails when its memory cannot be written.
    pub(crate) fn introduce_host(&self) -> Result<(), VmError> {
        let flags = HostFlags::PRESENT | HostFlags::HOLD;
        self.write(offset_of!(Mailbox, host), &flags.bits().to_le_bytes())
    }

    /// Lets the processor run. Fails as [`command`](Self::command).
    pub(crate) fn run(&mut self, deadline: Instant) -> Result<(), VmError> {
        self.command("cont", json!({}), deadline).map(drop)
    }

    /// Stops the processor, wherever the guest is. Fails as [`command`](Self::command).
    pub(crate) fn stop(&mut self, deadline: Instant) -> Result<(), VmError> {
        self.command("stop", json!({}), deadline).map(drop)
    }

    /// Lets a guest that waits at its doorbell continue, or forgets that it did. Fails when its memory cannot be
    /// written.
    pub(crate) fn release(&self) -> Result<(), VmError> {
        self.write(offset_of!(Mailbox, waiting), &[0; 4])
    }

    /// Writes into the mailbox. Fails when the guest's memory cannot be written.
    pub(crate) fn write(&self, field: usize, bytes: &[u8]) -> Result<(), VmError> {
        self.memory.write(self.mailbox + field as u64, bytes).map_err(system("writing a guest's memory"))
    }

    /// The mailbox as it is now; an ended QEMU's too. Fails when it cannot be read.
    pub(crate) fn read_mailbox(&self) -> Result<Box<Mailbox>, VmError> {
        let mut mailbox = Box::new(Mailbox::EMPTY);
        let bytes = mailbox.as_mut().as_mut_bytes();
        self.memory.read(self.mailbox, bytes).map_err(system("reading a guest's memory"))?;
        Ok(mailbox)
    }

    /// Waits until the running guest waits at a doorbell. Fails when it does not in time, or QEMU ends.
    pub(crate) fn next_doorbell(&mut self, deadline: Instant) -> Result<Doorbell, VmError> {
        let at = self.mailbox + offset_of!(Mailbox, waiting) as u64;
        let mut ask = Instant::now() + ASK;
        loop {
            let value = self.memory.read_u32(at).map_err(system("reading a guest's memory"))?;
            match (value, Doorbell::decode(value)) {
                (0, _) if Instant::now() >= ask => {
                    self.check_that_it_runs(deadline)?;
                    ask = Instant::now() + ASK;
                }
                (0, _) => self.look_after("the guest reached no doorbell", deadline)?,
                (_, Some(doorbell)) => return Ok(doorbell),
                (_, None) => {
                    return Err(VmError::Garbled(format!("the guest rang {value:#x}, which is no doorbell")));
                }
            }
        }
    }

    /// The migration stream of the guest, which is paused then; [`run`](Self::run) lets it continue all the same.
    /// Fails when QEMU refuses it.
    pub(crate) fn save(&mut self, deadline: Instant) -> Result<Saved, VmError> {
        let file = MemoryFile::new(&[]).map_err(system("making a file for a saved guest"))?;
        self.give(&file, deadline)?;
        self.command("migrate", json!({ "uri": "fd:guest" }), deadline)?;
        loop {
            let state = self.command("query-migrate", json!({}), deadline)?;
            match state.get("status").and_then(Value::as_str) {
                Some("completed") => break,
                Some("failed" | "cancelled") => {
                    let why =
                        state.get("error-desc").and_then(Value::as_str).unwrap_or("(no reason)").to_owned();
                    return Err(VmError::Refused { command: "migrate", why });
                }
                Some(_) | None => self.look_after("it did not save its guest", deadline)?,
            }
        }
        let mut bytes = Vec::new();
        let mut whole = file.file();
        whole
            .rewind()
            .and_then(|()| whole.read_to_end(&mut bytes))
            .map_err(system("reading a saved guest"))?;
        Ok(Saved::read(bytes)?)
    }

    /// Loads a guest into a QEMU that was started with `-incoming defer`; it is paused then. Fails when QEMU refuses
    /// it.
    pub(crate) fn load(&mut self, saved: &Saved, deadline: Instant) -> Result<(), VmError> {
        let file = MemoryFile::new(saved.bytes()).map_err(system("making a file for a saved guest"))?;
        file.file().rewind().map_err(system("making a file for a saved guest"))?;
        self.give(&file, deadline)?;
        self.command("migrate-incoming", json!({ "uri": "fd:guest" }), deadline)?;
        loop {
            if self.state(deadline)? != "inmigrate" {
                return Ok(());
            }
            self.look_after("it did not load its guest", deadline)?;
        }
    }

    /// Whether a CPU model has a feature here. Fails as [`command`](Self::command).
    pub(crate) fn cpu_offers(
        &mut self,
        model: &str,
        feature: &str,
        deadline: Instant,
    ) -> Result<bool, VmError> {
        let question = json!({ "type": "full", "model": { "name": model } });
        let answer = self.command("query-cpu-model-expansion", question, deadline)?;
        Ok(answer.pointer(&format!("/model/props/{feature}")).and_then(Value::as_bool) == Some(true))
    }

    /// The guest's RIP; `None` when QEMU does not say.
    pub(crate) fn rip(&mut self, deadline: Instant) -> Option<u64> {
        let question = json!({ "command-line": "info registers" });
        let answer = self.command("human-monitor-command", question, deadline).ok()?;
        rip_in(answer.as_str()?)
    }

    /// Whether the page is in QEMU's mapping. Fails where that cannot be known.
    pub(crate) fn is_mapped(&self, page: u64) -> std::io::Result<bool> {
        self.memory.is_mapped(self.child.id(), page)
    }

    /// A guest that KVM cannot run, or that has met its end, stays where it is.
    fn check_that_it_runs(&mut self, deadline: Instant) -> Result<(), VmError> {
        match self.state(deadline)?.as_str() {
            "running" => Ok(()),
            other => {
                // What it prints of it may still be on its way.
                next(&mut self.child, &mut self.said, Instant::now() + LOOK)?;
                let state = other.to_owned();
                Err(VmError::Stopped { state, says: says(&self.said).unwrap_or_default() })
            }
        }
    }

    /// The run state.
    fn state(&mut self, deadline: Instant) -> Result<String, VmError> {
        let state = self.command("query-status", json!({}), deadline)?;
        Ok(state.get("status").and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    fn give(&mut self, file: &MemoryFile, deadline: Instant) -> Result<(), VmError> {
        let given =
            self.qmp.command("getfd", json!({ "fdname": "guest" }), Some(file.file().as_fd()), deadline);
        self.explained(given, deadline).map(drop)
    }

    fn command(
        &mut self,
        command: &'static str,
        arguments: Value,
        deadline: Instant,
    ) -> Result<Value, VmError> {
        let answer = self.qmp.command(command, arguments, None, deadline);
        self.explained(answer, deadline)
    }

    /// A channel that is closed means that QEMU has ended, or is about to.
    fn explained(&mut self, answer: Result<Value, VmError>, deadline: Instant) -> Result<Value, VmError> {
        answer.map_err(|error| match error {
            VmError::Closed => ended(&mut self.child, &mut self.said, deadline),
            other => other,
        })
    }

    /// Waits a moment. Fails when QEMU has ended, or at the deadline, before which `what` should have happened.
    fn look_after(&mut self, what: &'static str, deadline: Instant) -> Result<(), VmError> {
        if Instant::now() >= deadline {
            return Err(VmError::Late(what));
        }
        match next(&mut self.child, &mut self.said, Instant::now() + LOOK)? {
            None => Ok(()),
            Some(ended) => Err(ended),
        }
    }
}

/// The end of a child that has closed its channel.
fn ended(child: &mut Child, said: &mut Vec<u8>, deadline: Instant) -> VmError {
    loop {
        match next(child, said, deadline) {
            Err(error) | Ok(Some(error)) => return error,
            Ok(None) if Instant::now() >= deadline => return VmError::Closed,
            Ok(None) => {}
        }
    }
}

/// What a child does next, until `until` at most: its end, as an error, or nothing that matters.
fn next(child: &mut Child, said: &mut Vec<u8>, until: Instant) -> Result<Option<VmError>, VmError> {
    match child.next(until).map_err(system("reading QEMU's output"))? {
        ChildEvent::Output(_) | ChildEvent::Late => Ok(None),
        ChildEvent::Errors(bytes) => {
            said.extend(bytes.iter().take(KEPT.saturating_sub(said.len())));
            Ok(None)
        }
        ChildEvent::EndRequested => Err(VmError::EndRequested),
        ChildEvent::Ended(status) => {
            let says = says(said).unwrap_or_else(|| "(nothing)".to_owned());
            Ok(Some(VmError::Ended { code: status.code(), status: status.to_string(), says }))
        }
    }
}

/// The first line of what it printed that is no warning; what comes after it is the guest's registers.
fn says(said: &[u8]) -> Option<String> {
    let said = String::from_utf8_lossy(said);
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty() && !line.contains("warning:"));
    lines.next().map(str::to_owned)
}

/// The value after `RIP=`, once it is followed by something.
pub(crate) fn rip_in(answer: &str) -> Option<u64> {
    let (_, after) = answer.split_once("RIP=")?;
    let (digits, _) = after.split_once(' ')?;
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_read_when_it_is_whole() {
        let answer = "R15=0000000000000000\r\nRIP=00000000001002f3 RFL=00000002 [-------]";
        assert_eq!(rip_in(answer), Some(0x10_02F3));
        assert_eq!(rip_in(&answer[..30]), None);
        assert_eq!(rip_in("EIP=1 "), None);
    }
}
