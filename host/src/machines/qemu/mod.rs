//! QEMU as a machine, in its simplest form: an external process that boots one image.
//!
//! No snapshots and no stops: the image runs alone, judges its cases itself and prints a line for
//! each. The verdicts are taken from those lines *and* from the process's exit code, and a run in
//! which the two disagree is an error.
//!
//! | module | holds |
//! |---|---|
//! | `error` | why a run has no verdicts |
//! | `monitor` | asks a QEMU that is late where its guest is |
//! | `process` | the child process |
//! | `tried` | whether the program that was found is a QEMU that runs guests |

mod error;
mod monitor;
mod process;
mod tried;

use super::described::{Described, MachineOptions, Opened, Quirks, Unavailable, no_behaviour};
use super::emulator::{BootError, Emulator};
use super::transcript::{self, ImageRun};
use crate::image::{DeliveryMode, Image};
use crate::process::MemoryFile;
pub use error::{PROGRAM, QemuError};
use monitor::Monitor;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::time::Instant;
pub use tried::{TRY, TriedQemu};

/// How QEMU runs the guest's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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

/// What is peculiar to QEMU.
pub(super) static QUIRKS: Quirks =
    Quirks { name: "qemu", stops: false, has_known_issues: true, ..Quirks::ORDINARY };

/// QEMU by the name of its program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Qemu {
    /// The program, looked for in PATH.
    pub program: PathBuf,
    /// How it runs the guest's code.
    pub accelerator: Accelerator,
}

impl Default for Qemu {
    fn default() -> Self {
        Self { program: PROGRAM.into(), accelerator: Accelerator::Tcg }
    }
}

impl Qemu {
    pub(super) fn asked(asked: &MachineOptions<'_>) -> Result<Self, String> {
        no_behaviour(&QUIRKS, asked)?;
        Ok(Self::default())
    }
}

impl fmt::Display for Qemu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(QUIRKS.name)
    }
}

impl Described for Qemu {
    fn quirks(&self) -> &'static Quirks {
        &QUIRKS
    }

    fn open(&self) -> Result<Opened, Unavailable> {
        let tried = self.tried(TRY).map_err(|error| Unavailable(error.to_string()))?;
        Ok(Opened::Emulator(Box::new(tried)))
    }

    fn doctor(&self) -> Option<String> {
        Some(self.tried(TRY).map_or_else(|error| error.to_string(), |tried| tried.version))
    }
}

impl Emulator for TriedQemu {
    fn name(&self) -> &'static str {
        "QEMU"
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn lacks(&self, delivery: DeliveryMode) -> Option<String> {
        (delivery == DeliveryMode::Fred).then(|| format!("{} has no FRED here", self.version))
    }

    fn boot(&self, image: &Image, append: &str, deadline: Instant) -> Result<ImageRun, BootError> {
        Ok(self.run(&image.file, append, deadline)?)
    }
}

impl TriedQemu {
    fn run(&self, image: &[u8], append: &str, deadline: Instant) -> Result<ImageRun, QemuError> {
        let file = MemoryFile::new(image).map_err(process::system("handing the image to QEMU"))?;
        let monitor = Monitor::new().map_err(process::system("making a socket for QEMU's monitor"))?;
        let mut arguments = arguments(&file.path(), append, self.accelerator);
        arguments.extend(monitor.arguments());
        let ended = process::run(&self.program, &arguments, Some(monitor), deadline)?;
        let Some(exit) = ended.status.code().and_then(transcript::exit_of) else {
            let says = ended.errors.trim();
            return Err(QemuError::UnexpectedExit {
                status: ended.status.to_string(),
                says: if says.is_empty() { "(nothing)".into() } else { says.into() },
            });
        };
        Ok(transcript::read(&ended.output, exit)?)
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
