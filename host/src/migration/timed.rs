//! Reading from and writing to a file, a pipe or a socket, until a deadline and not a moment longer.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

/// A pipe takes this much without blocking once it says that it takes anything: PIPE_BUF.
const PIECE: usize = 4096;

/// A file, pipe or socket whose every read and write ends at a deadline, with
/// [`TimedOut`](io::ErrorKind::TimedOut).
pub(crate) struct Timed {
    file: File,
    deadline: Instant,
}

impl Timed {
    /// `fd` until `deadline`.
    pub(crate) fn new(fd: OwnedFd, deadline: Instant) -> Self {
        Self { file: File::from(fd), deadline }
    }

    fn wait(&self, flags: PollFlags) -> io::Result<()> {
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
            match poll(&mut [PollFd::from_borrowed_fd(self.file.as_fd(), flags)], Some(&timeout)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Read for Timed {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            self.wait(PollFlags::IN)?;
            match self.file.read(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
        }
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            self.wait(PollFlags::OUT)?;
            match self.file.write(&bytes[..bytes.len().min(PIECE)]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(50)
    }

    #[test]
    fn a_silent_source_and_a_full_sink_end_at_the_deadline() {
        let (read, write) = io::pipe().unwrap();
        let start = Instant::now();
        let error = Timed::new(read.into(), soon()).read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(write);
        let (read, write) = io::pipe().unwrap();
        let error = Timed::new(write.into(), soon()).write_all(&[0; 1 << 20]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(start.elapsed() < Duration::from_secs(2));
        drop(read);
    }

    #[test]
    fn what_comes_in_time_arrives() {
        let (read, write) = io::pipe().unwrap();
        let sender = std::thread::spawn(move || {
            let mut to = Timed::new(write.into(), Instant::now() + Duration::from_secs(5));
            to.write_all(&[7; 300_000]).unwrap();
        });
        let mut all = Vec::new();
        Timed::new(read.into(), Instant::now() + Duration::from_secs(5)).read_to_end(&mut all).unwrap();
        sender.join().unwrap();
        assert_eq!(all, vec![7; 300_000]);
    }
}
