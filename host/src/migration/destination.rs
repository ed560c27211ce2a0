//! The side that receives a guest.

use super::token::Token;
use super::{MigrationError, answer, receive, refuse, send};
use crate::engine::runner::Runner;
use crate::image::Image;
use crate::report::outcome::{Outcome, Report};
use crate::scenario::Scenario;
use crate::stream::{Errand, Guest, Kind, Reader, Writer};
use std::io::{Read, Write};
use std::time::Duration;
use vm::state;
use vm::{Blame, Machine};

/// What a destination asks of who sends, and what it grants.
#[derive(Debug)]
pub struct Terms<'t> {
    /// Only who shows it is listened to.
    pub token: Option<&'t Token>,
    /// How long a guest may run, whatever its source says.
    pub longest: Duration,
}

impl Terms<'_> {
    /// The child of this program's own.
    pub const OWN: Terms<'static> = Terms { token: None, longest: Duration::MAX };

    fn admit(&self, from: &mut Reader<impl Read>) -> Result<(), MigrationError> {
        match self.token {
            None => Ok(()),
            Some(token) if token.is(&from.section(Kind::Token).map_err(MigrationError::from_stream)?) => {
                Ok(())
            }
            Some(_) => Err(MigrationError::Token),
        }
    }
}

/// Receives one guest, does what is asked, and answers; returns the report.
///
/// Nothing is made before the whole guest has been read and checked. Whatever goes wrong is sent to
/// the source as a refusal, as far as it can be.
///
/// # Errors
/// When the guest cannot be read, restored or answered for.
pub fn serve(
    machine: &dyn Machine,
    behaviour: Option<&str>,
    terms: &Terms<'_>,
    from: &mut Reader<impl Read>,
    to: &mut Writer<impl Write>,
) -> Result<Report, MigrationError> {
    let done = terms.admit(from).and_then(|()| receive(from).map_err(MigrationError::from_stream)).and_then(
        |mut guest| {
            guest.time_left = guest.time_left.min(terms.longest);
            arrive(machine, behaviour, guest)
        },
    );
    match done {
        Ok(Arrived { report, returned, image }) => {
            answer(&report, to)?;
            if let Some(guest) = returned {
                send(&guest, &image, to)?;
            }
            Ok(report)
        }
        Err(error) => {
            // Who sent nonsense, or is gone, may not hear of it.
            let why = match &error {
                MigrationError::Refused(why) => why.clone(),
                other => other.to_string(),
            };
            let _ = refuse(&why, to);
            Err(error)
        }
    }
}

/// A guest that was taken care of.
struct Arrived {
    report: Report,
    returned: Option<Guest>,
    image: Image,
}

fn arrive(
    machine: &dyn Machine,
    behaviour: Option<&str>,
    mut guest: Guest,
) -> Result<Arrived, MigrationError> {
    let refused = |why: String| MigrationError::Refused(why);
    if guest.report.machine != machine.name() {
        let why = format!("it was cut on {}, and this is {}", guest.report.machine, machine.name());
        return Err(refused(why));
    }
    let scenario: Scenario = guest.report.id.parse().map_err(|error| refused(format!("{error}")))?;
    let image = super::image_of(&guest.image).map_err(refused)?;
    if image.name != scenario.image || image.case(&scenario.case).is_none() {
        let why = format!("its image {} has no case {}/{}", image.name, scenario.image, scenario.case);
        return Err(refused(why));
    }
    // A machine that does not take what another like it has saved is judged by that.
    let mut restored = match state::restore_and_check(machine, &guest.state) {
        Err(error) if error.blame() == Blame::Machine => {
            let report = guest.report.concluded(Outcome::Fail, error.to_string());
            return Ok(Arrived { report, returned: None, image });
        }
        restored => restored.map_err(|error| refused(error.to_string()))?,
    };
    guest.report.note_restore(&mut restored);
    let mut vcpu = restored.vcpu;
    match guest.errand {
        Errand::Finish => {
            let mut runner = Runner::new(machine, behaviour.map(str::to_owned), guest.time_left);
            runner.frames = guest.frames;
            let report = runner.finish(&image, &scenario, vcpu, &guest.devices, guest.report);
            Ok(Arrived { report, returned: None, image })
        }
        Errand::Return => {
            guest.state = state::save(vcpu.as_mut(), machine, &guest.state.config)
                .map_err(|error| refused(error.to_string()))?;
            Ok(Arrived { report: guest.report.clone(), returned: Some(guest), image })
        }
    }
}
