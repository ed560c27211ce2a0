//! What KVM_GET_* and KVM_SET_* carry of a vCPU.

use crate::VcpuError;
use kvm_bindings::{
    kvm_cpuid_entry2, kvm_debugregs, kvm_mp_state, kvm_regs, kvm_sregs, kvm_sregs2, kvm_vcpu_events, kvm_xcrs,
};

/// One MSR and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Msr {
    /// Number.
    pub index: u32,
    /// Value.
    pub value: u64,
}

/// An XSAVE area in KVM's (standard, uncompacted) format: 4096 bytes or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Xsave(pub Vec<u8>);

/// The registers of a vCPU, and the events in flight, in the structures of `linux/kvm.h`.
///
/// # Errors
/// Every method returns [`VcpuError`] when its ioctl fails.
pub trait Registers {
    /// KVM_GET_REGS.
    fn regs(&self) -> Result<kvm_regs, VcpuError>;
    /// KVM_SET_REGS. Clears a *pending* exception.
    fn set_regs(&mut self, regs: &kvm_regs) -> Result<(), VcpuError>;
    /// KVM_GET_SREGS. Delivers a pending payload early where the capability is off.
    fn sregs(&mut self) -> Result<kvm_sregs, VcpuError>;
    /// KVM_SET_SREGS.
    fn set_sregs(&mut self, sregs: &kvm_sregs) -> Result<(), VcpuError>;
    /// Whether KVM_GET_SREGS2 and KVM_SET_SREGS2 exist: KVM_CAP_SREGS2.
    fn offers_sregs2(&self) -> bool;
    /// KVM_GET_SREGS2. Delivers a pending payload early where the capability is off.
    fn sregs2(&mut self) -> Result<kvm_sregs2, VcpuError>;
    /// KVM_SET_SREGS2. Leaves an interrupt that waits for injection alone.
    fn set_sregs2(&mut self, sregs: &kvm_sregs2) -> Result<(), VcpuError>;
    /// KVM_GET_DEBUGREGS. Delivers a pending payload early where the capability is off.
    fn debug_regs(&mut self) -> Result<kvm_debugregs, VcpuError>;
    /// KVM_SET_DEBUGREGS.
    fn set_debug_regs(&mut self, regs: &kvm_debugregs) -> Result<(), VcpuError>;
    /// KVM_GET_MSRS for `indices`, in their order.
    fn msrs(&self, indices: &[u32]) -> Result<Vec<Msr>, VcpuError>;
    /// KVM_SET_MSRS, in order.
    fn set_msrs(&mut self, msrs: &[Msr]) -> Result<(), VcpuError>;
    /// KVM_GET_XSAVE2, or KVM_GET_XSAVE where it does not exist.
    fn xsave(&self) -> Result<Xsave, VcpuError>;
    /// KVM_SET_XSAVE.
    fn set_xsave(&mut self, xsave: &Xsave) -> Result<(), VcpuError>;
    /// KVM_GET_XCRS.
    fn xcrs(&self) -> Result<kvm_xcrs, VcpuError>;
    /// KVM_SET_XCRS.
    fn set_xcrs(&mut self, xcrs: &kvm_xcrs) -> Result<(), VcpuError>;
    /// KVM_GET_VCPU_EVENTS. Delivers a pending payload early where the capability is off.
    fn events(&mut self) -> Result<kvm_vcpu_events, VcpuError>;
    /// KVM_SET_VCPU_EVENTS.
    fn set_events(&mut self, events: &kvm_vcpu_events) -> Result<(), VcpuError>;
    /// KVM_GET_MP_STATE.
    fn mp_state(&self) -> Result<kvm_mp_state, VcpuError>;
    /// KVM_SET_MP_STATE.
    fn set_mp_state(&mut self, state: kvm_mp_state) -> Result<(), VcpuError>;

    /// KVM_GET_TSC_KHZ: the rate of the guest's TSC in kHz; `None` where the machine has no such rate.
    fn tsc_khz(&self) -> Result<Option<u32>, VcpuError>;
    /// KVM_SET_TSC_KHZ.
    fn set_tsc_khz(&mut self, rate: u32) -> Result<(), VcpuError>;
    /// KVM_GET_CPUID2.
    fn cpuid(&self) -> Result<Vec<kvm_cpuid_entry2>, VcpuError>;
}
