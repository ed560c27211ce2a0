//! Scenarios: a case, how it is delivered, where its delivery is stopped, and what is done there.
//!
//! The grammar of an id, which replays the scenario exactly (a storm's on KVM: as far as its host's
//! clock does, [`StopFacts::depends_on_time`](crate::stops::StopFacts::depends_on_time)):
//!
//! ```text
//! name     = letter *( letter | digit | "-" )            ; lower case
//! id       = image "/" case ":" delivery [ ":nopayload" ] ":" plan
//! delivery = "fred" | "idt"
//! plan     = "cold" | "none" | stop ":" action
//! ```
//!
//! `image` and `case` are names ([`protocol::name`]); [`crate::stops`] has the grammar of a stop and an action.
//!
//! `cold` runs from boot without any restore, `none` forks from the snapshot without any stop.
//! `nopayload` leaves KVM_CAP_EXCEPTION_PAYLOAD off. Example:
//! `pf/read-unmapped:fred:block@frame:migrate+disturb`.

mod applies;
mod cover;
pub mod filter;
mod generate;
mod id;
mod partition;
pub mod pattern;
mod renamed;
pub(crate) mod words;

pub use applies::{applies, is_possible};
pub use cover::{EACH_CASE, cover};
pub use generate::{all, cold, indexed, needs, of_case};
pub use id::InvalidId;
pub use partition::Partition;

pub use crate::image::{DeliveryMode, Place};
pub use crate::stops::{Action, Migration, Stop};

use crate::stops::Storm;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What separates the components of an id.
const SEPARATORS: [char; 2] = ['/', ':'];

/// What happens between `Armed` and the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum Plan {
    /// Nothing, from boot, without a restore.
    Cold,
    /// Nothing, from the snapshot.
    None,
    /// A stop and an action.
    #[strum(to_string = "{0}:{1}")]
    Cut(Stop, Action),
}

/// A scenario. It is serialised as its id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Scenario {
    /// The image's name.
    pub image: String,
    /// The case's name.
    pub case: String,
    /// FRED or IDT.
    pub delivery: DeliveryMode,
    /// Whether KVM_CAP_EXCEPTION_PAYLOAD is on.
    pub payload: bool,
    /// What happens.
    pub plan: Plan,
}

impl Plan {
    /// The same with this seed, where the stop is a storm.
    pub fn seeded(self, seed: u32) -> Self {
        match self {
            Self::Cut(Stop::Storm(_), action) => Self::Cut(Storm(seed).into(), action),
            Self::Cold | Self::None | Self::Cut(..) => self,
        }
    }

    /// Its stop, or `cold` or `none`, as ids have it.
    pub fn stop_name(self) -> String {
        self.cut().map_or_else(|| self.to_string(), |(stop, _)| stop.to_string())
    }

    /// Its stop, if it has one, and what is done there.
    pub fn cut(self) -> Option<(Stop, Action)> {
        match self {
            Self::Cut(stop, action) => Some((stop, action)),
            Self::Cold | Self::None => None,
        }
    }

    /// What is done at its stop.
    pub fn action(self) -> Option<Action> {
        self.cut().map(|(_, action)| action)
    }
}

impl Scenario {
    /// `image/case:delivery`.
    pub fn case_name(&self) -> String {
        format!("{}/{}:{}", self.image, self.case, self.delivery)
    }

    /// Whether the same id may have another outcome next time, because the times of its signals differ.
    pub fn depends_on_time(&self) -> bool {
        self.plan.cut().is_some_and(|(stop, _)| stop.facts().depends_on_time)
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payload = if self.payload { "" } else { "nopayload:" };
        write!(f, "{}/{}:{}:{payload}{}", self.image, self.case, self.delivery, self.plan)
    }
}
