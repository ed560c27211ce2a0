//! Options of `on-kernel`.

use super::groups::BochsArgs;
use super::seconds;
use crate::cli::error::CliError;
use crate::on_kernel::Emulator;
use clap::Args;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// Options of `on-kernel`.
#[derive(Args)]
pub(crate) struct OnKernelArgs {
    /// The kernel to boot, a bzImage; without it, the one that this host runs
    #[arg(long, value_name = "VMLINUZ")]
    pub(crate) kernel: Option<PathBuf>,
    /// The directory with its modules: lib/modules/VERSION, or a build tree; not needed where KVM is built in
    #[arg(long, value_name = "DIR", requires = "kernel")]
    pub(crate) modules: Option<PathBuf>,
    /// Arguments to add to the kernel's command line (repeatable)
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    pub(crate) append: Vec<String>,
    /// The emulator: qemu (kvm_amd), bochs (kvm_intel), or a command line that takes QEMU's options -serial, -kernel,
    /// -initrd and -append; default: bochs if an option names one, else qemu
    #[arg(long, value_name = "qemu|bochs|CMD")]
    pub(crate) emulator: Option<String>,
    /// Which Bochs.
    #[command(flatten)]
    pub(crate) bochs: BochsArgs,
    /// Only try whether a KVM can run in the emulator, and print which one it is
    #[arg(long, conflicts_with_all = ["kernel", "all", "arguments"])]
    pub(crate) try_emulator: bool,
    /// Time limit for the whole run, in seconds
    #[arg(long, value_name = "S", default_value = "600", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// File to copy into the initrd, at the same path (repeatable)
    #[arg(long = "file", value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Run every scenario, not only the selection of `run --cover`
    #[arg(long, conflicts_with = "arguments")]
    pub(crate) all: bool,
    /// How many emulators share the scenarios of a `run`; without it, as many as there are processors
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Arguments of the midflight inside; without any, `run --machine kvm --cover`
    #[arg(last = true, value_name = "ARGS")]
    pub(crate) arguments: Vec<OsString>,
}

impl OnKernelArgs {
    /// The emulator that is meant.
    pub(crate) fn emulator(&self) -> Result<Emulator, CliError> {
        let BochsArgs { bochs: program, bochs_cpu: cpu } = &self.bochs;
        let bochs = || Emulator::Bochs { program: program.clone(), cpu: cpu.clone() };
        let names_bochs = program.is_some() || cpu.is_some();
        match self.emulator.as_deref() {
            Some("bochs") => Ok(bochs()),
            None if names_bochs => Ok(bochs()),
            Some(other) if names_bochs => Err(CliError::Usage(format!(
                "--bochs and --bochs-cpu are for Bochs, and --emulator is `{other}`"
            ))),
            None | Some("qemu") => Ok(Emulator::Qemu),
            Some(line) => Ok(Emulator::Command(line.to_owned())),
        }
    }
}
