//! Scenarios: a case, how it is delivered, where its delivery is stopped, and what is done there.
//!
//! The grammar of an id, which replays the scenario exactly:
//!
//! ```text
//! id       = image "/" case ":" delivery [ ":nopayload" ] ":" plan
//! delivery = "fred" | "idt"
//! plan     = "cold" | "none" | stop ":" action
//! stop     = "block@frame" | "cancel" | "io" | "access@" number [ "," number ]
//! action   = "resume" | "migrate" | "disturb" | "migrate+disturb"
//! ```
//!
//! `access@N` refuses the N-th memory access (from 0) of the delivery, `access@N,M` also the M-th of
//! the delivery's second try: on the model only, where `midflight explore` walks through all of them.
//!
//! `cold` runs from boot without any restore, `none` forks from the snapshot without any stop.
//! `nopayload` leaves KVM_CAP_EXCEPTION_PAYLOAD off. Example:
//! `pf/read-unmapped:fred:block@frame:migrate+disturb`.

mod generate;
mod id;

pub use generate::{ACTIONS, all, is_possible, needs};
pub use id::InvalidId;

use std::fmt;

/// How events reach their handlers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, clap::ValueEnum)]
pub enum Delivery {
    /// Through FRED.
    Fred,
    /// Through the IDT.
    Idt,
}

/// Where a delivery is stopped, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stop {
    /// The page that the frame is pushed to refuses access.
    BlockFrame,
    /// The host queues the event itself and abandons the entry that injects it.
    Cancel,
    /// The instruction that raises the event waits for user-space I/O, which completes without
    /// entering the guest.
    Io,
    /// One memory access of the delivery is refused, and perhaps one of its second try.
    Access(u16, Option<u16>),
}

/// What is done with the guest while it is stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Action {
    /// It moves to a fresh VM.
    pub migrate: bool,
    /// CR2, DR6 and XFD_ERR are rewritten so that they disagree with the event.
    pub disturb: bool,
}

/// What happens between `Armed` and the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Plan {
    /// Nothing, from boot, without a restore.
    Cold,
    /// Nothing, from the snapshot.
    None,
    /// A stop and an action.
    Cut(Stop, Action),
}

/// A scenario.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scenario {
    /// The image's name.
    pub image: String,
    /// The case's name.
    pub case: String,
    /// FRED or IDT.
    pub delivery: Delivery,
    /// Whether KVM_CAP_EXCEPTION_PAYLOAD is on.
    pub payload: bool,
    /// What happens.
    pub plan: Plan,
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fred => "fred",
            Self::Idt => "idt",
        })
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BlockFrame => f.write_str("block@frame"),
            Self::Cancel => f.write_str("cancel"),
            Self::Io => f.write_str("io"),
            Self::Access(first, None) => write!(f, "access@{first}"),
            Self::Access(first, Some(second)) => write!(f, "access@{first},{second}"),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.migrate, self.disturb) {
            (false, false) => "resume",
            (true, false) => "migrate",
            (false, true) => "disturb",
            (true, true) => "migrate+disturb",
        })
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cold => f.write_str("cold"),
            Self::None => f.write_str("none"),
            Self::Cut(stop, action) => write!(f, "{stop}:{action}"),
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payload = if self.payload { "" } else { "nopayload:" };
        write!(f, "{}/{}:{}:{payload}{}", self.image, self.case, self.delivery, self.plan)
    }
}
