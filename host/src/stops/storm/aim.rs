//! When to send the signals that should hit an event: after a fraction of the time that the guest needs.
//!
//! How long a guest takes from KVM_RUN to its event differs by host, by machine and by load, from one
//! microsecond to hundreds: on some hosts KVM_RUN alone takes longer than an emulated guest takes for
//! its whole act. So no time is fixed: the first is measured, and the result of each signal corrects it.

use fastrand::Rng;
use std::time::Duration;

/// No aim is shorter: from zero no doubling leads away.
const SHORTEST: Duration = Duration::from_micros(1);

/// Draws times for [`RunMode::SignalAfter`](vm::RunMode::SignalAfter).
pub(super) struct Aim {
    random: Rng,
    /// Times are drawn from up to here.
    reach: Duration,
    /// The time that the guest needs until after its event, without signals; the upper bound of a delay.
    whole: Duration,
}

impl Aim {
    /// Times for a guest that needs `whole` without signals, from KVM_RUN to beyond its event.
    pub(super) fn new(random: Rng, whole: Duration) -> Self {
        let whole = whole.max(SHORTEST);
        Self { random, reach: whole, whole }
    }

    /// How long the next signal waits: the random numbers decide which share, and nothing else.
    pub(super) fn time(&mut self) -> Duration {
        self.reach.mul_f64(self.random.f64())
    }

    /// The time that the guest needs without signals was measured again.
    pub(super) fn measured(&mut self, whole: Duration) {
        self.whole = whole.max(SHORTEST);
        self.reach = self.reach.min(self.whole);
    }

    /// The signal found the guest where the one before had left it: the next ones wait longer. False
    /// when they wait as long as the guest needs already, so that signals only keep it from going on.
    #[must_use]
    pub(super) fn later(&mut self) -> bool {
        let could = self.reach < self.whole;
        self.reach = self.reach.saturating_mul(2).min(self.whole);
        could
    }

    /// The guest was on its way: it may go in smaller steps.
    pub(super) fn finer(&mut self) {
        self.reach = (self.reach * 3 / 4).max(SHORTEST);
    }

    /// The event was delivered before the signal, or there was no signal; the guest had run for `took`. That cost a
    /// whole run of the case, most of which comes after the event: so the steps down are larger than those up.
    pub(super) fn sooner(&mut self, took: Duration) {
        self.reach = (self.reach / 4).min(took).max(SHORTEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDS: Duration = Duration::from_micros(2000);

    /// How many signals it takes until one meets an event that lasts for a microsecond, at `at` after
    /// each KVM_RUN, of a guest that made no progress until then.
    fn signals_until_met(seed: u64, at: Duration) -> u32 {
        let mut aim = Aim::new(Rng::with_seed(seed), NEEDS);
        for signals in 1.. {
            let time = aim.time();
            if (at..at + SHORTEST).contains(&time) {
                return signals;
            }
            if time > at {
                aim.sooner(time);
            } else if !aim.later() {
                aim.measured(NEEDS);
            }
        }
        u32::MAX
    }

    #[test]
    fn an_event_is_met_wherever_it_is() {
        for at in [0, 3, 20, 46, 300, 1500].map(Duration::from_micros) {
            let worst = (0..200).map(|seed| signals_until_met(seed, at)).max();
            // One in so many is met at the least.
            assert!(worst < Some(200 + 40 * at.as_micros() as u32), "at {at:?}: {worst:?} signals");
        }
    }

    #[test]
    fn it_widens_up_to_what_the_guest_needs_and_not_beyond() {
        let mut aim = Aim::new(Rng::with_seed(1), NEEDS);
        assert!(!aim.later(), "it begins with all of it");
        for _ in 0..100 {
            aim.sooner(NEEDS);
        }
        assert!(aim.reach == SHORTEST);
        let doublings = (0..100).take_while(|_| aim.later()).count();
        assert_eq!((doublings, aim.reach), (11, NEEDS));
        aim.measured(Duration::ZERO);
        assert_eq!((aim.reach, aim.whole), (SHORTEST, SHORTEST));
    }

    #[test]
    fn the_seed_decides_which_share_of_the_time() {
        let shares = |seed, whole: Duration| {
            let mut aim = Aim::new(Rng::with_seed(seed), whole);
            [(); 3].map(|()| (aim.time().as_secs_f64() / whole.as_secs_f64() * 1e3).round())
        };
        assert_eq!(shares(7, NEEDS), shares(7, NEEDS * 10));
        assert_ne!(shares(7, NEEDS), shares(8, NEEDS));
    }
}
