//! Why there is no Bochs, or no result from it.

use super::memory::MemoryError;
use crate::bounded::{NotEnded, OUTPUT_LIMIT};

/// Why there is no Bochs, or no result from it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BochsError {
    /// There is no such program, which the words begin with; a reason to skip.
    #[error(
        "{0}: install Bochs to run the images on an independent processor too (Debian: apt install bochs), or name one with --bochs FILE"
    )]
    Missing(String),
    /// The program is there and is no Bochs that runs guests; a reason to skip.
    #[error("{program} cannot be used: {why}")]
    Unusable {
        /// The program.
        program: String,
        /// What it did.
        why: String,
    },
    /// This process received a signal to end.
    #[error("this run was ended by a signal")]
    EndRequested,
    /// A system call failed.
    #[error("{what} failed: {why}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The system's answer.
        why: String,
    },
    /// The deadline passed.
    #[error("the guest did not end in time under Bochs, which was killed; its last line was: {last_line}")]
    Timeout {
        /// The last line on its console, or `(none)`.
        last_line: String,
    },
    /// More output than any guest prints.
    #[error("Bochs printed more than {OUTPUT_LIMIT} bytes and was killed")]
    TooMuchOutput,
    /// The guest cannot be laid out.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

impl BochsError {
    pub(crate) fn system(what: &'static str) -> impl Fn(std::io::Error) -> Self {
        move |error| Self::System { what, why: error.to_string() }
    }
}

impl From<NotEnded> for BochsError {
    fn from(error: NotEnded) -> Self {
        match error {
            NotEnded::Unread(error) => Self::system("reading Bochs' output")(error),
            NotEnded::Late { last_line } => Self::Timeout { last_line },
            NotEnded::TooMuchOutput => Self::TooMuchOutput,
            NotEnded::EndRequested => Self::EndRequested,
        }
    }
}
