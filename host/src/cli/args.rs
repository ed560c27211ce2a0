//! Options and their meaning.

mod between;

pub(super) use between::{DestinationArgs, KeeperArgs, MigrateArgs, WorkerArgs};

use crate::on_kernel::DEFAULT_EMULATOR;
use crate::scenario::Delivery;
use crate::stops::storm::StormBounds;
use clap::{Args, Parser, Subcommand, ValueEnum};
use kvm::DEVICE;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Cuts FRED event delivery half-way and tells whether the event data survived.
#[derive(Debug, Parser)]
#[command(
    name = "midflight",
    version,
    after_help = "Exit codes: 0 nothing failed; 1 a failure, a known issue that did not show, or a warning of this \
                  host's kernel; 2 an error of the harness or of its input."
)]
pub struct Cli {
    /// Image file to use instead of the built-in images (repeatable)
    #[arg(long = "image", value_name = "FILE", global = true)]
    pub images: Vec<PathBuf>,
    /// The KVM device
    #[arg(long, value_name = "FILE", global = true, default_value = DEVICE)]
    pub kvm: PathBuf,
    /// What was typed before the arguments of this midflight, for commands that repeat them
    #[arg(long, global = true, hide = true)]
    pub called_as: Option<OsString>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run scenarios
    Run(RunArgs),
    /// Print the ids of scenarios
    List(ListArgs),
    /// Run every behaviour of the model and say which cases catch it
    Mutants(MutantsArgs),
    /// Stop every memory access of each delivery, alone and in pairs, on the model
    Explore(ExploreArgs),
    /// Tell the story of one scenario on the model, step by step
    Trace(TraceArgs),
    /// Run the same guests on two machines and say where they first differ
    Compare(CompareArgs),
    /// Let a guest that is cut here go on in another midflight, or receive one
    Migrate(MigrateArgs),
    /// Say what this host can and cannot test
    Doctor,
    /// Boot a Linux kernel in an emulator and run midflight there, on that kernel's KVM
    OnKernel(OnKernelArgs),
    /// The name that `on-kernel` had
    #[command(hide = true, disable_help_flag = true)]
    Nested(RenamedArgs),
    /// Run scenarios for a parent process
    #[command(hide = true)]
    Worker(WorkerArgs),
    /// Receive a guest from a parent process
    #[command(hide = true)]
    Destination(DestinationArgs),
    /// Keep the file of a parent's unix socket
    #[command(hide = true)]
    Keeper(KeeperArgs),
}

impl Command {
    /// Whether a signal that ends it is to leave a summary of what was done. The others are ended by the
    /// signal itself.
    pub(super) fn ends_with_a_summary(&self) -> bool {
        match self {
            Self::Run(_) | Self::Mutants(_) | Self::Explore(_) | Self::Compare(_) => true,
            Self::List(_)
            | Self::Trace(_)
            | Self::Migrate(_)
            | Self::Doctor
            | Self::OnKernel(_)
            | Self::Nested(_) => false,
            Self::Worker(_) | Self::Destination(_) | Self::Keeper(_) => false,
        }
    }
}

/// A machine by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MachineName {
    /// This host's KVM
    Kvm,
    /// The software machine
    Model,
    /// QEMU
    Qemu,
}

impl MachineName {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Model => "model",
            Self::Qemu => "qemu",
        }
    }
}

/// How a run is reported on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Human,
    /// One JSON object per line
    Json,
    /// JUnit XML
    Junit,
}

/// Options of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// An image, one or more whole components of ids, or a pattern with `*`; without any, every scenario
    #[arg(value_name = "FILTER")]
    pub filters: Vec<String>,
    /// A filter that matches nothing is no error, as long as another matches
    #[arg(long)]
    pub allow_empty: bool,
    /// Only this machine; without it, every machine that this host has
    #[arg(long)]
    pub machine: Option<MachineName>,
    /// Only this delivery
    #[arg(long)]
    pub delivery: Option<Delivery>,
    /// Behaviour of the model; implies `--machine model`
    #[arg(long, value_name = "NAME")]
    pub behaviour: Option<String>,
    /// What the host must have, else the run is an error: kvm, qemu, fred, xfd, amx
    #[arg(long, value_name = "NEED,…", value_delimiter = ',')]
    pub require: Vec<String>,
    /// How to report
    #[arg(long, value_enum, default_value = "human")]
    pub format: Format,
    /// Report each captured frame
    #[arg(long)]
    pub frames: bool,
    /// How long a scenario may take, in seconds
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    pub timeout: Duration,
    /// How often each scenario runs; the worst is reported
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,
    /// After so many proved cuts a storm ends
    #[arg(long, value_name = "K", default_value_t = StormBounds::DEFAULT.cuts, value_parser = clap::value_parser!(u32).range(1..))]
    pub storm_cuts: u32,
    /// How long a storm may last, in seconds; must be less than `--timeout`
    #[arg(long, value_name = "T", default_value_t = StormBounds::DEFAULT.time.as_secs_f64(), value_parser = number_of_seconds)]
    pub storm_seconds: f64,
    /// A list of known issues to use instead of the built-in one
    #[arg(long, value_name = "FILE")]
    pub known_issues: Option<PathBuf>,
    /// What only you know of this host: fred_series=NAME, the FRED series its KVM was built with
    #[arg(long = "host-fact", value_name = "NAME=VALUE")]
    pub host_facts: Vec<String>,
    /// The kernel's log, watched for warnings during the run; without it, /dev/kmsg where it can be read
    #[arg(long, value_name = "FILE")]
    pub kernel_log: Option<PathBuf>,
}

