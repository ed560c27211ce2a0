//! The guest's time, counted in exits, and when a signal comes.

use std::time::Duration;
use vm::RunMode;

/// The time of one exit.
const EXIT: Duration = Duration::from_micros(1);

/// How long a slow host takes to enter the guest.
#[derive(Clone, Copy, Debug, Default)]
pub struct SlowEntry {
    /// The time before its first instruction. `None`: longer than any signal waits, and 0 without a signal.
    pub takes: Option<Duration>,
    /// How many KVM_RUNs of a VM, from its first on, take that long.
    pub first: u32,
}

/// How the guest is entered, with the signal's time in exits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entered {
    /// Until something happens.
    Normally,
    /// Only pending I/O is completed.
    NotAtAll,
    /// A signal is pending: the entry is prepared, injection included, then cancelled.
    WithSignal,
    /// A signal comes after this many exits.
    UntilSignal { exits: u32 },
}

/// The clock of a VM.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    exits: u64,
    slow: SlowEntry,
    /// The time spent on entering the guest so far.
    waited: Duration,
}

impl Clock {
    pub(super) fn slow(slow: SlowEntry) -> Self {
        Self { slow, ..Self::default() }
    }

    pub(super) fn now(&self) -> Duration {
        self.waited.saturating_add(EXIT * u32::try_from(self.exits).unwrap_or(u32::MAX))
    }

    pub(super) fn count_exit(&mut self) {
        self.exits += 1;
    }

    /// KVM_RUN begins.
    pub(super) fn enter(&mut self, mode: RunMode) -> Entered {
        match mode {
            RunMode::Normal => {
                self.wait(None);
                Entered::Normally
            }
            RunMode::ImmediateExit => Entered::NotAtAll,
            RunMode::SignalPending => Entered::WithSignal,
            RunMode::SignalAfter(time) => match self.wait(Some(time)) {
                Some(left) => Entered::UntilSignal { exits: exits(left) },
                None => Entered::NotAtAll,
            },
        }
    }

    /// The rest of `time` when the guest is entered; unlimited where `time` has no bound. `None` when a signal
    /// comes before that.
    fn wait(&mut self, time: Option<Duration>) -> Option<Duration> {
        let left = time.unwrap_or(Duration::MAX);
        if self.slow.first == 0 {
            return Some(left);
        }
        self.slow.first -= 1;
        let takes = match (self.slow.takes, time) {
            (Some(takes), _) => takes,
            (None, Some(time)) => time.saturating_add(EXIT),
            (None, None) => Duration::ZERO,
        };
        self.waited = self.waited.saturating_add(takes.min(left));
        left.checked_sub(takes)
    }
}

/// The exits after which `time` has passed.
fn exits(time: Duration) -> u32 {
    u32::try_from(time.as_nanos().div_ceil(EXIT.as_nanos())).unwrap_or(u32::MAX)
}
