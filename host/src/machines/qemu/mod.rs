//! QEMU as a machine, in its simplest form: an external process that boots one image.
//!
//! No snapshots and no stops: the image runs alone, judges its cases itself and prints a line for
//! each. The verdicts are taken from those lines *and* from the process's exit code, and a run in
//! which the two disagree is an error.
//!
//! | module | holds |
//! |---|---|
//! | `monitor` | asks a QEMU that is late where its guest is |
//! | `process` | the child process, with bounded output |
//! | `tried` | whether the program that was found is a QEMU that runs guests |
//! | [`transcript`] | the image's lines -> verdicts, checked against the exit code |

mod monitor;
mod process;
pub mod transcript;
mod tried;

use crate::process::MemoryFile;
use monitor::Monitor;
use std::path::{Path, PathBuf};
use std::time::Instant;
pub use transcript::{CaseOutcome, CaseRun, FailLine, FrameLine, ImageRun};
pub use tried::TRY;

/// The program looked for in PATH.
pub const PROGRAM: &str = "qemu-system-x86_64";

/// How QEMU runs the guest's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Accelerator {
    /// In software, with every feature it has: `-cpu max`.
    Tcg,
    /// On /dev/kvm, with the default CPU model: `-cpu host` and `-cpu max` abort on some KVMs.
    Kvm,
}

impl Accelerator {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Tcg => &["-accel", "tcg", "-cpu", "max"],
            Self::Kvm => &["-accel", "kvm"],
        }
    }
}

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
    /// This process was told to end.
    #[error("this run was told to end")]
    ToldToEnd,
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
    /// A line that starts like a verdict and is none.
    #[error("the image's output cannot be read: {why}, in line: {line}")]
    Garbled {
        /// The line.
        line: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Lines, summary and exit code do not agree.
    #[error("the image contradicts itself: {0}")]
    Contradiction(String),
}

/// QEMU on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qemu {
    program: PathBuf,
}

impl Qemu {
    /// Looks for [`PROGRAM`] in PATH.
    ///
    /// # Errors
    /// [`QemuError::Missing`] when it is not there.
    pub fn find() -> Result<Self, QemuError> {
        let program = crate::process::find(Path::new(PROGRAM)).ok_or(QemuError::Missing)?;
        Ok(Self { program })
    }

    /// Boots `image`, an ELF file's bytes, with the kernel command line `append`
    /// (`delivery=idt frames=1`), and reads its verdicts.
    ///
    /// # Errors
    /// When there are no verdicts, or none that can be trusted.
    pub fn run(
        &self,
        image: &[u8],
        append: &str,
        accelerator: Accelerator,
        deadline: Instant,
    ) -> Result<ImageRun, QemuError> {
        let file = MemoryFile::new(image).map_err(process::system("handing the image to QEMU"))?;
        let monitor = Monitor::new().map_err(process::system("making a socket for QEMU's monitor"))?;
        let mut arguments = arguments(&file.path(), append, accelerator);
        arguments.extend(monitor.arguments());
        let ended = process::run(&self.program, &arguments, Some(monitor), deadline)?;
        let Some(exit) = ended.status.code().and_then(transcript::exit_of) else {
            let says = ended.errors.trim();
            return Err(QemuError::UnexpectedExit {
                status: ended.status.to_string(),
                says: if says.is_empty() { "(nothing)".into() } else { says.into() },
            });
        };
        transcript::read(&ended.output, exit)
    }
}

/// microvm boots fastest, and has nothing that could disturb a test.
fn arguments(kernel: &str, append: &str, accelerator: Accelerator) -> Vec<String> {
    let mut arguments = vec!["-machine", "microvm"];
    arguments.extend(accelerator.arguments());
    arguments.extend(["-m", "64", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]);
    arguments.extend(["-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]);
    arguments.extend(["-kernel", kernel, "-append", append]);
    arguments.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_the_documented_one() {
        let line = arguments("IMAGE", "delivery=idt", Accelerator::Tcg).join(" ");
        assert!(line.starts_with("-machine microvm -accel tcg -cpu max "), "{line}");
        assert!(line.ends_with("-kernel IMAGE -append delivery=idt"), "{line}");
        assert!(!arguments("IMAGE", "", Accelerator::Kvm).contains(&"-cpu".to_owned()));
    }

    #[test]
    fn an_absent_program_is_a_sentence_with_a_remedy() {
        let sentence = QemuError::Missing.to_string();
        assert!(sentence.contains("not in PATH") && sentence.contains("apt install"), "{sentence}");
    }
}
