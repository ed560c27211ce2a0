//! `midflight on-kernel`.

use super::again::Given;
use super::args::OnKernelArgs;
use super::error::CliError;
use crate::on_kernel::{self, KernelUnderTest};
use std::ffi::OsString;
use std::io::{stderr, stdout};
use std::path::{Path, PathBuf};

pub(super) fn on_kernel(args: &OnKernelArgs, files: &[PathBuf], given: &Given) -> Result<u8, CliError> {
    if !files.is_empty() {
        return Err(CliError::Usage(
            "give --image after `--`, and the file with --file before it: \
             midflight on-kernel --file FILE -- run --image FILE"
                .to_owned(),
        ));
    }
    let (kernel, modules) = match &args.kernel {
        Some(kernel) => (kernel.clone(), args.modules.clone()),
        None => this_hosts_kernel()?,
    };
    // A command that the midflight inside prints is typed out here.
    let mut called_as = OsString::from("--called-as=");
    called_as.push(given.command("on-kernel", &[""; 0], &[]));
    called_as.push(" --");
    let under_test = KernelUnderTest {
        kernel,
        modules,
        append: args.append.join(" "),
        emulator: args.emulator.clone(),
        timeout: args.timeout,
        files: args.files.clone(),
        arguments: std::iter::once(called_as).chain(args.arguments.iter().cloned()).collect(),
    };
    Ok(on_kernel::run(&under_test, &mut stdout().lock(), &mut stderr().lock())?)
}

/// Where distributions put the kernel that is running, and its modules.
fn this_hosts_kernel() -> Result<(PathBuf, Option<PathBuf>), CliError> {
    let file = "/proc/sys/kernel/osrelease";
    let release =
        std::fs::read_to_string(file).map_err(|error| CliError::File { file: file.to_owned(), error })?;
    let release = release.trim();
    Ok((format!("/boot/vmlinuz-{release}").into(), Some(Path::new("/lib/modules").join(release))))
}
