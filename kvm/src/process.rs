//! Processes that run a VM, and end with their parent.
//!
//! A hung KVM keeps its process in the kernel, where no signal reaches it. So a VM runs in a child process,
//! which is killed when its parent ends. A child that cannot be killed is left to the kernel.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, getppid, pidfd_open, set_parent_process_death_signal};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// How often a child that is about to end is asked whether it has.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// The kernel kills the child when the thread that started it ends, for whatever reason. The child has its
/// own process group, so that a terminal's signals reach only the parent. The parent then ends its children,
/// and does not mistake their end for a failure.
pub fn die_with_parent(command: &mut Command) {
    command.process_group(0);
    let parent = std::process::id();
    // SAFETY: prctl and getppid are async-signal-safe; nothing is allocated or locked between fork
    // and exec.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return Err(io::Error::last_os_error());
            }
            // The parent may have died before the call took effect.
            if libc::getppid() as u32 != parent {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
            Ok(())
        });
    }
}

/// The variable that names the parent to a child of this program.
const PARENT: &str = "MIDFLIGHT_PARENT";

/// As [`die_with_parent`], for a child that runs this program and calls [`end_with_parent`] first: nothing is to be
/// done between fork and exec, so that the pages of a large parent need not be shared out for that moment.
pub fn will_end_with_parent(command: &mut Command) {
    command.process_group(0).env(PARENT, std::process::id().to_string());
}

/// From now on the kernel kills this process when the thread that started it ends. Fails where that cannot be had, or
/// when the parent that called [`will_end_with_parent`] has ended.
pub fn end_with_parent() -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have died before the call took effect.
    let parent = std::env::var(PARENT).ok();
    let now = getppid().map(|pid| pid.as_raw_nonzero().to_string());
    if parent.is_some() && parent != now {
        return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the process that started this one has ended"));
    }
    Ok(())
}

/// How long a child that has nothing left to do may take to end. A slower one is killed, which loses nothing:
/// its status is not used.
const GOODBYE: Duration = Duration::from_millis(500);
/// How long a killed child may take to end. Only a child that hangs in the kernel takes longer.
const KILLED: Duration = Duration::from_secs(5);

/// Waits a moment for a child that is about to end: its input is closed, or it has sent its last message.
/// The caller [`end`]s it after this.
pub fn let_end(child: &Child) {
    // Kernels before 5.3 have no pidfd: there the child is killed at once.
    ends_within(child, GOODBYE);
}

/// Kills a child that has not ended, and reaps it; its status, if there is any.
///
/// A child that hangs in KVM cannot be killed. It is left to the kernel, which ends it when KVM_RUN returns,
/// and to its next parent: nothing here waits for it without a bound.
pub fn end(child: &mut Child) -> Option<ExitStatus> {
    // Fails when it has been reaped already, which is what is wanted.
    let _ = child.kill();
    let deadline = Instant::now() + KILLED;
    ends_within(child, KILLED);
    loop {
        match child.try_wait() {
            Ok(None) if Instant::now() < deadline => std::thread::sleep(POLL_INTERVAL),
            ended => return ended.ok().flatten(),
        }
    }
}

/// The status of a child that has closed its outputs, and so has ended or is about to. A child that does not
/// end is killed.
pub fn status(child: &mut Child) -> String {
    ends_within(child, KILLED);
    end(child).map_or_else(|| "it cannot be killed".to_owned(), |status| status.to_string())
}

/// Waits until a child has ended, for `limit` at most; does not wait where the kernel lacks pidfds.
fn ends_within(child: &Child, limit: Duration) {
    let Ok(pidfd) = pidfd_open(Pid::from_child(child), PidfdFlags::empty()) else { return };
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&left)) {
            Err(rustix::io::Errno::INTR) => {}
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_let_end_and_not_waited_for_long() {
        for (script, ended) in [("sleep 0.1; exit 7", Some(7)), ("exec sleep 60", None)] {
            let start = Instant::now();
            let mut child = Command::new("/bin/sh").args(["-c", script]).spawn().unwrap();
            let_end(&child);
            assert!(start.elapsed() < Duration::from_secs(5), "{script}");
            child.kill().unwrap();
            assert_eq!(child.wait().unwrap().code(), ended, "{script}");
        }
    }

    /// One that another process traces stays a zombie for its parent until that one is gone.
    #[test]
    fn a_child_that_cannot_be_reaped_is_left() {
        let mut child = Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let pid = child.id();
        let mut tracer = Command::new("/bin/sleep");
        tracer.arg("60");
        // SAFETY: ptrace is async-signal-safe; nothing is allocated or locked between fork and exec.
        unsafe {
            tracer.pre_exec(move || match libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            });
        }
        let mut tracer = match tracer.spawn() {
            Ok(tracer) => tracer,
            Err(error) => {
                end(&mut child);
                return eprintln!("skipped, nothing tested: no process may be traced here: {error}");
            }
        };
        let start = Instant::now();
        assert_eq!(end(&mut child), None);
        assert!(start.elapsed() < 4 * KILLED, "{:?}", start.elapsed());
        assert!(end(&mut tracer).is_some());
        assert!(end(&mut child).is_some());
    }
}
