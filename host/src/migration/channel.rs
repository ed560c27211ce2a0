//! The conversation of two processes about one guest.
//!
//! There: the machine as a line of JSON, for a process that has none yet; the [`MigrationRequest`] as another, with the
//! length of the guest's [stream](crate::stream), which follows. Back: an answer as a line of JSON, and after it the guest's
//! stream if the guest returns.

use super::{Migrated, MigrationError, MigrationRequest, Task, finish, image_of, receive, send_back};
use crate::image::Image;
use crate::process::put_line;
use crate::report::Report;
use crate::stream::{Guest, StreamError, base_of};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use vm::Machine;

/// What precedes a guest.
#[derive(Serialize, Deserialize)]
struct Sent {
    request: MigrationRequest,
    /// Bytes of the stream that follows.
    length: u64,
}

/// What a process says of the guest that it was sent.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Judged(Box<Report>),
    /// The guest's stream follows, so many bytes.
    Returned(u64),
    /// Why there is neither.
    Refused(String),
}

/// The longest line, in bytes: a report with its frames and differences.
const LONGEST: u64 = 4 << 20;

/// The other process: receives one guest, does what is asked, and answers. Any error is the answer, and the last one: how
/// much of the stream was read is not known then. Returns whether another guest can follow. Fails when the channel cannot be
/// read or written.
pub fn serve(
    machine: &dyn Machine,
    behaviour: Option<&str>,
    from: &mut impl BufRead,
    mut to: impl Write,
) -> Result<bool, MigrationError> {
    let Sent { request, length } = take_line(from)?;
    let done = receive(from.take(length)).and_then(|guest| match request.task {
        Task::Finish => {
            finish(machine, behaviour, guest, request.time_left, request.frames).map(Migrated::Judged)
        }
        Task::Return => send_back(machine, guest),
    });
    let (answer, stream) = match done {
        Ok(Migrated::Judged(report)) => (Answer::Judged(Box::new(report)), Vec::new()),
        Ok(Migrated::Returned(guest)) => {
            let image = image_of(&guest.image).map_err(MigrationError::Refused)?;
            let stream = stream(&guest, &image)?;
            (Answer::Returned(stream.len() as u64), stream)
        }
        Ok(Migrated::Saved) => (Answer::Refused("no request was made to save it".to_owned()), Vec::new()),
        Err(MigrationError::Refused(why)) => (Answer::Refused(why), Vec::new()),
        Err(error) => (Answer::Refused(error.to_string()), Vec::new()),
    };
    put_line(&mut to, &answer).and_then(|()| to.write_all(&stream)).map_err(StreamError::Io)?;
    to.flush().map_err(StreamError::Io)?;
    Ok(!matches!(answer, Answer::Refused(_)))
}

/// Sends a guest and reads the result.
pub(super) fn send(
    from: impl Read,
    to: impl Write,
    guest: &Guest,
    image: &Image,
    request: MigrationRequest,
) -> Result<Migrated, MigrationError> {
    let sent = write(to, guest, image, request);
    match (hear(BufReader::new(from)), sent) {
        // Without an answer, the error of the write is the cause.
        (Err(MigrationError::Stream(_)), Err(error @ StreamError::TooLong { .. })) => Err(error.into()),
        // A destination that refuses stops reading: its answer says more than the failed write.
        (heard, _) => heard,
    }
}

/// The same conversation with `machine` itself, in memory. Fails when the machine refuses the guest.
pub fn migrate_in_memory(
    machine: &dyn Machine,
    behaviour: Option<&str>,
    guest: &Guest,
    image: &Image,
    request: MigrationRequest,
) -> Result<Migrated, MigrationError> {
    let (mut there, mut back) = (Vec::new(), Vec::new());
    write(&mut there, guest, image, request)?;
    serve(machine, behaviour, &mut there.as_slice(), &mut back)?;
    hear(back.as_slice())
}

fn write(to: impl Write, guest: &Guest, image: &Image, request: MigrationRequest) -> Result<(), StreamError> {
    let stream = stream(guest, image)?;
    let mut to = BufWriter::new(to);
    put_line(&mut to, &Sent { request, length: stream.len() as u64 }).map_err(StreamError::Io)?;
    to.write_all(&stream).and_then(|()| to.flush()).map_err(StreamError::Io)
}

fn stream(guest: &Guest, image: &Image) -> Result<Vec<u8>, StreamError> {
    let mut stream = Vec::new();
    guest.write(&base_of(image), &mut stream)?;
    Ok(stream)
}

fn hear(mut from: impl BufRead) -> Result<Migrated, MigrationError> {
    match take_line(&mut from)? {
        Answer::Judged(report) => Ok(Migrated::Judged(*report)),
        Answer::Returned(length) => receive(from.take(length)).map(Migrated::Returned),
        Answer::Refused(why) => Err(MigrationError::Refused(why)),
    }
}

/// Reads a line of JSON. Fails when none can be read, or it is another thing.
pub fn take_line<T: DeserializeOwned>(from: &mut impl BufRead) -> Result<T, MigrationError> {
    let mut line = Vec::new();
    from.take(LONGEST).read_until(b'\n', &mut line).map_err(StreamError::Io)?;
    if !line.ends_with(b"\n") {
        return Err(StreamError::Truncated("its first line").into());
    }
    serde_json::from_slice(&line).map_err(MigrationError::Line)
}
