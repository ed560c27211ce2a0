//! Save and restore: every law of the order, in one place.
//!
//! Saving:
//! 1. An exit for I/O or MMIO is unfinished until KVM_RUN is entered again: it is completed with
//!    `immediate_exit` before anything is read, else the guest would ring its doorbell twice.
//! 2. MP_STATE before events: KVM_GET_MP_STATE may turn pending INIT and SIPI into state.
//! 3. Events before the registers they change: without KVM_CAP_EXCEPTION_PAYLOAD, GET_VCPU_EVENTS,
//!    GET_SREGS and GET_DEBUGREGS write a pending payload to CR2 or DR6.
//!
//! Restoring, always into a fresh VM whose CPUID is set already (it decides which registers exist):
//! 1. SREGS before MSRs: EFER and CR4.FRED come with it, in one call, so that CR4.FRED = 1 meets
//!    EFER.LMA = 1.
//! 2. XCRS before XSAVE (the area's components must be enabled), XSAVE before MSRs (IA32_XFD would
//!    refuse tile data).
//! 3. REGS before events: KVM_SET_REGS clears a pending exception.
//! 4. Events last of all, for they describe what the next entry does with everything else.

use crate::machine::Machine;
use crate::vcpu::{MemoryImage, Msr, RunMode, Vcpu, VcpuError, VmConfig, Xsave};
use kvm_bindings::{kvm_debugregs, kvm_mp_state, kvm_regs, kvm_sregs, kvm_vcpu_events, kvm_xcrs};

/// Everything a guest is, as far as the uAPI of its machine can say.
#[derive(Clone, Debug)]
pub struct VmState {
    /// What its VM was made of.
    pub config: VmConfig,
    /// Guest memory.
    pub memory: MemoryImage,
    /// MP state.
    pub mp_state: kvm_mp_state,
    /// Events in flight.
    pub events: kvm_vcpu_events,
    /// General-purpose registers.
    pub regs: kvm_regs,
    /// System registers.
    pub sregs: kvm_sregs,
    /// Debug registers.
    pub debug_regs: kvm_debugregs,
    /// Extended control registers; `None` where there is no XSAVE.
    pub xcrs: Option<kvm_xcrs>,
    /// Extended state.
    pub xsave: Xsave,
    /// MSRs.
    pub msrs: Vec<Msr>,
}

/// Saves a VM.
///
/// # Errors
/// When a GET fails.
pub fn save(vcpu: &mut dyn Vcpu, machine: &dyn Machine, config: &VmConfig) -> Result<VmState, VcpuError> {
    vcpu.run(RunMode::ImmediateExit)?;
    let mp_state = vcpu.mp_state()?;
    let events = vcpu.events()?;
    Ok(VmState {
        config: config.clone(),
        mp_state,
        events,
        regs: vcpu.regs()?,
        sregs: vcpu.sregs()?,
        debug_regs: vcpu.debug_regs()?,
        xcrs: if has_xsave(config) { Some(vcpu.xcrs()?) } else { None },
        xsave: vcpu.xsave()?,
        msrs: vcpu.msrs(machine.msr_indices())?,
        memory: vcpu.save_memory()?,
    })
}

/// Restores a VM into a fresh one.
///
/// # Errors
/// When the VM cannot be made or a SET fails.
pub fn restore(machine: &dyn Machine, state: &VmState) -> Result<Box<dyn Vcpu>, VcpuError> {
    let mut vcpu = machine.create(&state.config)?;
    vcpu.load_memory(&state.memory)?;
    vcpu.set_sregs(&state.sregs)?;
    if let Some(xcrs) = &state.xcrs {
        vcpu.set_xcrs(xcrs)?;
    }
    vcpu.set_xsave(&state.xsave)?;
    vcpu.set_debug_regs(&state.debug_regs)?;
    vcpu.set_msrs(&state.msrs)?;
    vcpu.set_mp_state(state.mp_state)?;
    vcpu.set_regs(&state.regs)?;
    vcpu.set_events(&state.events)?;
    Ok(vcpu)
}

fn has_xsave(config: &VmConfig) -> bool {
    let leaf = config.cpuid.iter().find(|entry| entry.function == fred::cpuid::XSAVE.leaf);
    leaf.is_some_and(|leaf| leaf.ecx & fred::cpuid::XSAVE.mask() != 0)
}
