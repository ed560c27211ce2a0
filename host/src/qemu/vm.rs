//! One QEMU with its guest.

use super::error::{VmError, system};
use super::memory::Memory;
use super::migration::{self, FileAddress};
use super::process::Process;
use super::qmp::Qmp;
use super::registers::Registers;
use crate::deadline::Deadline;
use protocol::doorbell::Doorbell;
use protocol::mailbox::{HostFlags, Mailbox};
use serde_json::{Value, json};
use std::mem::offset_of;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use zerocopy::IntoBytes;

/// Guest memory in bytes: the least that QEMU's machines start with, and more than images use.
pub(crate) const MEMORY: u64 = 8 << 20;
/// How often QEMU is asked whether a guest that reaches no doorbell still runs.
const ASK: Duration = Duration::from_millis(50);

/// A QEMU whose guest is paused, or runs; it is killed when this is dropped.
pub(crate) struct QemuVm {
    process: Process,
    qmp: Qmp,
    pub(crate) memory: Memory,
    /// Where the image's mailbox is.
    mailbox: u64,
    pub(super) file_address: FileAddress,
    runs: bool,
}

impl QemuVm {
    /// Starts `program`, whose guest is paused: `arguments` say what is in it, and `mailbox` where its mailbox is.
    /// `file_address` is how it takes files. Fails when it does not start.
    pub(crate) fn start(
        program: &Path,
        arguments: &[String],
        mailbox: u64,
        file_address: FileAddress,
        deadline: &Deadline,
    ) -> Result<Self, VmError> {
        let memory = Memory::new(MEMORY).map_err(system("making memory for a guest"))?;
        let (ours, theirs) = UnixStream::pair().map_err(system("making a socket for QEMU"))?;
        let mut command = Command::new(program);
        let backend =
            format!("memory-backend-file,id=memory,share=on,size={MEMORY},mem-path={}", memory.path());
        command.args(["-object", &backend, "-m", &format!("{}M", MEMORY >> 20), "-S"]);
        command.args(["-chardev", "socket,id=qmp,fd=0", "-mon", "chardev=qmp,mode=control"]).args(arguments);
        let mut process = Process::start(command, Stdio::from(OwnedFd::from(theirs)))?;
        match Qmp::greeted(ours, process.id(), deadline) {
            Ok(qmp) => Ok(Self { process, qmp, memory, mailbox, file_address, runs: false }),
            Err(VmError::Closed) => Err(process.ended(deadline)),
            Err(error) => Err(error),
        }
    }

    /// Writes the host's flags for an image that has not begun. Fails when its memory cannot be written.
    pub(crate) fn introduce_host(&self) -> Result<(), VmError> {
        let flags = HostFlags::PRESENT | HostFlags::HOLD;
        self.write(offset_of!(Mailbox, host), &flags.bits().to_le_bytes())
    }

    /// Lets the processor run, if it does not. Fails as [`command`](Self::command).
    pub(crate) fn run(&mut self, deadline: &Deadline) -> Result<(), VmError> {
        if !self.runs {
            self.command("cont", json!({}), deadline)?;
            self.runs = true;
        }
        Ok(())
    }

    /// Stops the processor, wherever the guest is, if it runs: a guest that waits at a doorbell keeps a processor of
    /// the host busy. Fails as [`command`](Self::command).
    pub(crate) fn stop(&mut self, deadline: &Deadline) -> Result<(), VmError> {
        if self.runs {
            self.command("stop", json!({}), deadline)?;
            self.runs = false;
        }
        Ok(())
    }

