//! What makes virtual machines.

use crate::vcpu::{Vcpu, VcpuError, VmConfig};
use kvm_bindings::kvm_cpuid_entry2;

/// A machine that runs guests behind the KVM-shaped trait.
pub trait Machine {
    /// `kvm` or `model`.
    fn name(&self) -> &'static str;
    /// The CPUID that guests get: what KVM_GET_SUPPORTED_CPUID returns.
    fn cpuid(&self) -> &[kvm_cpuid_entry2];
    /// The MSRs to save and restore, in an order that can be set again.
    fn msr_indices(&self) -> &[u32];
    /// A fresh virtual machine with one vCPU in its reset state, CPUID set.
    ///
    /// # Errors
    /// When it cannot be made.
    fn create(&self, config: &VmConfig) -> Result<Box<dyn Vcpu>, VcpuError>;
}
