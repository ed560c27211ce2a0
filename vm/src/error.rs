//! What a call to a machine fails with.

use crate::refusal::Refusal;

/// An ioctl, or its counterpart in the model, refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VcpuError {
    /// A system call or ioctl failed.
    #[error("{call} failed: {message} (errno {errno}){advice}")]
    Call {
        /// The ioctl's or system call's name.
        call: &'static str,
        /// errno.
        errno: i32,
        /// Its text.
        message: String,
        /// What to do about it, with a leading separator, or nothing.
        advice: &'static str,
    },
    /// The machine's device cannot be opened.
    #[error("open {device} failed: {message} (errno {errno}){advice}")]
    Open {
        /// Its file.
        device: String,
        /// errno.
        errno: i32,
        /// Its text.
        message: String,
        /// What to do about it, with a leading separator, or nothing.
        advice: String,
    },
    /// A guest-physical range is not in guest memory.
    #[error(
        "guest-physical {address:#x}..+{length:#x} is outside the guest's {memory_size:#x} bytes of memory"
    )]
    OutsideMemory {
        /// Start of the range.
        address: u64,
        /// Its length in bytes.
        length: u64,
        /// Size of guest memory in bytes.
        memory_size: u64,
    },
    /// KVM_SET_MSRS stopped at an MSR.
    #[error("MSR {index:#x} cannot be set to {value:#x} on this machine")]
    Msr {
        /// The MSR refused.
        index: u32,
        /// The value refused.
        value: u64,
    },
    /// KVM_SET_* refused a state that KVM_GET_* had returned, or that state with one field changed.
    #[error(transparent)]
    Refused(#[from] Box<Refusal>),
}
