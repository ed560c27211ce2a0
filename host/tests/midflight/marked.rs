//! The processes of a test, found by a mark in their environment, which children inherit.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs::{read, read_dir};
use std::process::Child;
use std::time::{Duration, Instant};

/// The variable that holds the mark.
pub(crate) const MARK: &str = "MIDFLIGHT_TEST_MARK";

/// The processes that carry the mark.
pub(crate) fn marked(mark: &str) -> Vec<u32> {
    let wanted = format!("{MARK}={mark}");
    let pids =
        read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| {
        let environment = read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
    })
    .collect()
}

/// Kills the process after a bound that no test reaches: who waits for it to end, or to say something,
/// does not wait for ever.
pub(crate) fn bounded(child: Child) -> Child {
    const BOUND: Timespec = Timespec { tv_sec: 180, tv_nsec: 0 };
    let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
    std::thread::spawn(move || {
        if poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&BOUND)) == Ok(0) {
            let _ = pidfd_send_signal(&pidfd, Signal::KILL);
        }
    });
    child
}

/// The number in an environment variable, with which a soak is told how much and from where.
pub(crate) fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// Waits for what must come; `what` says what it is.
pub(crate) fn soon(what: &str, mut is_so: impl FnMut() -> bool) {
    let bound = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < bound, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
