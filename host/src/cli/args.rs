//! Options and their meaning.

mod compare;
mod debug;
mod groups;
mod guest;
mod on_kernel;
mod package;
mod report;
mod repro;
mod run;

pub(super) use compare::CompareArgs;
pub(super) use debug::DebugArgs;
use groups::{BochsArgs, QemuArgs};
pub(super) use groups::{EndArgs, KnownArgs, PartArgs, ReportingArgs, StormArgs, WatchArgs};
pub(super) use guest::{ResumeArgs, SaveArgs};
pub(super) use on_kernel::OnKernelArgs;
pub(super) use package::{CompletionsArgs, ManArgs};
pub(super) use report::{MatrixFormat, ReportArgs};
pub(super) use repro::ReproArgs;
pub(crate) use run::RunArgs;

use super::doctor::DoctorFormat;
use super::list::ListFormat;
use crate::version;
use clap::{Args, Parser, Subcommand};
use kvm::DEVICE;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Stops FRED event delivery before it completes and checks whether the event data survives.
#[derive(Parser)]
#[command(
    name = "midflight",
    version = version::VERSION,
    long_version = version::LONG,
    after_help = "Exit codes: 0 nothing failed; 1 a failure, a known issue that did not show, or a warning of this \
                  host's kernel; 2 an error of the harness or of its input."
)]
pub(crate) struct Cli {
    /// Image file to use instead of the built-in images (repeatable)
    #[arg(long = "image", value_name = "FILE", global = true)]
    pub(crate) images: Vec<PathBuf>,
    /// The KVM device
    #[arg(long, value_name = "FILE", global = true, default_value = DEVICE)]
    pub(crate) kvm: PathBuf,
    /// The command line that started this midflight in another process or kernel, for the commands in its report
    #[arg(long, global = true, hide = true)]
    pub(crate) called_as: Option<OsString>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The command.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run scenarios
    Run(RunArgs),
    /// Print the ids of scenarios
    List(ListArgs),
    /// Make one page of HTML of the results that `run --format json` wrote
    Report(ReportArgs),
    /// Run every behaviour of the model and report which cases catch it
    Mutants(MutantsArgs),
    /// Stop every memory access of each delivery, alone and in pairs, on the model
    Explore(ExploreArgs),
    /// Say what a scenario does, which rule it proves, and where the manual has it
    Show(ShowArgs),
    /// Trace one scenario on the model, step by step
    Trace(TraceArgs),
    /// Stop a scenario in its delivery and serve the guest to gdb
    Debug(DebugArgs),
    /// Make a directory with all that is needed to repeat a scenario on another machine
    Repro(ReproArgs),
    /// Run the same guests on two machines and report the first difference
    Compare(CompareArgs),
    /// Run a guest up to its cut, and save it to standard output for `resume`
    Save(SaveArgs),
    /// Read a guest that `save` wrote, run it to the end of its case, and judge it
    Resume(ResumeArgs),
    /// The former name of `save` and `resume`
    #[command(hide = true, disable_help_flag = true)]
    Migrate(RenamedArgs),
    /// Report what this host can and cannot test
    Doctor(DoctorArgs),
    /// Boot a Linux kernel in an emulator and run midflight there, on that kernel's KVM
    OnKernel(OnKernelArgs),
    /// The former name of `on-kernel`
    #[command(hide = true, disable_help_flag = true)]
    Nested(RenamedArgs),
    /// Print completions for a shell
    Completions(CompletionsArgs),
    /// Print a manual page
    Man(ManArgs),
    /// Run scenarios for a parent process
    #[command(hide = true)]
    Worker,
    /// Receive a guest from a parent process
    #[command(hide = true)]
    Destination,
}

impl Command {
    /// Whether it prints a summary when a signal ends it. The others are ended by the
    /// signal itself.
    pub(super) fn ends_with_a_summary(&self) -> bool {
        match self {
            Self::Run(_) | Self::Mutants(_) | Self::Explore(_) | Self::Compare(_) | Self::OnKernel(_) => true,
            Self::List(_) | Self::Show(_) | Self::Trace(_) | Self::Report(_) => false,
            Self::Save(_) | Self::Resume(_) | Self::Repro(_) | Self::Debug(_) => false,
            Self::Doctor(_) | Self::Nested(_) | Self::Migrate(_) => false,
            Self::Completions(_) | Self::Man(_) => false,
            Self::Worker | Self::Destination => false,
        }
    }
}

