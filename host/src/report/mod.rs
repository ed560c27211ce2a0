//! Reports: of a run and of a comparison, in the formats that are listed here.

pub(crate) mod compare;
pub(crate) mod decode;
pub mod difference;
mod disbelief;
pub mod facts;
pub mod finding;
mod format;
pub(crate) mod frame;
pub(crate) mod html;
pub(crate) mod human;
mod json;
mod junit;
pub mod known;
pub(crate) mod matrix;
pub mod outcome;
pub(crate) mod plain;
pub(crate) mod records;
mod tap;
pub mod totals;
pub mod words;

pub use difference::{Difference, Field, MailboxField, QUADWORDS, Seen, When};
pub use facts::HostFacts;
pub use finding::{Disbelief, Finding, Port};
pub(crate) use format::{Begun, Ended, One, Verbosity, Writer};
pub use format::{Cause, Early};
pub use outcome::{AtCut, Cited, Outcome, Report};
pub use totals::Totals;
pub use words::reason;

format::formats! {
    /// How a run is reported.
    Format: Writer,
    /// For people
    Human by human::Human;
    /// KTAP version 1, as the kernel's selftests print it
    Ktap by tap::Tap(tap::Dialect::Ktap);
    /// TAP version 14
    Tap by tap::Tap(tap::Dialect::Tap14);
    /// One JSON object per line
    Json by json::Json;
    /// JUnit XML
    Junit by junit::Junit;
    /// For the midflight that merges the reports of several runs
    #[value(hide = true)]
    Records by records::Records;
}

/// What selftests of the kernel exit with when they have skipped everything: KSFT_SKIP of
/// tools/testing/selftests/kselftest.h.
const KSFT_SKIP: u8 = 4;

impl Format {
    /// The exit code of a run that has tested nothing.
    pub(crate) fn nothing_tested(self) -> u8 {
        match self {
            Self::Ktap => KSFT_SKIP,
            Self::Human | Self::Tap | Self::Json | Self::Junit | Self::Records => 0,
        }
    }
}
