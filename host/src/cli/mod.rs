//! The command line.
//!
//! Exit codes: 0 nothing failed; 1 a failure, a known issue that did not show, or a warning of this
//! host's kernel; 2 an error of the harness or of its input.

mod again;
mod args;
mod compare;
mod doctor;
mod explore;
mod guest;
mod host;
mod known;
mod list;
mod mounted;
mod mutants;
mod on_kernel;
mod resume;
mod run;
mod save;
mod select;
mod tell;
mod trace;

use args::Cli;

use crate::ending::{self, Signal};
use crate::engine::serve::{Terms, serve};
use crate::engine::worker::WorkerError;
use crate::image::Image;
use crate::images::{self, ImagesError};
use crate::migration::MigrationError;
use crate::migration::process::Destination;
use crate::on_kernel::OnKernelError;
use crate::report::known::KnownIssuesError;
use crate::scenario::filter::InvalidFilter;
use again::Given;
use args::{Command, WorkerArgs};
use clap::{CommandFactory, FromArgMatches};
use kvm::KvmMachine;
use std::io::{BufReader, stdin, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use vm::VcpuError;

/// The command cannot be carried out: exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// There is no image to run, or one cannot be used.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// A machine cannot be used.
    #[error(transparent)]
    Machine(#[from] VcpuError),
    /// A worker process cannot be used.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// the kernel under test gave no result.
    #[error(transparent)]
    OnKernel(#[from] OnKernelError),
    /// A guest cannot be resumed.
    #[error(transparent)]
    Migration(#[from] MigrationError),
    /// The list of known issues cannot be used.
    #[error(transparent)]
    KnownIssues(#[from] KnownIssuesError),
    /// A file cannot be read.
    #[error("{file}: {error}")]
    File {
        /// Its name.
        file: String,
        /// What happened.
        error: std::io::Error,
    },
    /// A filter names nothing.
    #[error(transparent)]
    Filter(#[from] InvalidFilter),
    /// A filter matches nothing.
    #[error("no scenario matches `{filter}`{}; `midflight list` prints every id", meant(.near))]
    NoMatch {
        /// The filter.
        filter: String,
        /// What may have been meant, the nearest first.
        near: Vec<String>,
    },
    /// The selection is empty.
    #[error("no scenario is left to run on {0}")]
    NothingSelected(String),
    /// A file system that everything depends on is not there.
    #[error("{at} is not mounted: {why}; as root: mount -t {kind} {kind} {at}")]
    NotMounted {
        /// Where it belongs.
        at: &'static str,
        /// What needs it.
        why: &'static str,
        /// Its type.
        kind: &'static str,
    },
    /// A need given with `--require` is not met.
    #[error("--require {need}: {reason}")]
    Required {
        /// The need.
        need: String,
        /// Why it is not met.
        reason: String,
    },
    /// Options that do not go together, or make no sense.
    #[error("{0}")]
    Usage(String),
    /// A guest that was saved cannot be written.
    #[error("the guest cannot be written: {0}")]
    Guest(std::io::Error),
    /// The report cannot be written.
    #[error("the report cannot be written: {0}")]
    Output(#[from] std::io::Error),
}

fn meant(near: &[String]) -> String {
    if near.is_empty() {
        return String::new();
    }
    format!("; did you mean `{}`?", near.join("`, `"))
}

/// Carries out the command line of this process.
pub fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let given = Given::of(&matches);
    if cli.command.ends_with_a_summary()
        && let Err(error) = ending::watch()
    {
        eprintln!("midflight: signals cannot be watched for: {error}");
        return ExitCode::from(2);
    }
    let done = match cli.command {
        Command::Run(args) => run::run(&args, &cli.images, &cli.kvm, &given),
        Command::List(args) => list::list(&args, &cli.images),
        Command::Mutants(args) => mutants::mutants(&args, &cli.images),
        Command::Explore(args) => explore::run(&args, &cli.images, &given),
        Command::Trace(args) => trace::trace(&args, &cli.images, &given),
        Command::Compare(args) => compare::compare(&args, &cli.images, &cli.kvm, &given),
        Command::Doctor => doctor::doctor(&cli.images, &cli.kvm, &given),
        Command::OnKernel(args) => on_kernel::on_kernel(&args, &cli.images, &given),
        Command::Nested(_) => {
            Err(CliError::Usage("`midflight nested` is called `midflight on-kernel` now".to_owned()))
        }
        Command::Save(args) => save::save(&args, &cli.images, &cli.kvm, &given),
        Command::Resume(args) => resume::resume(&args, &cli.kvm, &given),
        Command::Migrate(_) => Err(CliError::Usage(
            "midflight migrate is now midflight save and midflight resume: \
             `midflight save ID | ssh there midflight resume`"
                .to_owned(),
        )),
        Command::Destination(args) => guest::destination(&args, &cli.kvm),
        Command::Worker(args) => worker(&args, &cli.images, &cli.kvm),
    };
    let code = match done {
        Ok(code) => code,
        // Whoever read the report has seen enough of it; nobody is told what it came to.
        Err(CliError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => 2,
        Err(error) => {
            eprintln!("midflight: {error}");
            2
        }
    };
    // What it came to is one thing; that it was told to end is another, and comes first.
    ExitCode::from(ending::told().map_or(code, Signal::exit_code))
}

fn worker(args: &WorkerArgs, files: &[PathBuf], kvm: &Path) -> Result<u8, CliError> {
    let images: Vec<Image> = images::load(files).or_else(|error| match error {
        // A probe needs none.
        ImagesError::None => Ok(Vec::new()),
        other => Err(other),
    })?;
    let machine = KvmMachine::open(kvm)?;
    let storm = args.storm.bounds();
    serve(
        &machine,
        &Destination::on_kvm(kvm),
        &images,
        Terms { timeout: args.timeout, frames: args.frames, storm },
        BufReader::new(stdin()),
        stdout(),
    )?;
    Ok(0)
}
