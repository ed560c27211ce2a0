//! QEMU as a machine: driven over QMP, it boots images, saves guests and loads them.
//!
//! An image also runs alone in it, as on bare metal: it judges its cases itself and prints a line for
//! each. The verdicts are taken from those lines *and* from the process's exit code then, and a run in
//! which the two disagree is an error.
//!
//! | module | holds |
//! |---|---|
//! | `driven` | a QEMU that is driven |
//! | `error` | why a run has no verdicts |
//! | `monitor` | asks a QEMU that is late where its guest is |
//! | `process` | the child process |
//! | `tried` | whether the program that was found is a QEMU that runs guests |

mod driven;
mod error;
mod monitor;
mod process;
mod tried;

use super::described::{Described, MachineOptions, Opened, QemuOptions, Quirks, Unavailable, no_behaviour};
use super::emulator::{BootError, Emulator};
use super::transcript::{self, ImageRun};
use crate::deadline::Deadline;
use crate::image::{DeliveryMode, Image};
use crate::process::MemoryFile;
use clap::ValueEnum;
pub use driven::Side;
pub use error::{PROGRAM, QemuError};
use monitor::Monitor;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tried::Program;
pub use tried::{TRY, TriedQemu};

/// How QEMU runs the guest's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum, strum::Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Accelerator {
    /// In software
    Tcg,
    /// On /dev/kvm
    Kvm,
}

impl Accelerator {
    /// `-cpu max` has every feature. On a KVM it aborts QEMU in some places, so it is asked for where it has FRED.
    fn cpu(self, fred: bool) -> Option<&'static str> {
        (self == Self::Tcg || fred).then_some("max")
    }

    fn arguments(self, fred: bool) -> Vec<String> {
        let cpu = self.cpu(fred).map(|model| ["-cpu".to_owned(), model.to_owned()]);
        ["-accel".to_owned(), self.to_string()].into_iter().chain(cpu.into_iter().flatten()).collect()
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
    /// The program that migrated guests continue in, if it is another.
    pub destination: Option<PathBuf>,
    /// How both run the guest's code: the first that works.
    pub accelerators: Vec<Accelerator>,
}

impl Default for Qemu {
    fn default() -> Self {
        Self { program: PROGRAM.into(), destination: None, accelerators: vec![Accelerator::Tcg] }
    }
}

impl Qemu {
    pub(super) fn asked(asked: &MachineOptions<'_>) -> Result<Self, String> {
        no_behaviour(&QUIRKS, asked)?;
        let QemuOptions { program, destination, accelerator } = asked.qemu;
        let accelerators = match accelerator {
            Some(accelerator) => vec![accelerator],
            // QEMU knows one KVM device.
            None if asked.kvm == Path::new(kvm::DEVICE) && asked.kvm.exists() => {
                vec![Accelerator::Kvm, Accelerator::Tcg]
            }
            None => vec![Accelerator::Tcg],
        };
        let program = program.unwrap_or(Path::new(PROGRAM)).to_owned();
        Ok(Self { program, destination: destination.map(Path::to_owned), accelerators })
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
        Ok(Opened::Qemu(Box::new(tried)))
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
        let lacks = delivery == DeliveryMode::Fred && !self.fred;
        lacks.then(|| format!("{} has no FRED here", self.version))
    }

    fn boot(&self, image: &Image, append: &str, deadline: Instant) -> Result<ImageRun, BootError> {
        Ok(self.run(&image.file, append, deadline)?)
    }
}

impl TriedQemu {
    fn run(&self, image: &[u8], append: &str, deadline: Instant) -> Result<ImageRun, QemuError> {
        let file = MemoryFile::new(image).map_err(process::system("handing the image to QEMU"))?;
        let monitor = Monitor::new().map_err(process::system("making a socket for QEMU's monitor"))?;
        let mut arguments = arguments(&file.path(), append, self.processor());
        arguments.extend(monitor.arguments());
        let deadline = Deadline::after(deadline.saturating_duration_since(Instant::now()));
        let ended = process::run(&self.program.file, &arguments, Some(monitor), &deadline)?;
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
fn arguments(kernel: &str, append: &str, processor: Vec<String>) -> Vec<String> {
    let mut arguments = vec!["-machine".to_owned(), "microvm".to_owned()];
    arguments.extend(processor);
    arguments.extend(["-m", "64", "-serial", "stdio"].map(str::to_owned));
    arguments.extend(quiet(kernel, append));
    arguments
}

/// An image, and nothing that is not needed.
fn quiet(kernel: &str, append: &str) -> Vec<String> {
    let mut arguments = vec!["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"];
    arguments.extend(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]);
    arguments.extend(["-kernel", kernel, "-append", append]);
    arguments.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_the_documented_one() {
        let line = arguments("IMAGE", "delivery=idt", Accelerator::Tcg.arguments(false)).join(" ");
        assert!(line.starts_with("-machine microvm -accel tcg -cpu max "), "{line}");
        assert!(line.ends_with("-kernel IMAGE -append delivery=idt"), "{line}");
        assert_eq!(Accelerator::Kvm.arguments(false), ["-accel", "kvm"]);
        assert_eq!(Accelerator::Kvm.arguments(true), ["-accel", "kvm", "-cpu", "max"]);
    }

    #[test]
    fn an_absent_program_is_a_sentence_with_a_remedy() {
        let sentence = QemuError::Missing.to_string();
        assert!(sentence.contains("not in PATH") && sentence.contains("apt install"), "{sentence}");
    }
}
