//! What makes virtual machines.

use crate::{Vcpu, VcpuError};
use kvm_bindings::kvm_cpuid_entry2;
use serde::{Deserialize, Serialize};

/// The configuration of a new virtual machine.
#[derive(Clone, Debug, PartialEq)]
pub struct VmConfig {
    /// Guest memory from guest-physical 0 on, in bytes; a multiple of 4096.
    pub memory_size: u64,
    /// What the guest's CPUID returns.
    pub cpuid: Vec<kvm_cpuid_entry2>,
    /// Whether KVM_CAP_EXCEPTION_PAYLOAD is enabled.
    pub exception_payload: bool,
    /// What its memory can do.
    pub kind: VmKind,
}

impl VmConfig {
    /// One of `machine`'s CPUID, whose memory can do nothing beyond holding bytes.
    pub fn plain(machine: &dyn Machine, memory_size: u64, exception_payload: bool) -> Self {
        Self { memory_size, cpuid: machine.cpuid().to_vec(), exception_payload, kind: VmKind::Plain }
    }
}

/// What a virtual machine's memory can do beyond holding bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum VmKind {
    /// Nothing.
    #[default]
    Plain,
    /// Pages that the guest writes are logged in a dirty ring: KVM_CAP_DIRTY_LOG_RING.
    DirtyRing,
    /// Pages have the private attribute: KVM_X86_SW_PROTECTED_VM, KVM_CAP_MEMORY_ATTRIBUTES.
    Protected,
}

/// A machine that creates VMs.
pub trait Machine {
    /// `kvm` or `model`.
    fn name(&self) -> &'static str;
    /// The CPUID that guests get: what KVM_GET_SUPPORTED_CPUID returns.
    fn cpuid(&self) -> &[kvm_cpuid_entry2];
    /// The MSRs to save and restore, in an order in which they can be set.
    fn msr_indices(&self) -> &[u32];
    /// A fresh virtual machine with one vCPU in its reset state, CPUID set.
    ///
    /// # Errors
    /// When it cannot be made.
    fn create(&self, config: &VmConfig) -> Result<Box<dyn Vcpu>, VcpuError>;
}
