//! The signals that end this process: SIGINT, SIGTERM, SIGHUP.
//!
//! A command that watches for them ends by itself at the first one, and reports what it has; one that comes later
//! than [`ONE`] ends the process at once. A command that does not watch is ended by the first. Either way its
//! children end with it.

use serde::{Deserialize, Serialize};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// The longest interval at which a wait for something else checks for a signal.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// Signals that come within this time are one request: timeout(1) signals the process and then its group, and a
/// terminal that closes sends what a shell sends too.
const ONE: Duration = Duration::from_secs(1);

/// The number of the signal that was received, or 0.
static RECEIVED: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// A signal that ends this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal(i32);

impl Signal {
    /// Its name.
    pub fn name(self) -> &'static str {
        low_level::signal_name(self.0).unwrap_or("a signal")
    }

    /// The exit code of a process that it ends, as a shell shows it: 130 for SIGINT, 143 for SIGTERM.
    pub fn exit_code(self) -> u8 {
        u8::try_from(SHELL + self.0).unwrap_or(u8::MAX)
    }
}

/// Shells add this to a signal's number.
const SHELL: i32 = 128;

/// Watches for the signals from now on, those excepted that this process was started to ignore:
/// `nohup`, and a shell's background commands. Fails when a handler cannot be installed, or no socket and no thread
/// can be had.
pub(crate) fn watch() -> io::Result<()> {
    let received = Arc::clone(RECEIVED.get_or_init(Arc::default));
    let before = Arc::new(AtomicBool::new(false));
    let (mut first, came) = UnixStream::pair()?;
    let ignored = ignored();
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        if ignored & 1 << (signal - 1) != 0 {
            continue;
        }
        flag::register_conditional_shutdown(signal, SHELL + signal, Arc::clone(&before))?;
        flag::register_usize(signal, Arc::clone(&received), usize::try_from(signal).unwrap_or_default())?;
        low_level::pipe::register(signal, came.try_clone()?)?;
    }
    // The signal handlers hold the other end as long as this process lives.
    thread::Builder::new().spawn(move || {
        if first.read(&mut [0]).is_ok() {
            thread::sleep(ONE);
            before.store(true, Ordering::Relaxed);
        }
    })?;
    Ok(())
}

/// The signals that this process was started to ignore, a bit each from signal 1 on: proc_pid_status(5).
/// Without /proc there are none: nothing runs there that a signal could end early.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// The signal that ends this process, if one was received while it watches.
pub(crate) fn signal() -> Option<Signal> {
    let received = RECEIVED.get()?.load(Ordering::Relaxed);
    i32::try_from(received).ok().filter(|signal| *signal != 0).map(Signal)
}
