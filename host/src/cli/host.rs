//! What a command line says and asks of the host.

use super::CliError;
use super::args::KnownArgs;
use crate::engine::plan::met_needs;
use crate::kernel_log::{DEVICE, KernelLog};
use crate::machines::qemu::{Qemu, QemuError};
use crate::report::facts::HostFacts;
use kvm::KvmMachine;
use std::path::Path;

/// What the host says, and what the user states.
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

/// Checks `--require`: what it names must be there on a machine that is not the model.
pub(super) fn require<'q>(
    needs: &[String],
    kvm: &Path,
    qemu: impl Fn() -> &'q Result<(Qemu, String), QemuError>,
) -> Result<(), CliError> {
    for need in needs {
        let unmet = |reason: String| CliError::Required { need: need.clone(), reason };
        match need.as_str() {
            "kvm" => drop(KvmMachine::open(kvm).map_err(|error| unmet(error.to_string()))?),
            "qemu" => {
                if let Err(error) = qemu() {
                    return Err(unmet(error.to_string()));
                }
            }
            "fred" | "xfd" | "amx" => {
                let machine = KvmMachine::open(kvm).map_err(|error| unmet(error.to_string()))?;
                if !met_needs(&machine).names().any(|met| met == need) {
                    return Err(unmet("KVM on this host does not offer it; see `midflight doctor`".into()));
                }
            }
            other => {
                return Err(CliError::Usage(format!(
                    "--require {other}: there is no such need; there are kvm, qemu, fred, xfd, amx"
                )));
            }
        }
    }
    Ok(())
}
