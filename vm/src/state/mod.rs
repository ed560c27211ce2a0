//! Save and restore.
//!
//! | module | holds |
//! |---|---|
//! | this one | [`VmState`], [`save`], and every law of the order of both directions |
//! | [`restore`](self::restore()) | the steps of a restore as a table |
//! | [`set`] | KVM_SET_*, and which field is the cause where one is refused |
//! | `compare` | compares what was saved with what reads back, by field |
//! | `xsave` | the same for the XSAVE area |
//! | [`field`] | the fields that are compared, and their names |
//! | [`losses`](self::losses()) | what the uAPI cannot carry |
//! | [`carries_nested_bit`] | whether it carries the nested bit, by a trial |
//!
//! # The laws
//!
//! Saving, in this order:
//! 1. An exit for I/O or MMIO is unfinished until KVM_RUN is entered again: it is completed with
//!    `immediate_exit` before anything is read, else the guest would write to its doorbell twice.
//! 2. MP_STATE before events: KVM_GET_MP_STATE may turn pending INIT and SIPI into state.
//! 3. Events before the registers they change: without KVM_CAP_EXCEPTION_PAYLOAD, GET_VCPU_EVENTS,
//!    GET_SREGS, GET_SREGS2 and GET_DEBUGREGS write a pending payload to CR2 or DR6. The first of
//!    them changes the guest, and the others must see what it changed.
//! 4. Memory last: nothing above runs the guest, and completing its I/O may have written to it.
//!
//! Restoring, always into a fresh VM, whose creation already obeys the first two:
//! 1. The permission for AMX before the first vCPU of the process, which freezes it.
//! 2. CPUID before SREGS, MSRs and XSAVE: it decides which registers, bits and components exist.
//! 3. The TSC's rate before IA32_TIME_STAMP_COUNTER, which counts in it.
//! 4. SREGS before MSRs: EFER and CR4.FRED come with it, in one call, so that CR4.FRED = 1 meets
//!    EFER.LMA = 1, and FRED MSRs are written to a vCPU that uses them. SREGS would come before the
//!    LAPIC too, and the LAPIC before MSRs: no interrupt controller is ever created in the kernel
//!    here, so there is none to save. CR8 travels in SREGS, and has to be put into `struct kvm_run` as well
//!    (the kvm machine does), from where KVM_RUN takes it when the kernel has no LAPIC.
//! 5. SREGS2 in place of SREGS where it is offered: it carries the PDPTRs of PAE paging, which need
//!    not be what memory says. It does not carry an interrupt that waits for injection; events do.
//! 6. XCRS before XSAVE (the area's components must be enabled), XSAVE before MSRs (IA32_XFD would
//!    refuse tile data).
//! 7. REGS before events: KVM_SET_REGS clears a pending exception.
//! 8. Events last of all, for they describe what the next entry does with everything else.
//!
//! Reading back follows the order of saving. It does not change what it reads: the calls of
//! law 3 of saving change a *pending* exception without the payload capability, and without it
//! KVM_SET_VCPU_EVENTS cannot make an exception pending.

mod compare;
pub mod field;
mod losses;
mod nested_bit;
mod restore;
pub mod set;
#[cfg(test)]
mod tests;
mod xsave;

pub use field::Field;
pub use losses::{Loss, losses, may_hold_back, no_field_for_event_data};
pub use nested_bit::carries_nested_bit;
pub use restore::{ORDER, Restored, Step, restore, restore_and_check, restore_in};

use crate::{Machine, MemoryImage, Msr, RunMode, Vcpu, VcpuError, VmConfig, Xsave, cpuid};
use kvm_bindings::{
    KVM_SREGS2_FLAGS_PDPTRS_VALID, kvm_cpuid_entry2, kvm_debugregs, kvm_mp_state, kvm_regs, kvm_sregs,
    kvm_sregs2, kvm_vcpu_events, kvm_xcrs,
};

