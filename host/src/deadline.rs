//! A deadline that comes no sooner on a busy host.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

/// How often the time is counted; what the kernel says of a process's threads is read then.
const STEP: Duration = Duration::from_millis(20);

/// How many times a given time may last by the clock.
const HARDEST: u32 = 10;

/// The end of what may take a given time, together with a child process.
///
/// The time in which this thread, or a thread of the child, was ready and waited for a processor does not count: a host
/// that has too few of them makes nothing late. Of waits at the same time the longest is left out, so time passes as soon
/// as every thread runs or sleeps: a guest that loops gets its time on a processor, one that waits for ever its time by
/// the clock. A kernel that does not say how long threads wait counts by the clock alone. By the clock it is over after
/// [`HARDEST`] times the time, whoever waited for what.
pub(crate) struct Deadline {
    end: Instant,
    left: Cell<Duration>,
    seen: RefCell<Seen>,
}

/// When the time was counted last, and how long each thread had waited for a processor then, in nanoseconds.
struct Seen {
    at: Instant,
    waits: HashMap<String, u64>,
}

impl Deadline {
    /// The end of `limit` from now on.
    pub(crate) fn after(limit: Duration) -> Self {
        let seen = Seen { at: Instant::now(), waits: waits(None) };
        Self { end: seen.at + limit * HARDEST, left: Cell::new(limit), seen: RefCell::new(seen) }
    }

    /// Whether the time is over, in which the child `pid` had the most to do.
    pub(crate) fn has_passed(&self, pid: u32) -> bool {
        if Instant::now() >= self.end {
            return true;
        }
        let mut seen = self.seen.borrow_mut();
        let passed = seen.at.elapsed();
        if passed < STEP.min(self.left.get()) {
            return false;
        }
        let now = Seen { at: Instant::now(), waits: waits(Some(pid)) };
        let counted = passed.saturating_sub(waited(&seen.waits, &now.waits));
        *seen = now;
        self.left.set(self.left.get().saturating_sub(counted));
        self.left.get().is_zero()
    }
}

/// How long each thread of the process, and this thread, has waited for a processor so far: the second number of its
/// schedstat (Documentation/scheduler/sched-stats.rst of Linux). Nothing of those that cannot be read.
fn waits(pid: Option<u32>) -> HashMap<String, u64> {
    let tasks = pid.and_then(|pid| fs::read_dir(format!("/proc/{pid}/task")).ok());
    let tasks = tasks.into_iter().flatten().flatten().map(|task| task.path().display().to_string());
    let all = tasks.chain(["/proc/thread-self".to_owned()]);
    all.filter_map(|task| Some((waited_by(&fs::read_to_string(format!("{task}/schedstat")).ok()?)?, task)))
        .map(|(wait, task)| (task, wait))
        .collect()
}

fn waited_by(schedstat: &str) -> Option<u64> {
    schedstat.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The longest wait of a thread since `before`. One that is new has done all of its waiting since.
fn waited(before: &HashMap<String, u64>, now: &HashMap<String, u64>) -> Duration {
    let since = now.iter().map(|(task, wait)| wait.saturating_sub(before.get(task).copied().unwrap_or(0)));
    Duration::from_nanos(since.max().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_waits_at_once_the_longest_is_left_out() {
        let of =
            |waits: &[(&str, u64)]| waits.iter().map(|(task, wait)| ((*task).to_owned(), *wait)).collect();
        let before = of(&[("driver", 1_000), ("main", 7_000), ("gone", 9_000)]);
        let now = of(&[("driver", 4_000), ("main", 7_500), ("new", 2_000)]);
        assert_eq!(waited(&before, &now), Duration::from_nanos(3_000));
        assert_eq!(waited(&now, &now), Duration::ZERO);
        assert_eq!(waited(&before, &HashMap::new()), Duration::ZERO, "a kernel that does not say");
        assert_eq!(waited_by("123 456 7\n"), Some(456));
        assert_eq!((waited_by(""), waited_by("1 x 2")), (None, None));
    }

    #[test]
    fn a_wait_for_something_that_sleeps_is_over_in_time() {
        let (begun, limit) = (Instant::now(), Duration::from_millis(100));
        let deadline = Deadline::after(limit);
        while !deadline.has_passed(std::process::id()) {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(begun.elapsed() >= limit);
    }
}
