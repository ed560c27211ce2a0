//! The command line.
//!
//! Exit codes: 0 nothing failed; 1 a failure, a known issue that did not show, or a warning of this
//! host's kernel; 2 an error of the harness or of its input.

mod again;
mod args;
mod compare;
mod debug;
mod doctor;
#[cfg(test)]
mod documented;
mod error;
mod explore;
mod guest;
mod host;
mod known;
mod list;
mod machines;
mod mounted;
mod mutants;
mod on_kernel;
mod package;
mod printer;
mod progress;
mod report;
mod repro;
mod rerun;
mod resume;
mod run;
mod save;
mod select;
mod show;
mod sink;
mod terminal;
mod trace;
mod within;

use args::Cli;

use crate::ending::{self, Signal};
use again::Given;
use args::Command;
use clap::{CommandFactory, FromArgMatches};
use error::CliError;
use std::process::ExitCode;

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
        Command::Report(args) => report::report(&args),
        Command::Mutants(args) => mutants::mutants(&args, &cli.images),
        Command::Explore(args) => explore::run(&args, &cli.images, &given),
        Command::Show(args) => show::show(&args, &cli.images),
        Command::Trace(args) => trace::trace(&args, &cli.images, &given),
        Command::Debug(args) => debug::debug(&args, &cli.images, &cli.kvm, &given),
        Command::Repro(args) => repro::repro(&args, &cli.images, &cli.kvm),
        Command::Compare(args) => compare::compare(&args, &cli.images, &cli.kvm, &given),
        Command::Doctor(args) => doctor::doctor(&args, &cli.images, &cli.kvm, &given),
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
        Command::Completions(args) => package::completions(&args),
        Command::Man(args) => package::man(&args),
        Command::Destination => guest::destination(),
        Command::Worker => guest::worker(),
    };
    let code = match done {
        Ok(code) => code,
        // The reader has closed the pipe: there is no place to report a result.
        Err(CliError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => 2,
        Err(error) => {
            eprintln!("midflight: {error}");
            2
        }
    };
    // The exit code names the signal, if one ended the run, rather than the result.
    ExitCode::from(ending::signal().map_or(code, Signal::exit_code))
}
