//! The request to the process that receives a guest, and its result.

use crate::report::Report;
use crate::report::outcome::Frames;
use crate::stream::{Guest, StreamError};
use serde::{Deserialize, Serialize};
use std::io;
use std::time::Duration;

/// What the destination is to do with a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// Run it to the end of its case, and judge it.
    Finish,
    /// Restore it, save it again, and send it back.
    Return,
}

/// A request to the process that receives a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationRequest {
    /// What is to be done.
    pub task: Task,
    /// How long it may take.
    pub time_left: Duration,
    /// When captured frames are wanted.
    pub frames: Frames,
}

/// The result of a migration to another process.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "one at a time, and taken apart at once")]
pub enum Migrated {
    /// It was judged there.
    Judged(Report),
    /// It was sent back: [`Task::Return`].
    Returned(Guest),
    /// It was saved, and whoever resumes it judges it.
    Saved,
}

/// A guest could not be continued in another process.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// Its stream cannot be read or written.
    #[error(transparent)]
    Stream(StreamError),
    /// It is none that can be resumed there.
    #[error("the guest cannot be resumed: {0}")]
    Refused(String),
    /// The process cannot be started.
    #[error("the destination process cannot be started: {0}")]
    Start(io::Error),
    /// The process ended in the middle.
    #[error("the destination process ended by itself ({status}): {error}")]
    Died {
        /// How it ended.
        status: String,
        /// What was noticed first.
        error: StreamError,
    },
    /// A message does not follow the protocol.
    #[error("the other side of the migration broke the protocol: {0}")]
    Line(serde_json::Error),
    /// The other side did not read or write in time.
    #[error("timeout: the other side of the migration did not answer in time")]
    Late,
}

impl From<StreamError> for MigrationError {
    /// A deadline that was met is a timeout.
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Io(error) if error.kind() == io::ErrorKind::TimedOut => Self::Late,
            other => Self::Stream(other),
        }
    }
}

/// Added to the guest's own deadline while another process is waited for, so that the guest's own expires first.
pub const GRACE: Duration = Duration::from_secs(2);
