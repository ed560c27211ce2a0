//! Who is to blame for a refused call.
//!
//! A KVM that refuses what its uAPI promises is wrong. A lack of the host's resources, or a wrong call of this
//! program, is not the machine's fault.

use crate::VcpuError;

/// The calls on a VM that KVM has created. Calls that ask whether it can create one, and calls of other parts
/// of the kernel, are not among them.
const OF_A_VM: [&str; 34] = [
    "KVM_RUN",
    "KVM_NMI",
    "KVM_INTERRUPT",
    "KVM_GET_REGS",
    "KVM_SET_REGS",
    "KVM_GET_SREGS",
    "KVM_SET_SREGS",
    "KVM_GET_SREGS2",
    "KVM_SET_SREGS2",
    "KVM_GET_DEBUGREGS",
    "KVM_SET_DEBUGREGS",
    "KVM_GET_MSRS",
    "KVM_SET_MSRS",
    "KVM_GET_XSAVE",
    "KVM_GET_XSAVE2",
    "KVM_SET_XSAVE",
    "KVM_GET_XCRS",
    "KVM_SET_XCRS",
    "KVM_GET_VCPU_EVENTS",
    "KVM_SET_VCPU_EVENTS",
    "KVM_GET_MP_STATE",
    "KVM_SET_MP_STATE",
    "KVM_GET_TSC_KHZ",
    "KVM_SET_TSC_KHZ",
    "KVM_GET_CPUID2",
    "KVM_SET_CPUID2",
    "KVM_SET_SIGNAL_MASK",
    "KVM_SET_USER_MEMORY_REGION",
    "KVM_SET_MEMORY_ATTRIBUTES",
    "KVM_RESET_DIRTY_RINGS",
    "KVM_SET_IDENTITY_MAP_ADDR",
    "KVM_SET_TSS_ADDR",
    "KVM_CREATE_VCPU",
    "KVM_ENABLE_CAP(KVM_CAP_EXCEPTION_PAYLOAD)",
];

/// The host lacks a resource, or denies it to this user; or its memory is broken.
const OF_THE_HOST: [i32; 12] = [
    libc::ENOMEM,
    libc::ENOSPC,
    libc::EMFILE,
    libc::ENFILE,
    libc::EPERM,
    libc::EACCES,
    libc::EBUSY,
    libc::EAGAIN,
    libc::EINTR,
    libc::ENODEV,
    libc::ENOENT,
    libc::EHWPOISON,
];

/// Who is to blame for something that must not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The machine: it is wrong.
    Machine,
    /// This program, or the environment.
    Us,
}

impl VcpuError {
    /// Who is to blame.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Call { call, errno, .. } if OF_A_VM.contains(call) && !OF_THE_HOST.contains(errno) => {
                Blame::Machine
            }
            Self::Msr { .. } | Self::Refused(_) => Blame::Machine,
            Self::Open { .. } | Self::Call { .. } | Self::OutsideMemory { .. } => Blame::Us,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(call: &'static str, errno: i32) -> VcpuError {
        VcpuError::Call { call, errno, message: String::new(), advice: "" }
    }

    #[test]
    fn what_kvm_refuses_is_its_failure_and_what_the_host_lacks_an_error() {
        assert_eq!(call("KVM_SET_VCPU_EVENTS", libc::EINVAL).blame(), Blame::Machine);
        assert_eq!(call("KVM_RUN", libc::EIO).blame(), Blame::Machine);
        assert_eq!(call("KVM_NMI", libc::EINVAL).blame(), Blame::Machine);
        assert_eq!(VcpuError::Msr { index: 0x1D4, value: 1 }.blame(), Blame::Machine);
        assert_eq!(call("KVM_RUN", libc::ENOMEM).blame(), Blame::Us);
        assert_eq!(call("KVM_RUN", libc::EHWPOISON).blame(), Blame::Us);
        assert_eq!(call("KVM_CREATE_VM", libc::EINVAL).blame(), Blame::Us);
        assert_eq!(call("open /dev/kvm", libc::ENOENT).blame(), Blame::Us);
        assert_eq!(call("mmap", libc::EINVAL).blame(), Blame::Us);
        let outside = VcpuError::OutsideMemory { address: 0, length: 1, memory_size: 0 };
        assert_eq!(outside.blame(), Blame::Us);
    }
}
