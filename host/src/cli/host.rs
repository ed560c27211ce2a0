//! Options about the host.

use super::CliError;
use super::args::KnownArgs;
use crate::kernel_log::{DEVICE, KernelLog, Marks};
use crate::report::HostFacts;
use rustix::process::geteuid;
use std::path::Path;

/// The facts read from the host, and those that the user states.
pub(super) fn host_facts(kvm: &Path, known: &KnownArgs) -> Result<HostFacts, CliError> {
    let mut facts = HostFacts::gather(kvm);
    for fact in &known.host_facts {
        facts.state(fact).map_err(|why| CliError::Usage(format!("--host-fact: {why}")))?;
    }
    Ok(facts)
}

/// The log in `file`, which must be readable, or the one of this host's kernel, as far as it is.
pub(super) fn kernel_log(file: Option<&Path>) -> Result<KernelLog, CliError> {
    let Some(file) = file else { return Ok(KernelLog::watch_if_readable(Path::new(DEVICE))) };
    KernelLog::watch(file)
        .map_err(|error| CliError::Usage(format!("--kernel-log {}: {error}", file.display())))
}

/// Where scenarios are marked in the kernel's log: in `file`, which must be writable; without it in the kernel's log,
/// where this runs as root for a CI.
pub(super) fn marks(file: Option<&Path>) -> Result<Option<Marks>, CliError> {
    let ours = || std::env::var_os("CI").is_some_and(|ci| ci == "true" || ci == "1") && geteuid().is_root();
    match file {
        Some(file) => Marks::new(file)
            .map(Some)
            .map_err(|error| CliError::Usage(format!("--kmsg {}: {error}", file.display()))),
        None if ours() => Ok(Marks::new(Path::new(DEVICE)).ok()),
        None => Ok(None),
    }
}
