//! When to send the signals that should hit an event.
//!
//! How long a guest takes from KVM_RUN to its event differs by host, by machine and by load, from one
//! microsecond to hundreds: on some hosts KVM_RUN alone takes longer than an emulated guest takes for
//! its whole act. So no time is fixed: the first is the shortest, and the result of each signal corrects it. A signal that
//! comes too early costs one KVM_RUN, one that comes too late the rest of the case: so times grow from below.

use fastrand::Rng;
use std::time::Duration;

/// No aim is shorter: from zero no doubling leads away.
const SHORTEST: Duration = Duration::from_micros(1);

/// Draws times for [`RunMode::SignalAfter`](vm::RunMode::SignalAfter).
pub(super) struct Aim {
    random: Rng,
    /// Times are drawn from up to here.
    reach: Duration,
    /// The time that there is for all signals, which none of them exceeds.
    longest: Duration,
}

impl Aim {
    /// Times for a guest of which nothing is known yet.
    pub(super) fn new(random: Rng, longest: Duration) -> Self {
        Self { random, reach: SHORTEST, longest: longest.max(SHORTEST) }
    }

    /// How long the next signal waits: the random numbers decide which share of its reach, and nothing else.
    pub(super) fn time(&mut self) -> Duration {
        self.reach.mul_f64(self.random.f64())
    }

    /// The signal found the guest where the one before had left it: the next ones wait longer. False if they wait as long
    /// as there is time already.
    #[must_use]
    pub(super) fn later(&mut self) -> bool {
        let could = self.reach < self.longest;
        self.reach = (self.reach * 2).min(self.longest);
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

    const LONGEST: Duration = Duration::from_secs(5);

    /// How many signals it takes until one meets an event that lasts for a microsecond, at `at` after
    /// each KVM_RUN, of a guest that made no progress until then.
    fn signals_until_met(seed: u64, at: Duration) -> u32 {
        let mut aim = Aim::new(Rng::with_seed(seed), LONGEST);
        for signals in 1.. {
            let time = aim.time();
            if (at..at + SHORTEST).contains(&time) {
                return signals;
            }
            if time > at {
                aim.sooner(time);
            } else {
                assert!(aim.later(), "it needs no longer than there is");
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
    fn a_guest_that_stands_still_gets_as_long_as_there_is() {
        let mut aim = Aim::new(Rng::with_seed(1), LONGEST);
        let doublings = (0..100).take_while(|_| aim.later()).count();
        assert_eq!((doublings, aim.reach), (23, LONGEST));
    }

    #[test]
    fn no_aim_is_shorter_than_the_shortest() {
        let mut aim = Aim::new(Rng::with_seed(1), LONGEST);
        aim.finer();
        aim.sooner(Duration::ZERO);
        assert_eq!(aim.reach, SHORTEST);
        assert!((0..4).all(|_| aim.later()));
        aim.finer();
        assert_eq!(aim.reach, SHORTEST * 12);
        aim.sooner(SHORTEST * 2);
        assert_eq!(aim.reach, SHORTEST * 2);
    }

    #[test]
    fn the_seed_decides_which_share_of_the_time() {
        let shares = |seed, doublings: u32| {
            let mut aim = Aim::new(Rng::with_seed(seed), LONGEST);
            assert!((0..doublings).all(|_| aim.later()));
            [(); 3].map(|()| (aim.time().as_secs_f64() / aim.reach.as_secs_f64() * 1e3).round())
        };
        assert_eq!(shares(7, 12), shares(7, 16));
        assert_ne!(shares(7, 12), shares(8, 12));
    }
}
