//! A guest that is stopped continues in another process, on this host or another.
//!
//! | module | holds |
//! |---|---|
//! | this one | what is done with a guest that was received as a [stream](crate::stream) |
//! | `request` | the request to the process that receives a guest, and its result |
//! | [`channel`] | the protocol with the process that receives a guest |
//! | [`process`] | that process as a child of this one |
//! | `timed` | reading and writing until a deadline |
//!
//! `midflight save` writes the stream of a guest, and `midflight resume` reads one and [`finish`]es it: they
//! need no conversation. `migrate-process` has one, because a guest may have to come back.

pub mod channel;
pub mod process;
mod request;
pub(crate) mod timed;

pub use request::{GRACE, Migrated, MigrationError, MigrationRequest, Task};

use crate::engine::runner::Runner;
use crate::image::Image;
use crate::report::outcome::Frames;
use crate::report::{Finding, Outcome, Report};
use crate::scenario::Scenario;
use crate::stream::{Guest, base_of};
use std::io::Read;
use std::time::Duration;
use vm::{Blame, Machine, Vcpu, state};

/// Reads a whole guest; refuses anything after it. Fails as [`Guest::read`].
pub fn receive(from: impl Read) -> Result<Guest, MigrationError> {
    Ok(Guest::read(from, |file| Ok(base_of(&image_of(file)?)))?)
}

/// Restores a guest on `machine`, runs it to the end of its case, and judges it. Fails when it is none that
/// can be resumed there.
pub fn finish(
    machine: &dyn Machine,
    behaviour: Option<&str>,
    mut guest: Guest,
    timeout: Duration,
    frames: Frames,
) -> Result<Report, MigrationError> {
    let Some(Arrived { image, scenario, vcpu }) = restore(machine, &mut guest)? else {
        return Ok(guest.report);
    };
    let mut runner = Runner::new(machine, behaviour.map(str::to_owned), timeout);
    runner.frames = frames;
    Ok(runner.finish(&image, &scenario, vcpu, &guest.devices, guest.report))
}

/// Restores a guest on `machine`, and saves it again.
fn send_back(machine: &dyn Machine, mut guest: Guest) -> Result<Migrated, MigrationError> {
    let Some(mut arrived) = restore(machine, &mut guest)? else { return Ok(Migrated::Judged(guest.report)) };
    guest.state = state::save(arrived.vcpu.as_mut(), machine, &guest.state.config)
        .map_err(|error| MigrationError::Refused(error.to_string()))?;
    Ok(Migrated::Returned(guest))
}

/// A guest that was restored.
struct Arrived {
    image: Image,
    scenario: Scenario,
    vcpu: Box<dyn Vcpu>,
}

/// Restores a guest; `None` where the machine does not take what another like it has saved: it is judged by
/// that, and the guest's report says so.
fn restore(machine: &dyn Machine, guest: &mut Guest) -> Result<Option<Arrived>, MigrationError> {
    let refused = MigrationError::Refused;
    if guest.report.machine != machine.name() {
        let why = format!("it was cut on {}, and this is {}", guest.report.machine, machine.name());
        return Err(refused(why));
    }
    let scenario = guest.report.scenario.clone();
    let image = image_of(&guest.image).map_err(refused)?;
    if image.name != scenario.image || image.case(&scenario.case).is_none() {
        let why = format!("its image {} has no case {}/{}", image.name, scenario.image, scenario.case);
        return Err(refused(why));
    }
    let mut restored = match state::restore_and_check(machine, &guest.state) {
        Err(error) if error.blame() == Blame::Machine => {
            guest.report = guest.report.clone().concluded(Outcome::Fail, Finding::from(&error));
            return Ok(None);
        }
        restored => restored.map_err(|error| refused(error.to_string()))?,
    };
    guest.report.note_restore(&mut restored);
    Ok(Some(Arrived { image, scenario, vcpu: restored.vcpu }))
}

fn image_of(file: &[u8]) -> Result<Image, String> {
    Image::parse("the image in the stream", file).map_err(|error| error.to_string())
}