/// Options of `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// An image, one or more whole components of ids, or a pattern with `*`
    #[arg(value_name = "FILTER")]
    pub filters: Vec<String>,
    /// A filter that matches nothing is no error, as long as another matches
    #[arg(long)]
    pub allow_empty: bool,
    /// Print cases with their rules instead of scenario ids
    #[arg(long)]
    pub cases: bool,
}

/// Options of `mutants`.
#[derive(Debug, Args)]
pub struct MutantsArgs {
    /// Print docs/behaviours.md instead of the full matrix
    #[arg(long)]
    pub markdown: bool,
    /// How long a scenario may take, in seconds
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    pub timeout: Duration,
}

/// Options of `explore`.
#[derive(Debug, Args)]
pub struct ExploreArgs {
    /// An image, one or more whole components of `image/case:delivery`, or a pattern with `*`
    #[arg(value_name = "FILTER")]
    pub filters: Vec<String>,
    /// Behaviour of the model
    #[arg(long, value_name = "NAME")]
    pub behaviour: Option<String>,
    /// How many schedules at most
    #[arg(long, default_value = "1000000")]
    pub count: usize,
    /// How long at most, in seconds
    #[arg(long, value_name = "S", default_value = "60", value_parser = seconds)]
    pub time: Duration,
    /// How long a schedule may take, in seconds
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    pub timeout: Duration,
    /// Print the ids of the schedules instead of running them
    #[arg(long)]
    pub list: bool,
}

/// Options of `on-kernel`.
#[derive(Debug, Args)]
pub struct OnKernelArgs {
    /// The kernel to boot, a bzImage; without it, the one that this host runs
    #[arg(long, value_name = "VMLINUZ")]
    pub kernel: Option<PathBuf>,
    /// The directory with its modules: lib/modules/VERSION, or a build tree; not needed where KVM is built in
    #[arg(long, value_name = "DIR", requires = "kernel")]
    pub modules: Option<PathBuf>,
    /// Words to add to the kernel's command line (repeatable)
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    pub append: Vec<String>,
    /// The emulator's command line; -serial, -kernel, -initrd and -append are added to it
    #[arg(long, value_name = "CMD", default_value = DEFAULT_EMULATOR)]
    pub emulator: String,
    /// How long all of it may take, in seconds
    #[arg(long, value_name = "S", default_value = "600", value_parser = seconds)]
    pub timeout: Duration,
    /// File to take along, at the same path inside (repeatable)
    #[arg(long = "file", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Arguments of the midflight inside, as in `-- run --machine kvm`
    #[arg(last = true, required = true, value_name = "ARGS")]
    pub arguments: Vec<OsString>,
}

/// Options of a command that has another name now: whatever they are.
#[derive(Debug, Args)]
pub struct RenamedArgs {
    /// All of them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<OsString>,
}

/// Options of `trace`.
#[derive(Debug, Args)]
pub struct TraceArgs {
    /// The id of a scenario
    pub scenario: String,
    /// Behaviour of the model
    #[arg(long, value_name = "NAME")]
    pub behaviour: Option<String>,
    /// How long it may take, in seconds
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    pub timeout: Duration,
}

/// How a comparison is reported on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CompareFormat {
    /// For people
    Human,
    /// One JSON object per line
    Json,
}

/// Options of `compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// The name of an image, or an image file; without it, every image
    #[arg(value_name = "IMAGE")]
    pub image: Option<String>,
    /// The two machines
    #[arg(long, value_name = "A,B", value_delimiter = ',', default_value = "kvm,model")]
    pub machines: Vec<MachineName>,
    /// Behaviour of the model; of the second one where both machines are the model
    #[arg(long, value_name = "NAME")]
    pub behaviour: Option<String>,
    /// Only this delivery
    #[arg(long)]
    pub delivery: Option<Delivery>,
    /// Only the case of this name
    #[arg(long, value_name = "NAME")]
    pub case: Option<String>,
    /// Let guests migrate between the two in mid-delivery, in every direction, and judge them
    #[arg(long)]
    pub migrate: bool,
    /// How to report
    #[arg(long, value_enum, default_value = "human")]
    pub format: CompareFormat,
    /// How long a case may take, in seconds
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    pub timeout: Duration,
    /// A list of known issues to use instead of the built-in one
    #[arg(long, value_name = "FILE")]
    pub known_issues: Option<PathBuf>,
    /// What only you know of this host: fred_series=NAME, the FRED series its KVM was built with
    #[arg(long = "host-fact", value_name = "NAME=VALUE")]
    pub host_facts: Vec<String>,
}

/// Longest timeout that makes sense, in seconds: a day.
const LONGEST: f64 = 86_400.0;

fn seconds(text: &str) -> Result<Duration, String> {
    number_of_seconds(text).map(Duration::from_secs_f64)
}

fn number_of_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= LONGEST => Ok(seconds),
        _ => Err(format!("give a number of seconds above 0 and at most {LONGEST}")),
    }
}
