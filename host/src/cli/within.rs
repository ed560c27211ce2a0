//! A bound for `save`, `resume` and `debug` that holds whatever the machine does.

use super::CliError;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time that a guest may still run.
pub(super) struct Clock {
    limit: Duration,
    /// When it must have stopped; `None` while it stands still.
    deadline: Mutex<Option<Instant>>,
}

impl Clock {
    fn new(limit: Duration) -> Self {
        Self { limit, deadline: Mutex::new(Some(Instant::now() + limit)) }
    }

    /// Does what a guest stands still for. The guest may run for the whole limit again after it.
    pub(super) fn stopped<T>(&self, work: impl FnOnce() -> T) -> T {
        self.set(None);
        let done = work();
        self.set(Some(Instant::now() + self.limit));
        done
    }

    fn set(&self, deadline: Option<Instant>) {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
    }

    /// The time that is left; the limit while the guest stands still.
    fn left(&self) -> Duration {
        let deadline = *self.deadline.lock().unwrap_or_else(PoisonError::into_inner);
        deadline.map_or(self.limit, |deadline| deadline.saturating_duration_since(Instant::now()))
    }
}

/// Does `work` in a thread, with a hard bound after its own: a hung KVM spins where no signal but SIGKILL
/// reaches it, which the kernel sends the thread when this process ends. `work` has its own bound for what it does
/// while its [`Clock`] is stopped.
pub(super) fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce(&Clock) -> Result<T, CliError> + Send + 'static,
) -> Result<T, CliError> {
    let (sender, result) = channel();
    let clock = Arc::new(Clock::new(limit));
    let its_own = Arc::clone(&clock);
    std::thread::spawn(move || sender.send(work(&its_own)));
    loop {
        let left = clock.left();
        let failed = match result.recv_timeout(left) {
            Ok(done) => return done,
            // It was stopped in the meantime.
            Err(RecvTimeoutError::Timeout) if !clock.left().is_zero() => continue,
            Err(RecvTimeoutError::Timeout) => {
                format!("timeout: the guest did not stop within {:.1} s", limit.as_secs_f64())
            }
            Err(RecvTimeoutError::Disconnected) => "the thread that ran the guest ended by itself".to_owned(),
        };
        return Err(CliError::Usage(failed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::sleep;

    const LIMIT: Duration = Duration::from_millis(300);

    #[test]
    fn a_guest_that_hangs_is_not_waited_for_and_one_that_stands_still_is() {
        let hung = within(LIMIT, |_| {
            sleep(Duration::from_secs(60));
            Ok(())
        });
        assert!(hung.is_err_and(|error| error.to_string().contains("did not stop within 0.3 s")));
        let looked_at = within(LIMIT, |clock| {
            clock.stopped(|| sleep(3 * LIMIT));
            Ok(())
        });
        assert!(looked_at.is_ok());
        let hung_after = within(LIMIT, |clock| {
            clock.stopped(|| sleep(2 * LIMIT));
            sleep(Duration::from_secs(60));
            Ok(())
        });
        assert!(hung_after.is_err());
    }
}
