//! Options about the host.

use super::CliError;
use super::args::KnownArgs;
use crate::kernel_log::{DEVICE, KernelLog};
use crate::report::HostFacts;
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
