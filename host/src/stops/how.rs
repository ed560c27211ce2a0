//! The properties of a stop, and the ways in which the runner gets from `Armed` to a cut.
//!
//! A new stop implements every method of [`How`] and chooses a [`Way`]; nothing else in this crate
//! knows which stops there are.

use super::action::Action;
use super::cut::{Cut, NoCut};
use super::probe::{Prober, Support};
use crate::image::{Case, DeliveryMode, Place};
use crate::session::Session;
use vm::{VcpuError, VmKind};

/// The delivery that is to be stopped.
#[derive(Clone, Copy, Debug)]
pub struct Target<'c> {
    /// What is delivered.
    pub case: &'c Case,
    /// How.
    pub delivery: DeliveryMode,
    /// Whether KVM_CAP_EXCEPTION_PAYLOAD is on.
    pub payload: bool,
}

/// Properties of a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopFacts {
    /// Whether the act is stopped and no delivery: the host may inject an event there that comes afterwards.
    pub of_the_act: bool,
    /// The page that is refused or taken away.
    pub place: Option<Place>,
    /// The kind of VM that can be stopped so.
    pub vm: VmKind,
    /// Whether the cut depends on the host's clock: an id then replays the seed, but not
    /// the moments. The model has a clock of its own, on which it replays exactly.
    pub depends_on_time: bool,
    /// Whether a guest that is stopped there can continue on another machine.
    pub migrates_between_machines: bool,
}

impl StopFacts {
    /// A stop that needs nothing, depends on nothing, and can be anywhere.
    pub const ORDINARY: Self = Self {
        of_the_act: false,
        place: None,
        vm: VmKind::Plain,
        depends_on_time: false,
        migrates_between_machines: true,
    };
}

/// One kind of stop. Methods with a default need no override where the stop needs nothing.
pub trait How {
    /// How its ids are written, for people.
    fn syntax() -> &'static [&'static str]
    where
        Self: Sized;

    /// Reads an id; `None` where it is another kind's.
    fn parse(id: &str) -> Option<Result<Self, &'static str>>
    where
        Self: Sized;

    /// Every stop of this kind that a run of everything knows; which of them have scenarios,
    /// [`actions`](Self::actions) says.
    fn all() -> Vec<Self>
    where
        Self: Sized;

    /// The stop that is probed in place of this one: stops that need no probe of their own share one.
    #[must_use]
    fn asked(self) -> Self
    where
        Self: Sized,
    {
        self
    }

    /// Its id: [`parse`](Self::parse) reads it.
    fn id(&self) -> String;

    /// Its properties.
    fn facts(&self) -> StopFacts;

    /// What it does, in a sentence for people.
    fn words(&self) -> String;

    /// Whether it can stop a delivery.
    fn applies(&self, target: &Target<'_>) -> bool;

    /// What is done at it in a run of everything, with KVM_CAP_EXCEPTION_PAYLOAD on or off. Off, few stops
    /// have anything: before the first stop all is the same, and most leave the event where `block@frame`
    /// does.
    fn actions(&self, payload: bool) -> &'static [Action];

    /// Whether `midflight doctor` asks for it.
    fn is_of_interest(&self, payload: bool) -> bool {
        !self.actions(payload).is_empty()
    }

    /// Asks a machine whether it stops there, never whether the event survives. Fails when the guest cannot
    /// be made at all: no virtual machine, no memory, its registers refused. A stop that goes wrong is a
    /// [`Support`], not an error.
    fn probe(&self, prober: &Prober<'_>) -> Result<Support, VcpuError>;

    /// How the runner gets to the cut.
    fn way(&self) -> Way<'_>;
}

/// How the runner gets from `Armed` to a cut.
#[expect(missing_debug_implementations, reason = "nobody prints a trait object")]
pub enum Way<'s> {
    /// KVM_RUN returns at the cut, and the action is done there.
    Cut(&'s dyn CutStop),
    /// The kernel alone sees the stop; it is proved after the case.
    Unseen(&'s dyn Unseen),
    /// The case runs again and again in a storm of signals, until enough of them have met its event.
    RunsAgain {
        /// The seed of the random numbers.
        seed: u32,
    },
}

/// A stop at which KVM_RUN returns with the event in flight.
pub trait CutStop {
    /// Called at `Armed`, before anything is injected. The guest may run. Fails when it cannot be prepared.
    fn prepare(&self, _session: &mut Session<'_>) -> Result<(), NoCut> {
        Ok(())
    }

    /// Cuts the delivery of the case whose `Armed` has just rung. Fails when no cut can be proved.
    fn cut(&self, session: &mut Session<'_>, target: &Target<'_>) -> Result<Cut, NoCut>;

    /// Whether the same delivery can be cut once more.
    fn again(&self) -> Again<'_>;

    /// Lets the guest continue after a cut, where something keeps it from that. Fails when the machine
    /// refuses it.
    fn release(&self, _session: &mut Session<'_>) -> Result<(), VcpuError> {
        Ok(())
    }

    /// What the machine did wrong if the delivery completed without being cut; `None` if that
    /// alone is not wrong. Called before the guest continues and after its case: only what is wrong both times counts.
    fn missed(&self, _session: &mut Session<'_>) -> Option<&'static str> {
        None
    }
}

/// Whether a delivery that continues can be cut again, and when.
#[expect(missing_debug_implementations, reason = "nobody prints a trait object")]
pub enum Again<'s> {
    /// It cannot.
    Never,
    /// As often as `again=N` says.
    AsOften(&'s dyn CutAgain),
    /// Once, without being asked: the stop itself names the second try of the delivery.
    SecondTry(&'s dyn CutAgain),
}

/// A stop that can cut a delivery once more.
pub trait CutAgain {
    /// Cuts the delivery that `before` has cut. Fails when no cut can be proved.
    fn cut_again(&self, session: &mut Session<'_>, case: &Case, before: &Cut) -> Result<Cut, NoCut>;
}

/// A stop that the kernel alone sees.
pub trait Unseen {
    /// Sets it up, at `Armed`. Fails when the machine refuses it.
    fn set_up(&self, session: &mut Session<'_>) -> Result<(), VcpuError>;

    /// Proves, after the case, that it was met; `rip` is from when it was set up. Fails when it was not.
    fn prove(&self, session: &Session<'_>, rip: u64) -> Result<Cut, NoCut>;
}

/// What a stop with one id says of its ids.
macro_rules! one_id {
    ($id:literal) => {
        fn syntax() -> &'static [&'static str] {
            &[$id]
        }

        fn parse(id: &str) -> Option<Result<Self, &'static str>> {
            (id == $id).then_some(Ok(Self))
        }

        fn all() -> Vec<Self> {
            vec![Self]
        }

        fn id(&self) -> String {
            $id.to_owned()
        }
    };
}

pub(super) use one_id;

impl Way<'_> {
    /// Prepares the stop at `Armed`, before anything is injected. Fails when it cannot be prepared.
    pub fn prepare(&self, session: &mut Session<'_>) -> Result<(), NoCut> {
        match self {
            Self::Cut(stop) => stop.prepare(session),
            Self::Unseen(_) | Self::RunsAgain { .. } => Ok(()),
        }
    }
}
