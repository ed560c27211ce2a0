//! A guest goes on elsewhere: in another process, perhaps on another host.
//!
//! | module | holds |
//! |---|---|
//! | [`destination`] | the side that receives a guest, restores it, runs it and answers |
//! | [`process`] | another process of this program as a destination |
//! | `patient` | reading and writing until a deadline |
//!
//! The conversation, each direction a [stream](crate::stream): the source sends a guest, the
//! destination answers with a report, and behind it with the guest if it was asked to return it; or
//! with a refusal, a sentence.

pub mod destination;
mod patient;
pub mod process;

use crate::image::Image;
use crate::result::Report;
use crate::stream::{Guest, Kind, Reader, StreamError, Writer, base_of, nonsense};
use std::io::{Read, Write};

/// What came of a guest's errand.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "one at a time, and taken apart at once")]
pub enum Moved {
    /// It ran to the end of its case: [`Errand::Finish`](crate::stream::Errand::Finish).
    Judged(Report),
    /// It came back: [`Errand::Return`](crate::stream::Errand::Return).
    Returned(Guest),
}

/// A guest could not be continued elsewhere.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// What travels cannot be read or written.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The destination says why not.
    #[error("the destination refuses the guest: {0}")]
    Refused(String),
    /// The destination cannot be started.
    #[error("the destination process cannot be started: {0}")]
    Start(std::io::Error),
    /// The destination ended in the middle.
    #[error("the destination process ended by itself ({status}): {error}")]
    Died {
        /// How it ended.
        status: String,
        /// What was noticed first.
        error: StreamError,
    },
    /// The destination did not answer.
    #[error("timeout: the destination did not answer in time, and was given up")]
    Late,
}

impl MigrationError {
    /// A transport that met its deadline is a timeout.
    fn from_stream(error: StreamError) -> Self {
        match error {
            StreamError::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => Self::Late,
            other => Self::Stream(other),
        }
    }
}

/// Sends a guest.
fn send(guest: &Guest, image: &Image, to: &mut Writer<impl Write>) -> Result<(), StreamError> {
    guest.write(&base_of(image), to)
}

/// Receives a guest.
fn receive(from: &mut Reader<impl Read>) -> Result<Guest, StreamError> {
    Guest::read(from, |file| Ok(base_of(&image_of(file)?)))
}

fn image_of(file: &[u8]) -> Result<Image, String> {
    Image::parse("the image in the stream", file).map_err(|error| error.to_string())
}

/// Sends a report.
fn answer(report: &Report, to: &mut Writer<impl Write>) -> Result<(), StreamError> {
    let json = serde_json::to_vec(report).map_err(|error| nonsense(Kind::Report, error))?;
    to.section(Kind::Report, &json)?;
    to.flush()
}

/// Sends a sentence instead of a report.
fn refuse(why: &str, to: &mut Writer<impl Write>) -> Result<(), StreamError> {
    let most = Kind::Refusal.longest() as usize;
    to.section(Kind::Refusal, &why.as_bytes()[..why.len().min(most)])?;
    to.flush()
}

/// Receives what [`answer`] or [`refuse`] sent.
fn answered(from: &mut Reader<impl Read>) -> Result<Report, MigrationError> {
    let (kind, payload) = from.one_of(&[Kind::Report, Kind::Refusal]).map_err(MigrationError::from_stream)?;
    match kind {
        Kind::Report => Ok(serde_json::from_slice(&payload).map_err(|error| nonsense(kind, error))?),
        _ => Err(MigrationError::Refused(String::from_utf8_lossy(&payload).into_owned())),
    }
}
