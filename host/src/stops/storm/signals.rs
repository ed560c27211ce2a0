//! The signals of a storm.
//!
//! Only those that hit an event in flight count; after all others the guest continues. Their times are
//! measured: [`Aim`].
//!
//! A storm must not prevent progress: a guest that signals find at the same RIP gets more time, and when it has had all
//! that there is, it runs to the end of its case without them.

use super::aim::Aim;
use super::watch::{Found, Watch};
use crate::image::Image;
use crate::session::{Session, Stopped};
use crate::stops::cut::{Cut, NoCut};
use fastrand::Rng;
use protocol::doorbell::Doorbell;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};
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

/// The end of a run of the case.
pub(crate) enum Struck {
    /// A signal has met its event in flight.
    Cut(Cut),
    /// It is done.
    Done,
    /// The storm's time is over.
    Over,
}

/// The signals.
pub(crate) struct Signals {
    aim: Aim,
    /// When the last signal may be sent.
    end: Instant,
    /// Until when the guest may run without signals.
    deadline: Instant,
    /// How often the case was run.
    pub(crate) runs: u32,
    /// How often a signal has ended KVM_RUN before the handler was entered.
    signals: u64,
    /// How many of them found the guest where the one before had left it.
    still: u64,
    /// RIP at the last of them.
    rip: Option<u64>,
}

impl Signals {
    /// The signals of `seed` for the scenario `id`, for `time` at most; the guest may run until
    /// `deadline`. Which shares of the guest's time they wait is the scenario's and the seed's; how long
    /// that is, the host's.
    pub(crate) fn new(seed: u32, id: &str, time: Duration, deadline: Instant) -> Self {
        let of_id = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(id.as_bytes());
        let aim = Aim::new(Rng::with_seed(u64::from(seed) << 32 | u64::from(of_id)), time);
        let end = deadline.min(Instant::now() + time);
        Self { aim, end, deadline, runs: 0, signals: 0, still: 0, rip: None }
    }

    /// Whether its time is over.
    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }

    /// A sentence about the storm when `cuts` were proved and `wanted` were wanted.
    pub(crate) fn too_few(&self, image: &Image, cuts: u32, wanted: u32) -> String {
        let Self { runs, signals, still, .. } = self;
        let cut = format!("{cuts} of {runs} runs were cut in time, {wanted} were required");
        let Some(rip) = self.rip else {
            return format!("{cut}; no signal ended KVM_RUN before the handler was entered");
        };
        format!(
            "{cut}; {signals} signals ended KVM_RUN before the handler, {still} of them with the guest \
             where the one before had left it; the last found it at {}",
            image.describe_address(rip)
        )
    }

    /// Runs the armed guest until a signal meets its event in flight, or the case is done.
    pub(crate) fn strike(&mut self, session: &mut Session<'_>) -> Result<Struck, NoCut> {
        self.runs += 1;
        let watch = Watch::begin(session)?;
        // Whatever the guest does, every KVM_RUN ends with the storm.
        session.vcpu.set_deadline(self.end);
        let struck = self.signal(session, watch);
        session.vcpu.set_deadline(self.deadline);
        match struck? {
            Some(struck) => Ok(struck),
            None => run_out(session).map(|()| Struck::Done),
        }
    }

    /// Sends signals until more of them would not help; `None` if the handler was entered and nothing met, or signals keep the
    /// guest from it: it has the rest of its case to run.
    fn signal(&mut self, session: &mut Session<'_>, mut watch: Watch) -> Result<Option<Struck>, NoCut> {
        while !self.is_over() {
            let begun = session.vcpu.clock();
            match session.advance_in(RunMode::SignalAfter(self.aim.time()))? {
                Stopped::Exit(Exit::Interrupted) => {}
                Stopped::Input | Stopped::Output => continue,
                Stopped::Doorbell(Doorbell::Done(_)) => {
                    self.aim.sooner(session.vcpu.clock() - begun);
                    return Ok(Some(Struck::Done));
                }
                Stopped::Exit(Exit::Deadline) => break,
                other => return Err(NoCut::Unexpected(other)),
            }
            let found = watch.look(session)?;
            if found != Found::Handler {
                self.signals += 1;
                self.rip = Some(watch.rip());
            }
            match found {
                Found::Event(cut) => return Ok(Some(Struck::Cut(cut))),
                Found::Handler => {
                    self.aim.sooner(session.vcpu.clock() - begun);
                    return Ok(None);
                }
                Found::Still => {
                    self.still += 1;
                    if !self.aim.later() {
                        return Ok(None);
                    }
                }
                Found::OnTheWay => self.aim.finer(),
            }
        }
        Ok(Some(Struck::Over))
    }
}

/// The guest runs to the end of its case without signals.
fn run_out(session: &mut Session<'_>) -> Result<(), NoCut> {
    match session.advance_past_io()? {
        Stopped::Doorbell(Doorbell::Done(_)) => Ok(()),
        other => Err(NoCut::Unexpected(other)),
    }
}
