//! errno -> [`VcpuError`], with advice where a person can do something about it.

use std::io;
use vm::VcpuError;

/// The error of a system call or ioctl, as the library that made it returns it.
pub(super) fn call(call: &'static str, error: impl Into<io::Error>) -> VcpuError {
    errno_of(call, error.into().raw_os_error().unwrap_or(0))
}

/// The error of a system call that has just left its errno in the thread.
pub(super) fn last(call: &'static str) -> VcpuError {
    self::call(call, io::Error::last_os_error())
}

/// The error of a system call or ioctl that returned `errno`.
pub(super) fn errno_of(call: &'static str, errno: i32) -> VcpuError {
    VcpuError::Call { call, errno, message: text_of(errno), advice: advice(errno) }
}

/// What `errno` means.
pub(super) fn text_of(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    // The standard library appends its own " (os error N)".
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// A refusal of our own, before the kernel is asked: EINVAL, as the kernel would answer.
pub(super) fn refusal(call: &'static str, message: String) -> VcpuError {
    VcpuError::Call { call, errno: libc::EINVAL, message, advice: "" }
}

/// Advice that depends on the errno alone.
pub(super) fn advice(errno: i32) -> &'static str {
    match errno {
        libc::EBUSY => ": another hypervisor on this host may own the processor's virtualization; stop it",
        libc::ENOMEM => ": the host is out of memory, or a memory limit of this process is too small",
        libc::EMFILE | libc::ENFILE => ": too many open files; raise `ulimit -n`",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_that_another_hypervisor_has_says_so() {
        let error = errno_of("KVM_CREATE_VM", libc::EBUSY).to_string();
        let sentence = "Device or resource busy (errno 16): another hypervisor on this host may own";
        assert!(error.starts_with(&format!("KVM_CREATE_VM failed: {sentence}")), "{error}");
    }

    #[test]
    fn an_unknown_errno_has_no_advice() {
        assert_eq!(
            errno_of("KVM_RUN", libc::EINVAL).to_string(),
            "KVM_RUN failed: Invalid argument (errno 22)"
        );
    }
}