    /// Has QEMU stop the processor, and lets a guest that waits at its doorbell continue, `lead` microseconds after QEMU
    /// was told to, or before where that is below 0. Fails as [`command`](Self::command).
    pub(crate) fn stop_near_release(&mut self, lead: f64, deadline: &Deadline) -> Result<(), VmError> {
        if lead < 0.0 {
            self.release()?;
            spin(-lead);
        }
        let begun = self.qmp.begin("stop", &json!({}), None).map(|()| Value::Null);
        self.explained(begun, deadline)?;
        if lead >= 0.0 {
            spin(lead);
            self.release()?;
        }
        let answer = self.qmp.answer("stop", deadline);
        self.explained(answer, deadline)?;
        self.runs = false;
        Ok(())
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
    pub(crate) fn next_doorbell(&mut self, deadline: &Deadline) -> Result<Doorbell, VmError> {
        let at = self.mailbox + offset_of!(Mailbox, waiting) as u64;
        let mut ask = Instant::now() + ASK;
        let mut halted = None;
        loop {
            let value = self.memory.read_u32(at).map_err(system("reading a guest's memory"))?;
            match (value, Doorbell::decode(value)) {
                (0, _) if Instant::now() >= ask => {
                    let before = halted;
                    halted = self.halted(deadline)?;
                    if let Some(rip) = halted.filter(|_| halted == before) {
                        return Err(VmError::Halted { rip });
                    }
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

    /// Gives the guest an NMI, by LINT1 of its local APIC; nothing where that is masked. Fails as
    /// [`command`](Self::command).
    pub(crate) fn inject_nmi(&mut self, deadline: &Deadline) -> Result<(), VmError> {
        self.command("inject-nmi", json!({}), deadline).map(drop)
    }

    /// Waits until the running guest is in HLT; its RIP, after that. Fails when it is not in time, or QEMU ends.
    pub(crate) fn until_halted(&mut self, deadline: &Deadline) -> Result<u64, VmError> {
        loop {
            if let Some(registers) = self.registers(deadline).filter(|registers| registers.halted) {
                return Ok(registers.rip);
            }
            self.look_after("the guest did not come to HLT", deadline)?;
        }
    }

    /// Whether a CPU model has a feature here. Fails as [`command`](Self::command).
    pub(crate) fn cpu_offers(
        &mut self,
        model: &str,
        feature: &str,
        deadline: &Deadline,
    ) -> Result<bool, VmError> {
        let question = json!({ "type": "full", "model": { "name": model } });
        let answer = self.command("query-cpu-model-expansion", question, deadline)?;
        Ok(answer.pointer(&format!("/model/props/{feature}")).and_then(Value::as_bool) == Some(true))
    }

    /// How it takes files for guests. Fails as [`command`](Self::command).
    pub(crate) fn takes_files(&mut self, deadline: &Deadline) -> Result<FileAddress, VmError> {
        let schema = self.command("query-qmp-schema", json!({}), deadline)?;
        Ok(migration::file_address(&schema))
    }

    /// What QEMU says of the processor; `None` when it does not.
    pub(crate) fn registers(&mut self, deadline: &Deadline) -> Option<Registers> {
        let question = json!({ "command-line": "info registers" });
        let answer = self.command("human-monitor-command", question, deadline).ok()?;
        Registers::of(answer.as_str()?)
    }

    /// Whether a time is over, of which this QEMU took its part.
    pub(crate) fn has_passed(&self, deadline: &Deadline) -> bool {
        deadline.has_passed(self.process.id())
    }

    /// Whether the page is in QEMU's mapping. Fails where that cannot be known.
    pub(crate) fn is_mapped(&self, page: u64) -> std::io::Result<bool> {
        self.memory.is_mapped(self.process.id(), page)
    }

    /// Where a guest that runs is in HLT, if nothing wakes it there. One that KVM cannot run, or that has met its end,
    /// stays where it is: an error.
    fn halted(&mut self, deadline: &Deadline) -> Result<Option<u64>, VmError> {
        match self.state(deadline)?.as_str() {
            "running" => {
                let registers = self.registers(deadline).filter(|registers| registers.is_halted_for_good());
                Ok(registers.map(|registers| registers.rip))
            }
            other => {
                // What it prints of it may still be on its way.
                self.process.look()?;
                let state = other.to_owned();
                Err(VmError::Stopped { state, says: self.process.says().unwrap_or_default() })
            }
        }
    }

    /// The run state.
    pub(super) fn state(&mut self, deadline: &Deadline) -> Result<String, VmError> {
        let state = self.command("query-status", json!({}), deadline)?;
        Ok(state.get("status").and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    /// Hands over a file, or a socket, which commands call `name` then. Fails as [`command`](Self::command).
    pub(super) fn give(&mut self, name: &str, file: impl AsFd, deadline: &Deadline) -> Result<(), VmError> {
        let given = self.qmp.command("getfd", json!({ "fdname": name }), Some(file.as_fd()), deadline);
        self.explained(given, deadline).map(drop)
    }

    /// Marks the guest as paused: a migration has stopped it.
    pub(super) fn has_stopped(&mut self) {
        self.runs = false;
    }

    /// Gives a command and waits for its answer. Fails when QEMU refuses it, or ends.
    pub(super) fn command(
        &mut self,
        command: &'static str,
        arguments: Value,
        deadline: &Deadline,
    ) -> Result<Value, VmError> {
        let answer = self.qmp.command(command, arguments, None, deadline);
        self.explained(answer, deadline)
    }

    /// A channel that is closed means that QEMU has ended, or is about to.
    pub(super) fn explained(
        &mut self,
        answer: Result<Value, VmError>,
        deadline: &Deadline,
    ) -> Result<Value, VmError> {
        answer.map_err(|error| match error {
            VmError::Closed => self.process.ended(deadline),
            other => other,
        })
    }

    /// Waits a moment for the end of what `what` names. Fails as the process does.
    pub(super) fn look_after(&mut self, what: &'static str, deadline: &Deadline) -> Result<(), VmError> {
        self.process.look_after(what, deadline)
    }
}

/// Lets microseconds pass, fewer than a thread could sleep.
fn spin(microseconds: f64) {
    let begun = Instant::now();
    while begun.elapsed().as_secs_f64() * 1e6 < microseconds {
        std::hint::spin_loop();
    }
}
