//! The conversation of two processes about one guest.
//!
//! There: the machine as a line of JSON, for a process that has none yet; the [`MigrationRequest`] as another,
//! then the guest's [stream](crate::stream). Back: an
//! answer as a line of JSON, and after it the guest's stream if the guest returns.

use super::{Migrated, MigrationError, MigrationRequest, Task, finish, image_of, receive, send_back};
use crate::image::Image;
use crate::process::put_line;
use crate::report::Report;
use crate::stream::{Guest, StreamError, base_of};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use vm::Machine;

/// What a process says of the guest that it was sent.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Judged(Box<Report>),
    /// The guest's stream follows.
    Returned,
    /// Why there is neither.
    Refused(String),
}

/// The longest line, in bytes: a report with its frames and differences.
const LONGEST: u64 = 4 << 20;

/// The other process: receives one guest, does what is asked, and answers. Any error is the answer. Fails
/// when the channel cannot be read or written.
pub fn serve(
    machine: &dyn Machine,
    behaviour: Option<&str>,
    mut from: impl BufRead,
    mut to: impl Write,
) -> Result<(), MigrationError> {
    let request: MigrationRequest = take_line(&mut from)?;
    let done = receive(from).and_then(|guest| match request.task {
        Task::Finish => {
            finish(machine, behaviour, guest, request.time_left, request.frames).map(Migrated::Judged)
        }
        Task::Return => send_back(machine, guest),
    });
    let mut answer = |answer: &Answer| put_line(&mut to, answer).map_err(StreamError::Io);
    match done {
        Ok(Migrated::Judged(report)) => answer(&Answer::Judged(Box::new(report)))?,
        Ok(Migrated::Returned(guest)) => {
            answer(&Answer::Returned)?;
            guest.write(&base_of(&image_of(&guest.image).map_err(MigrationError::Refused)?), &mut to)?;
        }
        Ok(Migrated::Saved) => answer(&Answer::Refused("no request was made to save it".to_owned()))?,
        Err(MigrationError::Refused(why)) => answer(&Answer::Refused(why))?,
        Err(error) => answer(&Answer::Refused(error.to_string()))?,
    }
    Ok(())
}

/// Sends a guest, closes `to`, and reads the result.
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
    serve(machine, behaviour, there.as_slice(), &mut back)?;
    hear(back.as_slice())
}

fn write(to: impl Write, guest: &Guest, image: &Image, request: MigrationRequest) -> Result<(), StreamError> {
    let mut to = BufWriter::new(to);
    put_line(&mut to, &request).map_err(StreamError::Io)?;
    guest.write(&base_of(image), to)
}

fn hear(mut from: impl BufRead) -> Result<Migrated, MigrationError> {
    match take_line(&mut from)? {
        Answer::Judged(report) => Ok(Migrated::Judged(*report)),
        Answer::Returned => receive(from).map(Migrated::Returned),
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
