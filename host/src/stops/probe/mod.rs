//! Asking a machine for a stop, by trying it once.
//!
//! A tiny guest is stopped in every way and let go again, through the KVM-shaped trait only, so that the model
//! is probed by the same steps as a real KVM. The answer decides between running a scenario and skipping it
//! with a reason. So a probe asks only whether the machine *stops* there, or accepts what is injected: whether
//! the event survives the stop, whether it comes and when, is the scenarios' question, and a probe that judged
//! it would turn the very failure they look for into a skip.
//!
//! The guest uses the IDT: the stops act below event delivery, and a KVM that can do them for one
//! mode can do them for both. Every run has a deadline, but a hung KVM can spin where no signal
//! reaches it: ask each question of a worker process with a hard kill after it.

pub(crate) mod guest;

use guest::{ProbeAct, ProbeGuest, Progress};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};
use vm::{Exit, Machine, RunMode, VcpuError, VmKind, explain};

/// What a guest may take is what it takes when nothing stops it, measured on this host, this many times:
/// a host that is slow, or busy, does not make a stop of what is none.
const MARGIN: u32 = 100;
/// And never less: a guest that a busy host lets wait for its turn is not stopped.
const LEAST: Duration = Duration::from_millis(500);
/// An upper bound, also for the measured run: there are many probes.
const MOST: Duration = Duration::from_secs(1);

/// How many times what one guest may take several may take together.
const TOGETHER: u32 = 4;
/// The most that a probe takes where KVM_RUN comes back: the guest that is measured, and of a storm the
/// one that is measured, the others, and the one that is under way when these have had their time.
pub const LONGEST: Duration = MOST.saturating_mul(2 + TOGETHER + 1);

/// Whether a stop works on a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
pub enum Support {
    /// The guest stopped in mid-delivery.
    #[strum(to_string = "works")]
    Works,
    /// The machine took no notice: the event was delivered as if there had been no stop.
    #[strum(to_string = "the machine takes no notice of the stop and delivers the event")]
    Silent,
    /// The machine refuses what the stop needs; the sentence says what.
    #[strum(to_string = "{0}")]
    NotOffered(String),
    /// The machine did something else; the sentence says what.
    #[strum(to_string = "{0}")]
    Wrong(String),
}

impl Support {
    /// Whether scenarios with this stop can run.
    pub fn works(&self) -> bool {
        *self == Self::Works
    }
}

/// Makes guests on a machine.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "nobody prints a machine")]
pub struct Prober<'m> {
    machine: &'m dyn Machine,
    /// Whether KVM_CAP_EXCEPTION_PAYLOAD is on.
    pub(crate) payload: bool,
    /// How long a guest may run before it counts as hung.
    limit: Duration,
}

impl<'m> Prober<'m> {
    /// Of `machine`, with KVM_CAP_EXCEPTION_PAYLOAD on or off. Fails when no guest can be made at all: no
    /// virtual machine, no memory, its registers refused.
    pub fn new(machine: &'m dyn Machine, payload: bool) -> Result<Self, VcpuError> {
        let unmeasured = Self { machine, payload, limit: MOST };
        let mut guest = unmeasured.start(VmKind::Plain, ProbeAct::Undefined)?;
        let begun = Instant::now();
        // The result does not matter here: the probe itself will report it.
        let _ = guest.run(RunMode::Normal)?;
        Ok(Self { limit: (begun.elapsed() * MARGIN).clamp(LEAST, MOST), ..unmeasured })
    }

    /// A guest at its act.
    pub(crate) fn start(&self, kind: VmKind, act: ProbeAct) -> Result<ProbeGuest, VcpuError> {
        ProbeGuest::start(self.machine, self.payload, kind, act, self.limit)
    }

    /// Tries a stop once, on a guest in the kind of VM that it needs.
    pub(super) fn with_guest(
        &self,
        kind: VmKind,
        act: ProbeAct,
        try_once: impl FnOnce(ProbeGuest) -> Result<Support, VcpuError>,
    ) -> Result<Support, VcpuError> {
        match (self.start(kind, act), kind) {
            (Ok(guest), _) => try_once(guest),
            // Plain VMs can be made, or nothing can.
            (Err(error), VmKind::Plain) => Err(error),
            (Err(error), VmKind::DirtyRing | VmKind::Protected) => Ok(Support::NotOffered(error.to_string())),
        }
    }

    /// How long several guests may take together.
    pub(super) fn together(&self) -> Duration {
        self.limit * TOGETHER
    }
}

/// The fate of the `event`, for people.
pub(super) fn sentence(event: &str, progress: &Progress) -> String {
    match progress {
        Progress::Delivered => format!("the {event} was delivered"),
        Progress::DoubleFault => format!("the {event} became a double fault in the guest"),
        Progress::Exit(Exit::Shutdown) => format!("the {event} became a triple fault"),
        Progress::Exit(Exit::Interrupted | Exit::Deadline) => {
            format!("the {event} was not delivered in time")
        }
        // Its data differ with each page.
        Progress::Exit(Exit::InternalError { suberror, .. }) => {
            let bare = Exit::InternalError { suberror: *suberror, data: Vec::new() };
            format!("{} instead of the {event}", explain::exit(&bare))
        }
        Progress::Exit(other) => format!("{} instead of the {event}", explain::exit(other)),
    }
}
