//! `midflight on-kernel`.

mod merge;
mod parts;

use super::args::{Cli, Command, OnKernelArgs};
use super::run::{self, Meant};
use super::{CliError, Given};
use crate::on_kernel::{KernelUnderTest, OnKernelError, Prepared};
use clap::Parser;
use std::ffi::OsString;
use std::io::{Write, stderr, stdout};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

pub(super) fn on_kernel(args: &OnKernelArgs, files: &[PathBuf], given: &Given) -> Result<u8, CliError> {
    if !files.is_empty() {
        return Err(CliError::Usage(
            "give --image after `--`, and the file with --file before it: \
             midflight on-kernel --file FILE -- run --image FILE"
                .to_owned(),
        ));
    }
    if args.try_emulator {
        writeln!(stdout(), "{}", args.emulator()?.found()?).map_err(OnKernelError::Output)?;
        return Ok(0);
    }
    let (kernel, modules) = match &args.kernel {
        Some(kernel) => (kernel.clone(), args.modules.clone()),
        None => this_hosts_kernel()?,
    };
    let arguments =
        if args.arguments.is_empty() { default_arguments(args.all) } else { args.arguments.clone() };
    // Before anything boots: what is wrong with them is wrong there as well.
    let inside = parsed(&arguments)?;
    if let Command::Run(run) = &inside.command
        && run.list
    {
        return run::run(run, &inside.images, &inside.kvm, given);
    }
    let meant = match &inside.command {
        Command::Run(run) => Some(Meant::of(run, &inside.images, &inside.kvm)?),
        _ => None,
    };
    // A command that the midflight inside prints is typed out here.
    let mut called_as = OsString::from("--called-as=");
    called_as.push(given.command("on-kernel", &[""; 0], &["all"]));
    called_as.push(" --");
    let under_test = KernelUnderTest {
        kernel,
        modules,
        append: args.append.join(" "),
        emulator: args.emulator()?,
        timeout: args.timeout,
        files: args.files.clone(),
    };
    let kernel = Prepared::new(&under_test)?;
    let arguments: Vec<OsString> = std::iter::once(called_as).chain(arguments).collect();
    match (&inside.command, meant) {
        (Command::Run(run), Some(meant)) => merge::run(kernel, &arguments, run, &meant, jobs(args.jobs)),
        _ => Ok(kernel.run(&arguments, &mut stdout().lock(), &mut stderr().lock())?),
    }
}

/// What runs where nothing else was asked for.
fn default_arguments(all: bool) -> Vec<OsString> {
    let words: &[&str] =
        if all { &["run", "--machine", "kvm"] } else { &["run", "--machine", "kvm", "--cover"] };
    words.iter().map(OsString::from).collect()
}

/// The command line of the midflight inside.
fn parsed(arguments: &[OsString]) -> Result<Cli, CliError> {
    let program = OsString::from("midflight");
    Cli::try_parse_from(std::iter::once(&program).chain(arguments))
        .map_err(|error| CliError::Usage(format!("after `--`: {}", error.to_string().trim_end())))
}

/// How many emulators run at a time.
fn jobs(given: Option<NonZeroUsize>) -> usize {
    given.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get)
}

/// Where distributions put the kernel that is running, and its modules.
fn this_hosts_kernel() -> Result<(PathBuf, Option<PathBuf>), CliError> {
    let file = "/proc/sys/kernel/osrelease";
    let release =
        std::fs::read_to_string(file).map_err(|error| CliError::File { file: file.to_owned(), error })?;
    let release = release.trim();
    Ok((format!("/boot/vmlinuz-{release}").into(), Some(Path::new("/lib/modules").join(release))))
}