/// The whole state of a guest, as far as its machine's uAPI shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct VmState {
    /// The configuration of its VM.
    pub config: VmConfig,
    /// The guest's CPUID, which may differ from what was set: it is compared, not set.
    pub cpuid: Vec<kvm_cpuid_entry2>,
    /// Guest memory.
    pub memory: MemoryImage,
    /// The TSC's rate in kHz; `None` where the machine does not report it.
    pub tsc_khz: Option<u32>,
    /// MP state.
    pub mp_state: kvm_mp_state,
    /// Events in flight.
    pub events: kvm_vcpu_events,
    /// General-purpose registers.
    pub regs: kvm_regs,
    /// System registers.
    pub sregs: kvm_sregs,
    /// The page-directory-pointer registers of PAE paging; `None` outside it, and where
    /// KVM_GET_SREGS2 is not offered.
    pub pdptrs: Option<[u64; 4]>,
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
    read(vcpu, machine.msr_indices(), config)
}

/// Every GET, in the order of saving, of a guest that has no exit to complete.
///
/// # Errors
/// When a GET fails.
pub fn read(vcpu: &mut dyn Vcpu, msrs: &[u32], config: &VmConfig) -> Result<VmState, VcpuError> {
    let mp_state = vcpu.mp_state()?;
    let events = vcpu.events()?;
    let (sregs, pdptrs) = system_registers(vcpu)?;
    Ok(VmState {
        config: config.clone(),
        cpuid: vcpu.cpuid()?,
        tsc_khz: vcpu.tsc_khz()?,
        mp_state,
        events,
        regs: vcpu.regs()?,
        sregs,
        pdptrs,
        debug_regs: vcpu.debug_regs()?,
        xcrs: if cpuid::has(&config.cpuid, fred::cpuid::XSAVE) { Some(vcpu.xcrs()?) } else { None },
        xsave: vcpu.xsave()?,
        msrs: vcpu.msrs(msrs)?,
        memory: vcpu.save_memory()?,
    })
}

/// By KVM_GET_SREGS2 where it is offered.
fn system_registers(vcpu: &mut dyn Vcpu) -> Result<(kvm_sregs, Option<[u64; 4]>), VcpuError> {
    if !vcpu.offers_sregs2() {
        return Ok((vcpu.sregs()?, None));
    }
    let sregs2 = vcpu.sregs2()?;
    let valid = sregs2.flags & u64::from(KVM_SREGS2_FLAGS_PDPTRS_VALID) != 0;
    Ok((first_form(&sregs2), valid.then_some(sregs2.pdptrs)))
}

/// What both forms of the system registers have, field by field.
macro_rules! common_form {
    ($from:expr, $form:ident { $($extra:ident: $value:expr),* }) => {
        $form {
            cs: $from.cs, ds: $from.ds, es: $from.es, fs: $from.fs, gs: $from.gs, ss: $from.ss,
            tr: $from.tr, ldt: $from.ldt, gdt: $from.gdt, idt: $from.idt,
            cr0: $from.cr0, cr2: $from.cr2, cr3: $from.cr3, cr4: $from.cr4, cr8: $from.cr8,
            efer: $from.efer, apic_base: $from.apic_base,
            $($extra: $value),*
        }
    };
}

/// As `struct kvm_sregs`. An interrupt that waits for injection is in the events.
pub fn first_form(from: &kvm_sregs2) -> kvm_sregs {
    common_form!(from, kvm_sregs { interrupt_bitmap: [0; 4] })
}

/// As `struct kvm_sregs2`.
pub fn second_form(from: &kvm_sregs, pdptrs: Option<[u64; 4]>) -> kvm_sregs2 {
    let flags = if pdptrs.is_some() { KVM_SREGS2_FLAGS_PDPTRS_VALID.into() } else { 0 };
    common_form!(from, kvm_sregs2 { flags: flags, pdptrs: pdptrs.unwrap_or_default() })
}