/// Options of `list`.
#[derive(Args)]
pub(crate) struct ListArgs {
    /// An image, one or more whole components of ids, or a pattern with `*`
    #[arg(value_name = "FILTER")]
    pub(crate) filters: Vec<String>,
    /// A filter that matches nothing is not an error if another one matches
    #[arg(long)]
    pub(crate) allow_empty: bool,
    /// Which of the scenarios that the filters mean.
    #[command(flatten)]
    pub(crate) part: PartArgs,
    /// Print cases with their rules instead of scenario ids
    #[arg(long, conflicts_with = "format")]
    pub(crate) cases: bool,
    /// How to print
    #[arg(long, value_enum, default_value = "human")]
    pub(crate) format: ListFormat,
}

/// Options of `doctor`.
#[derive(Args)]
pub(crate) struct DoctorArgs {
    /// What must be there, else the exit code is 1: kvm, qemu, bochs, fred, xfd, amx, or what the table has for kvm, as
    /// in block@frame, storm, nmi
    #[arg(long, value_name = "NEED,…", value_delimiter = ',')]
    pub(crate) require: Vec<String>,
    /// How to report
    #[arg(long, value_enum, default_value = "human")]
    pub(crate) format: DoctorFormat,
}

/// Options of `mutants`.
#[derive(Args)]
pub(crate) struct MutantsArgs {
    /// How to report
    #[arg(long, value_enum, default_value = "human")]
    pub(crate) format: MatrixFormat,
    /// The same as `--format markdown`
    #[arg(long, conflicts_with = "format")]
    pub(crate) markdown: bool,
    /// Run every scenario with the wrong behaviours too, not only a selection and what no wrong behaviour before has
    /// failed
    #[arg(long, conflicts_with = "markdown")]
    pub(crate) all: bool,
    /// Time limit per scenario, in seconds
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    pub(crate) timeout: Duration,
}

/// Options of `explore`.
#[derive(Args)]
pub(crate) struct ExploreArgs {
    /// An image, one or more whole components of `image/case:delivery`, or a pattern with `*`
    #[arg(value_name = "FILTER")]
    pub(crate) filters: Vec<String>,
    /// Behaviour of the model
    #[arg(long, value_name = "NAME")]
    pub(crate) behaviour: Option<String>,
    /// Maximum number of schedules
    #[arg(long, default_value = "1000000")]
    pub(crate) count: usize,
    /// Maximum duration, in seconds
    #[arg(long, value_name = "S", default_value = "60", value_parser = seconds)]
    pub(crate) time: Duration,
    /// Time limit per schedule, in seconds
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// Print the ids of the schedules instead of running them
    #[arg(long)]
    pub(crate) list: bool,
}

/// Options of a command that was renamed; they are not parsed.
#[derive(Args)]
pub(crate) struct RenamedArgs {
    /// All of them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<OsString>,
}

/// Options of `show`.
#[derive(Args)]
pub(crate) struct ShowArgs {
    /// The id of a scenario
    pub(crate) scenario: String,
}

/// Options of `trace`.
#[derive(Args)]
pub(crate) struct TraceArgs {
    /// The id of a scenario
    pub(crate) scenario: String,
    /// Behaviour of the model
    #[arg(long, value_name = "NAME")]
    pub(crate) behaviour: Option<String>,
    /// Time limit, in seconds
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    pub(crate) timeout: Duration,
}

/// Longest accepted timeout, in seconds: a day.
const LONGEST: f64 = 86_400.0;

fn seconds(text: &str) -> Result<Duration, String> {
    number_of_seconds(text).map(Duration::from_secs_f64)
}

fn number_of_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= LONGEST => Ok(seconds),
        _ => Err(format!("give a number of seconds greater than 0 and at most {LONGEST}")),
    }
}
