//! Options of `on-kernel`.

use super::seconds;
use crate::on_kernel::DEFAULT_EMULATOR;
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
    /// The emulator's command line; -serial, -kernel, -initrd and -append are added to it
    #[arg(long, value_name = "CMD", default_value = DEFAULT_EMULATOR)]
    pub(crate) emulator: String,
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
