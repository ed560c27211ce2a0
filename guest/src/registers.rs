//! Control, debug and model-specific registers, where the `x86_64` crate has no accessor or one
//! that refuses what a test needs.

use crate::entry::capture;
use crate::judge::disturbed::RESTING;
use crate::judge::general::XMM;
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use fred::control::{CR0_TS, CR4_OSFXSR, CR4_OSXSAVE};
use fred::msr::{FS_BASE, GS_BASE, KERNEL_GS_BASE};
pub use fred::msr::{XFD, XFD_ERR};
use x86_64::registers::control::{Cr0, Cr4};
use x86_64::registers::debug::{DebugAddressRegister, Dr0, Dr1, Dr2, Dr3, Dr6, Dr7};
use x86_64::registers::model_specific::Msr;

/// RDMSR.
pub fn read_msr(msr: u32) -> u64 {
    // SAFETY: the kernel reads only MSRs that CPUID has announced.
    unsafe { Msr::new(msr).read() }
}

/// WRMSR.
pub fn write_msr(msr: u32, value: u64) {
    // SAFETY: as for reading; no MSR written changes what compiled code relies on.
    unsafe { Msr::new(msr).write(value) }
}

/// Reads CR2.
pub(crate) fn cr2() -> u64 {
    x86_64::registers::control::Cr2::read_raw()
}

/// Writes CR2.
pub(crate) fn set_cr2(value: u64) {
    // SAFETY: CR2 holds a number and nothing else.
    unsafe { asm!("mov cr2, {}", in(reg) value, options(nostack, preserves_flags)) }
}

/// Reads DR6.
pub(crate) fn dr6() -> u64 {
    Dr6::read_raw()
}

/// Writes DR6.
pub fn set_dr6(value: u64) {
    // SAFETY: DR6 reports; nothing depends on it.
    unsafe { asm!("mov dr6, {}", in(reg) value, options(nostack, preserves_flags)) }
}

/// Reads DR7.
pub(crate) fn dr7() -> u64 {
    Dr7::read_raw()
}

/// Writes DR7. A case's `prepare` that sets GD must do so last.
pub fn set_dr7(value: u64) {
    Dr7::write_raw(value);
}

/// Writes DR0.
pub fn set_dr0(address: u64) {
    Dr0::write(address);
}

/// Writes DR1.
pub fn set_dr1(address: u64) {
    Dr1::write(address);
}

/// Writes DR2.
pub fn set_dr2(address: u64) {
    Dr2::write(address);
}

/// Writes DR3.
pub fn set_dr3(address: u64) {
    Dr3::write(address);
}

/// IA32_DEBUGCTL.
pub(crate) const DEBUGCTL: u32 = 0x1D9;

/// Writes IA32_DEBUGCTL.
pub fn set_debugctl(value: u64) {
    // Not every machine has one.
    capture::DEBUGCTL.store(1, Relaxed);
    write_msr(DEBUGCTL, value);
}

/// Reads CR0.
pub(crate) fn cr0() -> u64 {
    Cr0::read_raw()
}

/// Lets instructions at XMM0 to XMM15.
pub(crate) fn enable_xmm() {
    set_cr4(CR4_OSFXSR);
}

/// Loads XMM0 and XMM1. CR0.TS and EM must be clear.
fn load_xmm(halves: &[u64; 4]) {
    // SAFETY: compiled code uses no XMM register.
    unsafe {
        asm!(
            "movups xmm0, [{0}]", "movups xmm1, [{0} + 16]",
            in(reg) halves, options(nostack, readonly, preserves_flags),
        );
    }
}

/// Sets CR0.TS.
pub fn set_task_switched() {
    // SAFETY: compiled code uses neither x87 nor SSE.
    unsafe { Cr0::write_raw(Cr0::read_raw() | CR0_TS) }
}

/// Clears CR0.TS.
pub fn clear_task_switched() {
    // SAFETY: clears CR0.TS, nothing else.
    unsafe { asm!("clts", options(nostack, preserves_flags)) }
}

/// CR0 and CR4 of the run, once a case has changed them; 0 before.
static CONTROL: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// Changes CR0 to `cr0(CR0)` and sets bits of CR4, until the case is over.
///
/// Paging must stay on, and the code and data of the image must stay accessible.
pub fn set_control(cr0: fn(u64) -> u64, cr4: u64) {
    CONTROL[0].store(Cr0::read_raw(), Relaxed);
    CONTROL[1].store(Cr4::read_raw(), Relaxed);
    // SAFETY: compiled code uses neither x87 nor SSE, and no page of ring 3.
    unsafe {
        Cr0::write_raw(cr0(Cr0::read_raw()));
        Cr4::write_raw(Cr4::read_raw() | cr4);
    }
}

/// Undoes [`set_control`].
fn rest_control() {
    let [cr0, cr4] = CONTROL.each_ref().map(|register| register.swap(0, Relaxed));
    if cr0 != 0 {
        // SAFETY: what they were before.
        unsafe {
            Cr0::write_raw(cr0);
            Cr4::write_raw(cr4);
        }
    }
}

/// Sets bits of CR4.
pub(crate) fn set_cr4(bits: u64) {
    // SAFETY: callers set only bits that enable something.
    unsafe { Cr4::write_raw(Cr4::read_raw() | bits) }
}

/// Sets CR4.OSXSAVE, and in XCR0 x87, SSE and `components`.
pub fn enable_components(components: u32) {
    set_cr4(CR4_OSXSAVE);
    // SAFETY: CPUID has announced XSAVE and the components.
    unsafe {
        asm!("xsetbv", in("ecx") 0, in("edx") 0, in("eax") components | 3, options(nostack, preserves_flags));
    }
}

/// The registers that a judge looks at, as every case finds them at its start.
///
/// `xfd` says whether the XFD MSRs exist. DR7 comes first: a breakpoint may still be armed.
// Inlined at each call it would make the image larger.
#[inline(never)]
pub(crate) fn rest(xfd: bool) {
    set_dr7(0x400);
    set_dr0(0);
    Dr1::write(0);
    Dr2::write(0);
    Dr3::write(0);
    set_dr6(RESTING.dr6);
    if capture::DEBUGCTL.load(Relaxed) == 1 {
        set_debugctl(0);
    }
    set_cr2(RESTING.cr2);
    rest_control();
    clear_task_switched();
    load_xmm(&XMM);
    if xfd {
        write_msr(XFD, 0);
        write_msr(XFD_ERR, 0);
    }
    // What a case has loaded would be taken away, base and all, by a return to ring 3.
    // SAFETY: nobody uses these segments; FS and GS get their bases below.
    unsafe {
        asm!("mov ds, {0:e}", "mov es, {0:e}", "mov fs, {0:e}", "mov gs, {0:e}", in(reg) 0, options(nostack, preserves_flags));
    }
    write_msr(FS_BASE, RESTING.fs_base);
    write_msr(GS_BASE, RESTING.gs_base);
    write_msr(KERNEL_GS_BASE, RESTING.kernel_gs_base);
}
