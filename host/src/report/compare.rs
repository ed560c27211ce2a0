//! Reports of `midflight compare`, in the formats that are listed here.

mod format;
mod human;
mod json;

pub(crate) use format::{Ended, Writer, totals};

super::format::formats! {
    /// How a comparison is reported on standard output.
    CompareFormat: Writer,
    /// For people
    Human by human::Human;
    /// One JSON object per line
    Json by json::Json;
}
