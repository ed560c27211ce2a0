//! Options of `run`.

use super::{BochsArgs, EndArgs, PartArgs, QemuArgs, ReportingArgs, StormArgs, WatchArgs, seconds};
use crate::kernel_log::DEVICE as LOG;
use crate::machines::{MachineKind, MachineOptions};
use crate::scenario::DeliveryMode;
use clap::Args;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Options of `run`.
#[derive(Args)]
pub(crate) struct RunArgs {
    /// An image, one or more whole components of ids, or a pattern with `*`; without any, every scenario
    #[arg(value_name = "FILTER")]
    pub(crate) filters: Vec<String>,
    /// A filter that matches nothing is not an error if another one matches
    #[arg(long)]
    pub(crate) allow_empty: bool,
    /// Which of the scenarios that the filters mean.
    #[command(flatten)]
    pub(crate) part: PartArgs,
    /// Run on this machine only; default: every machine that this host has
    #[arg(long)]
    pub(crate) machine: Option<MachineKind>,
    /// Only this delivery
    #[arg(long)]
    pub(crate) delivery: Option<DeliveryMode>,
    /// Behaviour of the model; implies `--machine model`
    #[arg(long, value_name = "NAME")]
    pub(crate) behaviour: Option<String>,
    /// Which Bochs.
    #[command(flatten)]
    pub(crate) bochs: BochsArgs,
    /// Which QEMU.
    #[command(flatten)]
    pub(crate) qemu: QemuArgs,
    /// A feature that the host must have, else the run is an error: kvm, qemu, bochs, fred, xfd, amx
    #[arg(long, value_name = "NEED,…", value_delimiter = ',')]
    pub(crate) require: Vec<String>,
    #[command(flatten)]
    pub(crate) report: ReportingArgs,
    #[command(flatten)]
    pub(crate) end: EndArgs,
    /// Only what failed in an earlier run, each on its machine: FILE is what `--format json` wrote
    #[arg(long, value_name = "FILE")]
    pub(crate) rerun_failed: Option<PathBuf>,
    /// The seed of the storms, in place of 0; their ids have it
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u32>,
    /// How many scenarios run at a time; without it, as many as there are processors
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Print the ids of the scenarios that would run, as `midflight list` does, and run none
    #[arg(long)]
    pub(crate) list: bool,
    /// Report each captured frame
    #[arg(long)]
    pub(crate) frames: bool,
    /// Time limit per scenario, in seconds
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// Run each scenario N times; the worst outcome is reported
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) repeat: u32,
    #[command(flatten)]
    pub(crate) storm: StormArgs,
    #[command(flatten)]
    pub(crate) watch: WatchArgs,
    /// Write the id of each scenario to the kernel's log, or to FILE, before it runs on kvm; without this option, to the
    /// kernel's log where root runs this with CI=true in the environment
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = LOG)]
    pub(crate) kmsg: Option<PathBuf>,
}

impl RunArgs {
    /// What it says of machines.
    pub(in crate::cli) fn machine_options<'a>(&'a self, kvm: &'a Path) -> MachineOptions<'a> {
        let (bochs, qemu) = (self.bochs.options(), self.qemu.options());
        MachineOptions { kvm, behaviour: self.behaviour.as_deref(), bochs, qemu }
    }
}
