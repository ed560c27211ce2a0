//! Why a run under QEMU has no verdicts.

use crate::machines::emulator::BootError;
use crate::machines::transcript::TranscriptError;

/// The program looked for in PATH.
pub const PROGRAM: &str = "qemu-system-x86_64";

/// Why a run under QEMU has no verdicts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QemuError {
    /// The program is not there; a reason to skip.
    #[error(
        "{PROGRAM} is not in PATH: install it to run the images under QEMU too (Debian: apt install qemu-system-x86)"
    )]
    Missing,
    /// The program is there and is no QEMU that runs guests; a reason to skip.
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
    #[error("the image did not end in time under QEMU and was killed; its last line was: {last_line}")]
    Timeout {
        /// The last line on the serial port, or `(none)`.
        last_line: String,
        /// The guest's RIP, where QEMU said it.
        rip: Option<u64>,
    },
    /// More output than any image prints.
    #[error("the image printed more than {limit} bytes and was killed")]
    TooMuchOutput {
        /// The bound in bytes.
        limit: usize,
    },
    /// The process ended with a code that no image gives.
    #[error("QEMU ended with {status} instead of an image's exit code (33, 35, 37 or 39): {says}")]
    UnexpectedExit {
        /// The process's status.
        status: String,
        /// What QEMU printed about it, or `(nothing)`.
        says: String,
    },
    /// Its output is none of an image.
    #[error(transparent)]
    Transcript(#[from] TranscriptError),
}

impl From<QemuError> for BootError {
    fn from(error: QemuError) -> Self {
        let what = error.to_string();
        match error {
            QemuError::Timeout { rip, .. } => Self::Late { what, rip },
            QemuError::Missing
            | QemuError::Unusable { .. }
            | QemuError::EndRequested
            | QemuError::System { .. }
            | QemuError::TooMuchOutput { .. }
            | QemuError::UnexpectedExit { .. }
            | QemuError::Transcript(_) => Self::Other(what),
        }
    }
}
