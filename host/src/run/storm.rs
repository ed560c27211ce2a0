//! Signals at random times while a case runs again and again.
//!
//! A signal ends KVM_RUN wherever it is. Where an exception has just been queued, or its delivery was
//! interrupted, KVM_RUN returns with the event half-way; everywhere else the guest goes on. So the
//! times are short, and what counts is how many signals met an event.

use crate::cut::{self, Cut, NoCut};
use crate::session::{Session, Stopped};
use fastrand::Rng;
use protocol::doorbell::Doorbell;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use vm::{Exit, RunMode};

/// How long a storm lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StormBounds {
    /// As soon as so many cuts are proved, it ends.
    pub cuts: u32,
    /// After this time it ends in any case, and fewer cuts are an error.
    pub time: Duration,
}

impl StormBounds {
    /// One cut, within a few seconds: in a run of everything each case has a storm of its own.
    pub const DEFAULT: Self = Self { cuts: 1, time: Duration::from_secs(5) };
}

/// From `Armed` to the signal, in microseconds: the event comes some instructions behind `Armed`.
const DELAY: std::ops::Range<u64> = 1..40;

/// The signals.
#[derive(Debug)]
pub(super) struct Storm {
    random: Rng,
    /// How often the case was run.
    pub(super) runs: u32,
}

impl Storm {
    /// The signals of `seed` for the scenario `id`: each has its own, and always the same.
    pub(super) fn new(seed: u32, id: &str) -> Self {
        let of_id = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(id.as_bytes());
        let random = Rng::with_seed(u64::from(seed) << 32 | u64::from(of_id));
        Self { random, runs: 0 }
    }

    /// Runs the armed guest until a signal meets its event half-way; `None` when the case was done
    /// before.
    pub(super) fn strike(&mut self, session: &mut Session<'_>) -> Result<Option<Cut>, NoCut> {
        self.runs += 1;
        loop {
            let delay = Duration::from_micros(self.random.u64(DELAY));
            match session.advance_in(RunMode::SignalAfter(delay))? {
                Stopped::Exit(Exit::Interrupted) => {
                    if let Some(cut) = cut::met(session)? {
                        return Ok(Some(cut));
                    }
                }
                Stopped::Input | Stopped::Output => {}
                Stopped::Doorbell(Doorbell::Done(_)) => return Ok(None),
                other => return Err(NoCut::Elsewhere(other)),
            }
        }
    }
}
