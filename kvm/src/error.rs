//! errno -> [`VcpuError`], with advice where a person can do something about it.

use vm::VcpuError;

/// The error of a system call or ioctl that returned an errno through kvm-ioctls.
pub(super) fn call(call: &'static str, error: kvm_ioctls::Error) -> VcpuError {
    errno_of(call, error.errno())
}

/// The error of a system call that has just left its errno in the thread.
pub(super) fn last(call: &'static str) -> VcpuError {
    errno_of(call, std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

/// The error of a system call or ioctl that returned `errno`.
pub(super) fn errno_of(call: &'static str, errno: i32) -> VcpuError {
    let text = std::io::Error::from_raw_os_error(errno).to_string();
    // The standard library appends its own " (os error N)".
    let message = text.split(" (os error").next().unwrap_or_default().to_owned();
    VcpuError::Call { call, errno, message, advice: advice(call, errno) }
}

/// What we refuse before the kernel could; reported with EINVAL, which the kernel would have said.
pub(super) fn refusal(call: &'static str, message: String) -> VcpuError {
    VcpuError::Call { call, errno: libc::EINVAL, message, advice: "" }
}

fn advice(call: &str, errno: i32) -> &'static str {
    match (call, errno) {
        ("open /dev/kvm", libc::ENOENT) => {
            ": there is no KVM here; load kvm_intel or kvm_amd, switch virtualization on in the firmware \
             (in a virtual machine: nested virtualization), or use --machine model"
        }
        ("open /dev/kvm", libc::EACCES | libc::EPERM) => {
            ": add yourself to the kvm group (`sudo usermod -aG kvm $USER`, then log in again)"
        }
        ("open /dev/kvm", libc::ENODEV | libc::ENXIO) => {
            ": the device node is there, the driver is not; load kvm_intel or kvm_amd"
        }
        (call, libc::EIO) if call.starts_with("KVM_") => {
            ": KVM has given this VM up (KVM_BUG_ON); the kernel's log says where"
        }
        (_, libc::EBUSY) => {
            ": another hypervisor on this host may own the processor's virtualization; stop it"
        }
        (_, libc::ENOMEM) => ": the host is out of memory, or a memory limit of this process is too small",
        (_, libc::EMFILE | libc::ENFILE) => ": too many open files; raise `ulimit -n`",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_permission_says_what_to_do() {
        let error = errno_of("open /dev/kvm", libc::EACCES).to_string();
        assert_eq!(
            error,
            "open /dev/kvm failed: Permission denied (errno 13): add yourself to the kvm group \
             (`sudo usermod -aG kvm $USER`, then log in again)"
        );
    }

    #[test]
    fn a_processor_that_another_hypervisor_has_says_so() {
        for at in ["open /dev/kvm", "KVM_CREATE_VM"] {
            let error = errno_of(at, libc::EBUSY).to_string();
            let sentence = "Device or resource busy (errno 16): another hypervisor on this host may own";
            assert!(error.starts_with(&format!("{at} failed: {sentence}")), "{error}");
        }
    }

    #[test]
    fn an_unknown_errno_has_no_advice() {
        assert_eq!(
            errno_of("KVM_RUN", libc::EINVAL).to_string(),
            "KVM_RUN failed: Invalid argument (errno 22)"
        );
    }
}
