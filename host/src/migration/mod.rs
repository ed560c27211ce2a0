//! A guest goes on elsewhere: in another process, perhaps on another host.
//!
//! | module | holds |
//! |---|---|
//! | [`destination`] | the side that receives a guest, restores it, runs it and answers |
//! | [`process`] | another process of this program as a destination |
//! | [`remote`] | another midflight as a source or a destination |
//! | [`address`], [`transport`], [`token`] | where it is, how it is reached, how it is let in |
//! | [`keeper`] | the file of a unix socket, which must not outlive its listener |
//! | `patient` | reading and writing until a deadline |
//!
//! The conversation, each direction a [stream](crate::stream): the source sends a guest (over TCP, a
//! token before it), the destination answers with a report, and behind it with the guest if it was
//! asked to return it and its machine took it; or with a refusal, a sentence.

pub mod address;
pub mod destination;
pub mod keeper;
mod patient;
pub mod process;
pub mod remote;
pub mod token;
pub mod transport;

use crate::image::Image;
use crate::report::outcome::{Outcome, Report};
use crate::stream::{Errand, Guest, Kind, Reader, StreamError, Writer, base_of, nonsense};
use destination::Terms;
use std::io::{BufReader, BufWriter, Read, Write};
use std::time::Duration;
use vm::Machine;

/// What came of a guest's errand.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "one at a time, and taken apart at once")]
pub enum Moved {
    /// It ran to the end of its case: [`Errand::Finish`].
    Judged(Report),
    /// It came back: [`Errand::Return`].
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
    /// The other side did not say what it had to say.
    #[error("timeout: the other side of the migration was silent for too long, and was given up")]
    Late,
    /// Nobody came.
    #[error("timeout: nobody sent a guest to {address} within {seconds} s")]
    Nobody {
        /// Where.
        address: String,
        /// The bound.
        seconds: f64,
    },
    /// Who came showed another token.
    #[error("the token is not the one that this listener printed")]
    Token,
    /// It cannot be listened there.
    #[error("nothing can be received at {address}: {error}")]
    Listen {
        /// Where.
        address: String,
        /// Why.
        error: String,
    },
    /// It cannot be sent there.
    #[error("nobody can be reached at {address}: {error}; is `midflight migrate --listen` running there?")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        error: std::io::Error,
    },
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

/// How much longer than the guest's own deadline a source waits: the destination's own comes first.
pub const GRACE: Duration = Duration::from_secs(2);

/// The source's side of the conversation.
fn converse(
    from: impl Read,
    to: impl Write,
    token: Option<&str>,
    guest: &Guest,
    image: &Image,
) -> Result<Moved, MigrationError> {
    let sent = Writer::new(BufWriter::new(to)).and_then(|mut to| {
        token.map_or(Ok(()), |token| to.section(Kind::Token, token.as_bytes()))?;
        send(guest, image, &mut to)
    });
    // A destination that refuses stops reading: what it answers says more than the failed write.
    let answer = Reader::new(BufReader::new(from)).map_err(MigrationError::from_stream);
    let moved = answer.and_then(|mut from| {
        let report = answered(&mut from)?;
        match guest.errand {
            Errand::Finish => Ok(Moved::Judged(report)),
            // The guest could not be restored there: it does not come back.
            Errand::Return if report.outcome == Outcome::Fail => Ok(Moved::Judged(report)),
            Errand::Return => receive(&mut from).map(Moved::Returned).map_err(MigrationError::from_stream),
        }
    });
    match (moved, sent) {
        // One that said nothing of use may have been cut off because we were.
        (Err(MigrationError::Stream(_)), Err(error @ StreamError::TooLong { .. })) => Err(error.into()),
        (moved, _) => moved,
    }
}

/// Does a guest's errand on `machine` itself: the same conversation, in memory.
///
/// # Errors
/// When the machine refuses the guest.
pub fn move_through_memory(
    machine: &dyn Machine,
    behaviour: Option<&str>,
    guest: &Guest,
    image: &Image,
) -> Result<Moved, MigrationError> {
    let (mut there, mut back) = (Vec::new(), Vec::new());
    send(guest, image, &mut Writer::new(&mut there)?)?;
    let mut from = Reader::new(there.as_slice())?;
    // A refusal is in the answer.
    let _ = destination::serve(machine, behaviour, &Terms::OWN, &mut from, &mut Writer::new(&mut back)?);
    converse(back.as_slice(), std::io::sink(), None, guest, image)
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
