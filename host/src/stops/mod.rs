//! Stopping a delivery on its way, and proving it.
//!
//! ```text
//! stop   = how "@" place | "ring" | "cancel" | "abandon" | "io" | "storm" [ "=" seed ]
//!        | "access@" number [ "," number ] | "return@" number | "act"
//! how    = "block" | "private" | "uffd" | "hole" | "read-only" | "evict"
//! place  = "frame" | "pt" | "pd" | "pdpt" | "idt" | "gdt" | "tss"
//! action = "resume" | part *( "+" part )
//! part   = "migrate" | "migrate-process" | "disturb" | "again=" number
//! ```
//!
//! The parts of an action stand in this order, each once at most.
//!
//! Each kind of stop is a file of its own, which says all that there is to say of it; here they are listed.
//! They share
//!
//! | module | holds |
//! |---|---|
//! | [`how`] | the questions that each answers, and the ways in which the runner gets to a cut |
//! | [`action`] | what is done with the guest while it is stopped |
//! | [`cut`] | the cut and its proof |
//! | `page` | how a page refuses a delivery |
//! | [`probe`] | how a machine is probed for a stop, and the guest that does it |

mod abandon;
mod access;
mod act;
pub mod action;
mod block;
pub(crate) mod cancel;
pub mod cut;
pub(crate) mod event_return;
mod evict;
mod hole;
pub mod how;
mod io;
mod number;
mod page;
mod private;
pub mod probe;
mod read_only;
mod ring;
pub mod storm;
mod uffd;

pub use abandon::Abandon;
pub use access::Access;
pub use act::Act;
pub use action::{Action, Migration};
pub use block::Block;
pub use cancel::Cancel;
pub use cut::{Cut, NoCut, Proof, SecondRun};
pub use event_return::Return;
pub use evict::Evict;
pub use hole::Hole;
pub use how::{How, StopFacts, Way};
pub use io::Io;
pub use private::Private;
pub use read_only::ReadOnly;
pub use ring::Ring;
pub use storm::Storm;
pub use uffd::Userfault;

use how::Again;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

/// The enum of all kinds of stops, and what must be asked of every kind.
macro_rules! stops {
    ($($name:ident),*) => {
        /// Where a delivery is stopped, and how.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub enum Stop {
            $(#[doc = concat!("See [`", stringify!($name), "`].")] $name($name),)*
        }

        $(impl From<$name> for Stop {
            fn from(stop: $name) -> Self {
                Self::$name(stop)
            }
        })*

        impl Stop {
            /// What its kind says of it.
            pub fn how(&self) -> &dyn How {
                match self {
                    $(Self::$name(stop) => stop,)*
                }
            }

            /// Every stop that a run of everything knows, kind by kind.
            pub fn all() -> Vec<Self> {
                let mut all = Vec::new();
                $(all.extend($name::all().into_iter().map(Self::$name));)*
                all
            }

            /// The stop that is probed in place of this one.
            #[must_use]
            pub fn asked(self) -> Self {
                match self {
                    $(Self::$name(stop) => Self::$name(stop.asked()),)*
                }
            }

            fn read(id: &str) -> Option<Result<Self, &'static str>> {
                None$(.or_else(|| Some($name::parse(id)?.map(Self::$name))))*
            }

            fn syntax() -> Vec<&'static str> {
                [$($name::syntax()),*].concat()
            }
        }
    };
}

stops!(
    Block, Private, Userfault, Hole, ReadOnly, Evict, Ring, Cancel, Abandon, Io, Storm, Access, Return, Act
);

/// What is wrong with an id that no kind knows.
static NO_STOP: LazyLock<String> = LazyLock::new(|| {
    let syntax: Vec<String> = Stop::syntax().iter().map(|one| format!("`{one}`")).collect();
    format!("its stop is none of `cold`, `none`, {}", syntax.join(", "))
});

impl Stop {
    /// Its properties.
    pub fn facts(self) -> StopFacts {
        self.how().facts()
    }

    /// Whether anything can be done to the guest there: not where only the kernel sees the stop.
    pub fn stands_still(self) -> bool {
        match self.how().way() {
            Way::Cut(_) | Way::RunsAgain { .. } => true,
            Way::Unseen(_) => false,
        }
    }

    /// Whether a delivery that continues can be stopped so a second time.
    pub fn is_repeatable(self) -> bool {
        match self.how().way() {
            Way::Cut(stop) => matches!(stop.again(), Again::AsOften(_)),
            Way::Unseen(_) | Way::RunsAgain { .. } => false,
        }
    }

    /// Whether a guest that continues from it is not stopped again, unless its action says so.
    pub fn is_last(self) -> bool {
        match self.how().way() {
            Way::Cut(stop) => !matches!(stop.again(), Again::SecondTry(_)),
            Way::Unseen(_) => true,
            Way::RunsAgain { .. } => false,
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.how().id())
    }
}

impl From<Stop> for String {
    fn from(stop: Stop) -> Self {
        stop.to_string()
    }
}

impl TryFrom<String> for Stop {
    type Error = &'static str;

    fn try_from(id: String) -> Result<Self, Self::Error> {
        id.parse()
    }
}

impl FromStr for Stop {
    type Err = &'static str;

    fn from_str(id: &str) -> Result<Self, Self::Err> {
        Self::read(id).unwrap_or_else(|| Err(NO_STOP.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_no_kind_knows_is_answered_with_what_there_is() {
        let sentence = "its stop is none of `cold`, `none`, `block@PLACE`, `private@PLACE`, `uffd@PLACE`, \
                        `hole@PLACE`, `read-only@PLACE`, `evict@PLACE`, `ring`, `cancel`, `abandon`, `io`, `storm`, \
                        `storm=SEED`, `access@N`, `access@N,M`, `return@N`, `act`";
        for id in ["", "warp@frame", "block", "ring@frame", "storms", "access"] {
            assert_eq!(id.parse::<Stop>(), Err(sentence), "{id}");
        }
    }

    #[test]
    fn what_can_be_done_at_a_stop() {
        for (id, stands_still, is_repeatable, is_last) in [
            ("block@frame", true, true, true),
            ("evict@pt", false, false, true),
            ("ring", true, false, true),
            ("cancel", true, true, true),
            ("abandon", true, true, true),
            ("io", true, true, true),
            ("storm", true, false, false),
            ("access@1", true, false, true),
            ("access@1,2", true, false, false),
            ("return@4", true, false, true),
            ("act", true, false, true),
        ] {
            let stop: Stop = id.parse().unwrap();
            let seen = (stop.stands_still(), stop.is_repeatable(), stop.is_last());
            assert_eq!(seen, (stands_still, is_repeatable, is_last), "{id}");
        }
    }

    #[test]
    fn a_seed_or_an_access_is_asked_for_like_any_other() {
        for (id, asked) in [
            ("storm=7", "storm"),
            ("access@3,4", "access@0"),
            ("return@7", "return@0"),
            ("hole@pd", "hole@pd"),
        ] {
            assert_eq!(id.parse::<Stop>().map(|stop| stop.asked().to_string()), Ok(asked.to_owned()));
        }
    }
}
