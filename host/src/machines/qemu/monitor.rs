//! QEMU's monitor: asked where the guest is before a QEMU that is late is killed.

use crate::qemu::registers::rip_in;
use rustix::io::{FdFlags, fcntl_setfd};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A connection to the monitor of a QEMU that is to be started.
pub(super) struct Monitor {
    ours: UnixStream,
    /// Inherited by the child under its number.
    theirs: OwnedFd,
}

/// How long the monitor may take to answer.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The longest answer that is read, in bytes; `info registers` prints a few thousand.
const LONGEST: usize = 64 << 10;

impl Monitor {
    pub(super) fn new() -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let theirs = OwnedFd::from(theirs);
        fcntl_setfd(&theirs, FdFlags::empty())?;
        Ok(Self { ours, theirs })
    }

    /// What QEMU must be given.
    pub(super) fn arguments(&self) -> [String; 4] {
        let device = format!("socket,id=monitor,fd={}", self.theirs.as_raw_fd());
        ["-chardev".into(), device, "-mon".into(), "chardev=monitor,mode=readline".into()]
    }

    /// The guest's RIP; `None` when QEMU does not say.
    pub(super) fn rip(&mut self) -> Option<u64> {
        let end = Instant::now() + TIMEOUT;
        self.ours.write_all(b"info registers\n").ok()?;
        let mut answer = Vec::new();
        let mut bytes = [0; 4096];
        while answer.len() < LONGEST {
            let left = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            self.ours.set_read_timeout(Some(left)).ok()?;
            match self.ours.read(&mut bytes) {
                Ok(0) | Err(_) => return None,
                Ok(count) => answer.extend_from_slice(&bytes[..count]),
            }
            if let Some(rip) = rip_in(&String::from_utf8_lossy(&answer)) {
                return Some(rip);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_monitor_that_is_gone_says_nothing() {
        let Monitor { ours, theirs } = Monitor::new().unwrap();
        drop(theirs);
        let null = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        assert_eq!(Monitor { ours, theirs: null }.rip(), None);
    }
}
