//! What the threads of a run do at the moment: for the live line, for who waits, and for the kernel's log.

use crate::engine::pool::Watch;
use crate::kernel_log::{KernelLog, Marks};
use crate::scenario::Scenario;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// After this long, who waits is told where the guest is.
const SLOW: Duration = Duration::from_secs(5);

/// Is told by the threads what they do.
#[derive(Default)]
pub(super) struct Watching {
    log: Mutex<KernelLog>,
    /// Where scenarios that run on this host's KVM are marked.
    marks: Option<Marks>,
    running: Mutex<BTreeMap<usize, Running>>,
    /// Whether they run on this host's KVM: what its kernel says may be of them.
    on_this_kernel: Mutex<bool>,
}

struct Running {
    scenario: Scenario,
    since: Instant,
    /// Where its guest was seen last.
    seen: Option<String>,
    /// Whether it was said that it is slow.
    told: bool,
}

impl Watching {
    pub(super) fn new(log: KernelLog, marks: Option<Marks>) -> Self {
        Self { log: Mutex::new(log), marks, ..Self::default() }
    }

    /// What runs from now on runs on this host's KVM, or not.
    pub(super) fn on_this_kernel(&self, it_does: bool) {
        *lock(&self.on_this_kernel) = it_does;
    }

    /// Reads what the kernel has said.
    pub(super) fn follow(&self) {
        lock(&self.log).follow();
    }

    /// The kernel's log, to be finished.
    pub(super) fn take_log(&self) -> KernelLog {
        std::mem::take(&mut *lock(&self.log))
    }

    /// The scenario that has run for longest.
    pub(super) fn now(&self) -> Option<String> {
        let running = lock(&self.running);
        running.values().min_by_key(|one| one.since).map(|one| one.scenario.to_string())
    }

    /// A sentence for each scenario that has become slow since the last call.
    pub(super) fn slow(&self) -> Vec<String> {
        let mut running = lock(&self.running);
        let slow = running.values_mut().filter(|one| !one.told && one.since.elapsed() >= SLOW);
        slow.map(|one| {
            one.told = true;
            let (id, seconds) = (&one.scenario, one.since.elapsed().as_secs());
            let seen = match &one.seen {
                Some(place) => format!("was last seen {place}"),
                None => "has not stopped anywhere yet".to_owned(),
            };
            format!("{id} has been running for {seconds} s; its guest {seen}")
        })
        .collect()
    }
}

impl Watch for Watching {
    fn begins(&self, thread: usize, scenario: &Scenario) {
        if *lock(&self.on_this_kernel) {
            let id = scenario.to_string();
            if let Some(marks) = &self.marks {
                // It could be written when the run began. A scenario without a mark is none the worse.
                let _ = marks.begins(&id);
            }
            lock(&self.log).begins(thread, id);
        }
        let running = Running { scenario: scenario.clone(), since: Instant::now(), seen: None, told: false };
        lock(&self.running).insert(thread, running);
    }

    fn seen(&self, thread: usize, place: &str) {
        if let Some(running) = lock(&self.running).get_mut(&thread) {
            running.seen = Some(place.to_owned());
        }
    }

    fn ends(&self, thread: usize) {
        lock(&self.running).remove(&thread);
        if *lock(&self.on_this_kernel) {
            lock(&self.log).ends(thread);
        }
    }
}

/// What a thread that panicked has left is as good as before: the pool passes its panic on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_told_once_where_the_guest_is() {
        let watching = Watching::default();
        let scenario: Scenario = "pf/a:idt:cold".parse().unwrap();
        watching.begins(3, &scenario);
        watching.seen(3, "armed at x");
        assert_eq!((watching.now().as_deref(), watching.slow().len()), (Some("pf/a:idt:cold"), 0));
        let Some(long_ago) = Instant::now().checked_sub(SLOW) else { return };
        lock(&watching.running).get_mut(&3).unwrap().since = long_ago;
        let said = watching.slow();
        assert_eq!(said, ["pf/a:idt:cold has been running for 5 s; its guest was last seen armed at x"]);
        assert!(watching.slow().is_empty(), "once");
        watching.ends(3);
        assert!(watching.now().is_none());
    }
}
