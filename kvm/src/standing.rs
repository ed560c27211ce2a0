//! A VM that stays while others come and go.
//!
//! With the first VM KVM switches virtualization on, and off with the last (`kvm_usage_count`). With the first
//! vCPU without a LAPIC in the kernel it patches its own code, and back with the last (`kvm_has_noapic_vcpu`).
//! Both take longer than a guest's boot, and neither is about a guest: so one VM stays, with a vCPU that never
//! runs.

use kvm_ioctls::{Kvm, VcpuFd, VmFd};

/// A VM without memory, and its vCPU.
#[derive(Debug)]
pub(super) struct Standing {
    _vcpu: VcpuFd,
    _vm: VmFd,
}

impl Standing {
    /// `None` where it cannot be made: the guests that follow say why.
    pub(super) fn new(kvm: &Kvm) -> Option<Self> {
        let vm = kvm.create_vm().ok()?;
        let vcpu = vm.create_vcpu(0).ok()?;
        Some(Self { _vcpu: vcpu, _vm: vm })
    }
}
