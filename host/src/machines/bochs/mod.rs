//! Bochs as a machine: a processor that nobody here wrote, FRED included, for cold controls.
//!
//! As with QEMU the image runs alone, in one boot for all its cases, and prints its verdicts. Bochs has neither
//! `-kernel` nor an exit code for guests: [`crate::bochs`] has the firmware, and the image's last line says how it
//! ended.
//!
//! | module | holds |
//! |---|---|
//! | `tried` | whether the program that was found runs guests, how it wants to be told, and which CPU model has FRED |

mod tried;

use super::described::{Described, MachineOptions, Opened, Quirks, Unavailable, no_behaviour};
use super::emulator::{BootError, Emulator};
use super::transcript::{self, ImageRun, TranscriptError};
use crate::bochs::error::BochsError;
use crate::bochs::program::PROGRAM;
use crate::bochs::pvh;
use crate::bounded::{Ended, last_line};
use crate::image::{DeliveryMode, Image};
use protocol::exit::ImageExit;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::time::Instant;
use tried::MEMORY;
pub(crate) use tried::{TRY, TriedBochs};

/// What is peculiar to Bochs.
pub(super) static QUIRKS: Quirks =
    Quirks { name: "bochs", stops: false, boots_fred: true, has_known_issues: true, ..Quirks::ORDINARY };

/// Bochs by the name of its program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bochs {
    /// The program, looked for in PATH if it is a name.
    pub program: PathBuf,
    /// The CPU model; `None`: the newest one that has FRED, or the newest one.
    pub cpu: Option<String>,
}

impl Bochs {
    pub(super) fn asked(asked: &MachineOptions<'_>) -> Result<Self, String> {
        no_behaviour(&QUIRKS, asked)?;
        let program = asked.bochs.program.map_or_else(|| PROGRAM.into(), PathBuf::from);
        Ok(Self { program, cpu: asked.bochs.cpu.map(str::to_owned) })
    }
}

impl fmt::Display for Bochs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(QUIRKS.name)
    }
}

impl Described for Bochs {
    fn quirks(&self) -> &'static Quirks {
        &QUIRKS
    }

    fn open(&self) -> Result<Opened, Unavailable> {
        let tried = self.tried(TRY).map_err(|error| Unavailable(error.to_string()))?;
        Ok(Opened::Emulator(Box::new(tried)))
    }

    fn doctor(&self) -> Option<String> {
        Some(self.tried(TRY).map_or_else(
            |error| error.to_string(),
            |tried| {
                let fred = if tried.has_fred() { "with FRED" } else { "without FRED" };
                format!("{}, {fred}", tried.version())
            },
        ))
    }
}

impl Emulator for TriedBochs {
    fn name(&self) -> &'static str {
        "Bochs"
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn lacks(&self, delivery: DeliveryMode) -> Option<String> {
        let lacks = delivery == DeliveryMode::Fred && !self.has_fred();
        lacks.then(|| {
            format!(
                "{} has no CPU model with FRED among those tried ({}); a Bochs later than 3.0 has, built with \
                 --enable-fred: name it with --bochs FILE",
                self.version, self.tried
            )
        })
    }

    fn boot(&self, image: &Image, append: &str, deadline: Instant) -> Result<ImageRun, BootError> {
        let disk = pvh::disk(image, append, MEMORY).map_err(BochsError::Memory)?;
        verdicts(&self.run(&disk, deadline)?)
    }
}

/// The verdicts of an image that has run.
fn verdicts(ended: &Ended) -> Result<ImageRun, BootError> {
    if let Some(exit) = exit_in(&ended.output) {
        return Ok(transcript::read(&ended.output, exit)?);
    }
    if ended.output.lines().any(|line| line == firmware::RESET) {
        let mut run = transcript::read(&ended.output, ImageExit::Fail)?;
        run.failures.push("the processor was reset, as after a triple fault".to_owned());
        return Ok(run);
    }
    let (status, says) = (ended.status, said(ended));
    Err(BootError::Other(format!("Bochs ended with {status} and the image did not say how it ended: {says}")))
}

/// What the image's last line says.
fn exit_in(output: &str) -> Option<ImageExit> {
    let word = output.lines().rev().find_map(|line| line.strip_prefix("EXIT: "))?;
    ImageExit::ALL.into_iter().find(|exit| exit.name() == word.trim_end())
}

/// What a Bochs that did not come to an end said about it: the firmware's line, its own panic, or the last line.
fn said(ended: &Ended) -> String {
    let line = ended.output.lines().find(|line| line.starts_with("FIRMWARE: "));
    let panic = || ended.errors.lines().find(|line| line.contains(">>PANIC<<"));
    line.or_else(panic).map_or_else(|| last_line(&ended.errors), |line| line.trim().to_owned())
}

impl From<BochsError> for BootError {
    fn from(error: BochsError) -> Self {
        let what = error.to_string();
        match error {
            BochsError::Timeout { .. } => Self::Late { what, rip: None },
            BochsError::Missing(_)
            | BochsError::Unusable { .. }
            | BochsError::EndRequested
            | BochsError::System { .. }
            | BochsError::TooMuchOutput
            | BochsError::Memory(_) => Self::Other(what),
        }
    }
}

impl From<TranscriptError> for BootError {
    fn from(error: TranscriptError) -> Self {
        Self::Other(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    fn ended(output: &str, errors: &str) -> Ended {
        Ended { status: ExitStatus::from_raw(0x100), output: output.into(), errors: errors.into() }
    }

    #[test]
    fn the_last_line_is_the_exit() {
        let run = verdicts(&ended("PASS: a/b\nSUMMARY: a: 1 passed, 0 failed, 0 skipped\nEXIT: pass\n", ""))
            .unwrap();
        assert_eq!((run.exit, run.cases.len()), (ImageExit::Pass, 1));
        let contradicts = verdicts(&ended("PASS: a/b\nEXIT: fail\n", ""));
        assert!(contradicts.is_ok(), "an image may end in the middle, as failed");
        let contradicts = verdicts(&ended("PASS: a/b\nEXIT: pass\n", "")).unwrap_err().to_string();
        assert!(contradicts.contains("it printed no summary"), "{contradicts}");
    }

    #[test]
    fn a_triple_fault_fails_the_cases_without_a_verdict() {
        let run = verdicts(&ended(&format!("PASS: a/b\n{}\n", firmware::RESET), "")).unwrap();
        assert_eq!((run.exit, run.cases.len(), run.failures.len()), (ImageExit::Fail, 1, 1));
    }

    #[test]
    fn no_end_is_an_error_with_the_best_that_was_said() {
        for (output, errors, says) in [
            ("PASS: a/b\nEXIT: ", "", "(none)"),
            ("", "x\n00p[HD ] >>PANIC<< no disk\nlast\n", "00p[HD ] >>PANIC<< no disk"),
            ("FIRMWARE: the disk has no table\n", "last\n", "FIRMWARE: the disk has no table"),
            ("", "last\n\n", "last"),
        ] {
            let error = verdicts(&ended(output, errors)).unwrap_err().to_string();
            assert!(error.ends_with(says) && error.contains("exit status: 1"), "{error}");
        }
    }
}
