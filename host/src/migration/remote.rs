//! Another midflight, on this or another host, as a source or a destination.

use super::address::Address;
use super::destination::{Terms, serve};
use super::transport::{Connection, connect};
use super::{GRACE, MigrationError, Moved, converse};
use crate::image::Image;
use crate::report::outcome::Report;
use crate::stream::{Guest, Reader, Writer};
use std::io::{BufReader, BufWriter, Read};
use std::time::{Duration, Instant};
use vm::Machine;

/// Does a guest's errand where somebody listens.
///
/// # Errors
/// When nobody listens, does not answer in time, or refuses the guest.
pub fn move_to(
    address: &Address,
    token: Option<&str>,
    guest: &Guest,
    image: &Image,
) -> Result<Moved, MigrationError> {
    let deadline = Instant::now() + guest.time_left + GRACE;
    let (from, to) = connect(address, deadline)?.patiently(deadline);
    converse(from, to, token, guest, image)
}

/// The listener's side: receives the one guest that comes through `connection`, runs it and answers.
///
/// # Errors
/// As [`serve`].
pub fn receive_from(
    connection: Connection,
    machine: &dyn Machine,
    behaviour: Option<&str>,
    terms: &Terms<'_>,
) -> Result<Report, MigrationError> {
    let (from, to) = connection.patiently(Instant::now() + terms.longest + GRACE);
    let mut to = Writer::new(BufWriter::new(to)).map_err(MigrationError::from_stream)?;
    // A sender that looks hears that it has been let in.
    to.flush().map_err(MigrationError::from_stream)?;
    let mut from = Reader::new(BufReader::new(from)).map_err(MigrationError::from_stream)?;
    let served = serve(machine, behaviour, terms, &mut from, &mut to);
    if served.is_err() {
        linger(from.into_inner().into_inner());
    }
    served
}

/// Reads what a refused sender goes on to write: a TCP connection that is closed before would be
/// reset, and the refusal with it.
fn linger(mut from: super::patient::Patient) {
    from.end_in(Duration::from_secs(1));
    let mut most = from.by_ref().take(1 << 25);
    let _ = std::io::copy(&mut most, &mut std::io::sink());
}
