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
pub mod totals;
pub mod words;

pub use difference::{Difference, Field, MailboxField, QUADWORDS, Seen, When};
pub use facts::HostFacts;
pub use finding::{Disbelief, Finding, Port};
pub use format::Early;
pub(crate) use format::{Ended, Writer};
pub use outcome::{AtCut, Cited, Outcome, Report};
pub use totals::Totals;
pub use words::reason;

format::formats! {
    /// How a run is reported on standard output.
    Format: Writer,
    /// For people
    Human by human::Human;
    /// One JSON object per line
    Json by json::Json;
    /// JUnit XML
    Junit by junit::Junit;
    /// For the midflight that merges the reports of several runs
    #[value(hide = true)]
    Records by records::Records;
}
