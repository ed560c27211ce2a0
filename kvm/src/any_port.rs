//! A server that gets whatever port is free, although it asks for one.

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};
use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// In the child bind(2) succeeds and does nothing. So listen(2) takes a port that is free (ip(7), section "Address
/// format"): the child cannot find its ports taken, however many there are of it. Its children are like it.
///
/// Where the kernel has no seccomp filters (`CONFIG_SECCOMP_FILTER`), the child binds as it likes.
pub fn any_port(command: &mut Command) {
    let Some(filter) = filter() else { return };
    // SAFETY: prctl and seccomp are async-signal-safe, and all that `apply_filter` calls; the filter was allocated
    // before the fork.
    unsafe {
        command.pre_exec(move || {
            let _ = seccompiler::apply_filter(&filter);
            Ok(())
        });
    }
}

fn filter() -> Option<BpfProgram> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).ok()?;
    // An "error" of 0 is success.
    let (others, bind) = (SeccompAction::Allow, SeccompAction::Errno(0));
    SeccompFilter::new(BTreeMap::from([(libc::SYS_bind, Vec::new())]), others, bind, arch)
        .ok()?
        .try_into()
        .ok()
}
