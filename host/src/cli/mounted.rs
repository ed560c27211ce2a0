//! The kernel's file systems without which every scenario would fail for the same reason.

use super::CliError;
use std::path::Path;

/// Checks that `/proc` is there, and with `kvm` also `/sys`. Fails when one is not.
pub(super) fn check(kvm: bool) -> Result<(), CliError> {
    if Path::new("/proc/self/exe").symlink_metadata().is_err() {
        let why = "midflight starts processes of its own through /proc/self/exe, and what is known of a host \
                   depends on /proc/cpuinfo";
        return Err(CliError::NotMounted { at: "/proc", why, kind: "proc" });
    }
    if kvm && !Path::new("/sys/module").is_dir() {
        let why = "/sys/module says which KVM this is, and what is known of it depends on that";
        return Err(CliError::NotMounted { at: "/sys", why, kind: "sysfs" });
    }
    Ok(())
}
