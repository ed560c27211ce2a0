//! QMP, QEMU's control channel: commands one by one, each with its answer; events are passed over.
//!
//! docs/interop/qmp-spec of QEMU.

use super::error::{VmError, system};
use crate::deadline::Deadline;
use crate::ending::{self, LOOK};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::{Value, json};
use std::io::{ErrorKind, IoSlice, Read};
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;

/// The longest line that is read, in bytes.
const LONGEST: usize = 1 << 20;

/// A control channel.
pub(crate) struct Qmp {
    stream: UnixStream,
    /// The process at its other end.
    pid: u32,
    unread: Vec<u8>,
}

impl Qmp {
    /// Takes the greeting of the QEMU `pid` at the other end of `stream`. Fails when none comes.
    pub(crate) fn greeted(stream: UnixStream, pid: u32, deadline: &Deadline) -> Result<Self, VmError> {
        let mut qmp = Self { stream, pid, unread: Vec::new() };
        let greeting = qmp.line(deadline)?;
        if greeting.get("QMP").is_none() {
            return Err(VmError::Garbled(greeting.to_string()));
        }
        qmp.command("qmp_capabilities", json!({}), None, deadline)?;
        Ok(qmp)
    }

    /// Gives a command, with a file where it takes one, and waits for the answer.
    pub(crate) fn command(
        &mut self,
        command: &'static str,
        arguments: Value,
        file: Option<BorrowedFd<'_>>,
        deadline: &Deadline,
    ) -> Result<Value, VmError> {
        self.begin(command, &arguments, file)?;
        self.answer(command, deadline)
    }

    /// Gives a command and waits for nothing.
    pub(crate) fn begin(
        &mut self,
        command: &'static str,
        arguments: &Value,
        file: Option<BorrowedFd<'_>>,
    ) -> Result<(), VmError> {
        let line = json!({ "execute": command, "arguments": arguments }).to_string() + "\n";
        self.send(line.as_bytes(), file).map_err(|error| match error {
            rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET => VmError::Closed,
            other => system("writing to QEMU's control channel")(other),
        })
    }

    /// Waits for the answer to a command that was given.
    pub(crate) fn answer(&mut self, command: &'static str, deadline: &Deadline) -> Result<Value, VmError> {
        loop {
            let mut answer = self.line(deadline)?;
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            if let Some(error) = answer.get("error") {
                let why = error.get("desc").and_then(Value::as_str).unwrap_or("(no reason)").to_owned();
                return Err(VmError::Refused { command, why });
            }
            if answer.get("event").is_none() {
                return Err(VmError::Garbled(answer.to_string()));
            }
        }
    }

    /// A command is shorter than a socket's buffer, which is empty: QEMU has answered the one before.
    fn send(&self, line: &[u8], file: Option<BorrowedFd<'_>>) -> rustix::io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let files: Vec<_> = file.into_iter().collect();
        if !files.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(&files));
        }
        sendmsg(&self.stream, &[IoSlice::new(line)], &mut control, SendFlags::NOSIGNAL).map(drop)
    }

    fn line(&mut self, deadline: &Deadline) -> Result<Value, VmError> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                let garbled = |_| VmError::Garbled(String::from_utf8_lossy(&line).trim().to_owned());
                return serde_json::from_slice(&line).map_err(garbled);
            }
            if self.unread.len() > LONGEST {
                return Err(VmError::Garbled(format!("a line of more than {LONGEST} bytes")));
            }
            self.read(deadline)?;
        }
    }

    fn read(&mut self, deadline: &Deadline) -> Result<(), VmError> {
        if deadline.has_passed(self.pid) {
            return Err(VmError::Late("no answer on its control channel"));
        }
        if ending::signal().is_some() {
            return Err(VmError::EndRequested);
        }
        let failed = system("reading QEMU's control channel");
        self.stream.set_read_timeout(Some(LOOK)).map_err(&failed)?;
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes) {
            Ok(0) => Err(VmError::Closed),
            Ok(count) => {
                self.unread.extend_from_slice(&bytes[..count]);
                Ok(())
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(()),
                ErrorKind::ConnectionReset => Err(VmError::Closed),
                _ => Err(failed(error)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::time::Duration;

    fn answered(lines: &str) -> Result<Value, VmError> {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(lines.as_bytes()).unwrap();
        let deadline = Deadline::after(Duration::from_millis(200));
        Qmp::greeted(ours, std::process::id(), &deadline)?.command("cont", json!({}), None, &deadline)
    }

    #[test]
    fn events_are_passed_over_and_what_is_no_answer_is_a_sentence() {
        let greeting = "{\"QMP\": {}}\n{\"return\": {}}\n";
        let event = "{\"event\": \"RESUME\"}\n";
        assert_eq!(answered(&format!("{greeting}{event}{{\"return\": 7}}\n")), Ok(json!(7)));
        let refused = "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}}\n";
        assert_eq!(
            answered(&format!("{greeting}{refused}")),
            Err(VmError::Refused { command: "cont", why: "no".into() })
        );
        assert!(matches!(answered(greeting), Err(VmError::Late(_))));
        for garbled in ["hello\n", "{}\n", &format!("{greeting}[]\n")] {
            assert!(matches!(answered(garbled), Err(VmError::Garbled(_))), "{garbled}");
        }
    }

    #[test]
    fn a_channel_that_is_closed_is_noticed() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let deadline = Deadline::after(Duration::from_secs(5));
        assert!(matches!(Qmp::greeted(ours, std::process::id(), &deadline), Err(VmError::Closed)));
    }
}
