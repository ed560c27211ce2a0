//! The MSRs, a row each.

use crate::state::CpuState;
use crate::xstate::component;
use fred::control::{CR0_PG, EFER_LMA, EFER_LME, EFER_NXE, EFER_SCE};
use fred::cpuid::{FRED, Feature, NX, RDTSCP, XFD};
use fred::msr;

/// IA32_TIME_STAMP_COUNTER.
pub const TSC: u32 = 0x10;
/// IA32_APIC_BASE.
pub const APIC_BASE: u32 = 0x1B;
/// IA32_SYSENTER_CS.
pub const SYSENTER_CS: u32 = 0x174;
/// IA32_SYSENTER_ESP.
pub const SYSENTER_ESP: u32 = 0x175;
/// IA32_SYSENTER_EIP.
pub const SYSENTER_EIP: u32 = 0x176;
/// IA32_DEBUGCTL.
pub const DEBUGCTL: u32 = 0x1D9;
/// IA32_PAT.
pub const PAT: u32 = 0x277;
/// IA32_TSC_AUX.
pub const TSC_AUX: u32 = 0xC000_0103;

/// How a hypervisor saves an MSR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// With KVM_GET_MSRS and KVM_SET_MSRS.
    ByMsr,
    /// As part of the system registers: KVM_GET_SREGS and KVM_SET_SREGS.
    BySregs,
}

/// An MSR.
#[derive(Clone, Copy)]
pub struct Row {
    /// Its number.
    pub index: u32,
    /// What CPUID must offer for it to exist; `None`: it always does.
    pub needs: Option<Feature>,
    /// How it is saved.
    pub saved: Saved,
    /// Whether WRMSR accepts a value.
    pub(crate) takes: fn(&CpuState, u64) -> bool,
    /// Its value.
    pub(crate) read: fn(&CpuState) -> u64,
    /// Stores a value that it takes.
    pub(crate) write: fn(&mut CpuState, u64),
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Row").field("index", &self.index).finish_non_exhaustive()
    }
}

/// A row whose MSR is a field of the processor.
macro_rules! row {
    ($index:expr, $needs:expr, $saved:ident, $takes:expr, $($path:tt)+) => {
        Row {
            index: $index,
            needs: $needs,
            saved: Saved::$saved,
            takes: $takes,
            read: |cpu| cpu.$($path)+,
            write: |cpu, value| cpu.$($path)+ = value,
        }
    };
}

/// Every MSR of this processor. Those that are saved by their number stand in an order in which they
/// can be set again: IA32_FRED_CONFIG, whose CSL selects among the stack pointers, comes after them.
#[rustfmt::skip]
pub const TABLE: [Row; 28] = [
    row!(TSC, None, ByMsr, any, msrs.tsc),
    row!(APIC_BASE, None, BySregs, any, msrs.apic_base),
    row!(msr::STAR, None, ByMsr, any, msrs.star),
    row!(msr::LSTAR, None, ByMsr, canonical, msrs.lstar),
    row!(msr::CSTAR, None, ByMsr, canonical, msrs.cstar),
    row!(msr::FMASK, None, ByMsr, low_half, msrs.fmask),
    row!(msr::FS_BASE, None, BySregs, canonical, segments.fs.base),
    row!(msr::GS_BASE, None, BySregs, canonical, segments.gs.base),
    row!(msr::KERNEL_GS_BASE, None, ByMsr, canonical, msrs.kernel_gs_base),
    row!(SYSENTER_CS, None, ByMsr, low_half, msrs.sysenter_cs),
    row!(SYSENTER_ESP, None, ByMsr, canonical, msrs.sysenter_esp),
    row!(SYSENTER_EIP, None, ByMsr, canonical, msrs.sysenter_eip),
    row!(DEBUGCTL, None, ByMsr, |_, value| value & !super::BTF == 0, msrs.debugctl),
    row!(PAT, None, ByMsr, memory_types, msrs.pat),
    row!(TSC_AUX, Some(RDTSCP), ByMsr, low_half, msrs.tsc_aux),
    row!(msr::XFD, Some(XFD), ByMsr, components, msrs.xfd),
    row!(msr::XFD_ERR, Some(XFD), ByMsr, components, msrs.xfd_err),
    row!(msr::FRED_RSP0, Some(FRED), ByMsr, fred_msr::<{ msr::FRED_RSP0 }>, msrs.fred.rsp[0]),
    row!(msr::FRED_RSP1, Some(FRED), ByMsr, fred_msr::<{ msr::FRED_RSP1 }>, msrs.fred.rsp[1]),
    row!(msr::FRED_RSP2, Some(FRED), ByMsr, fred_msr::<{ msr::FRED_RSP2 }>, msrs.fred.rsp[2]),
    row!(msr::FRED_RSP3, Some(FRED), ByMsr, fred_msr::<{ msr::FRED_RSP3 }>, msrs.fred.rsp[3]),
    row!(msr::FRED_STKLVLS, Some(FRED), ByMsr, any, msrs.fred.stklvls),
    row!(msr::FRED_SSP1, Some(FRED), ByMsr, fred_msr::<{ msr::FRED_SSP1 }>, msrs.fred.ssp[1]),
    row!(msr::FRED_SSP2, Some(FRED), ByMsr, fred_msr::<{ msr::FRED_SSP2 }>, msrs.fred.ssp[2]),
    row!(msr::FRED_SSP3, Some(FRED), ByMsr, fred_msr::<{ msr::FRED_SSP3 }>, msrs.fred.ssp[3]),
    row!(msr::FRED_SSP0, Some(FRED), ByMsr, fred_msr::<{ msr::FRED_SSP0 }>, msrs.fred.ssp[0]),
    row!(msr::FRED_CONFIG, Some(FRED), ByMsr, fred_msr::<{ msr::FRED_CONFIG }>, msrs.fred.config),
    Row { index: msr::EFER, needs: None, saved: Saved::BySregs, takes: efer, read: |cpu| cpu.efer, write: set_efer },
];

/// How many MSRs are saved by their number.
const BY_NUMBER: usize = {
    let (mut count, mut n) = (0, 0);
    while n < TABLE.len() {
        count += matches!(TABLE[n].saved, Saved::ByMsr) as usize;
        n += 1;
    }
    count
};

/// The MSRs that KVM_GET_MSRS and KVM_SET_MSRS carry, in the order of [`TABLE`].
pub const SAVED: [u32; BY_NUMBER] = {
    let mut saved = [0; BY_NUMBER];
    let (mut count, mut n) = (0, 0);
    while n < TABLE.len() {
        if matches!(TABLE[n].saved, Saved::ByMsr) {
            saved[count] = TABLE[n].index;
            count += 1;
        }
        n += 1;
    }
    saved
};

fn any(_: &CpuState, _: u64) -> bool {
    true
}

fn canonical(_: &CpuState, value: u64) -> bool {
    msr::is_canonical(value)
}

/// Bits 63:32 are reserved.
fn low_half(_: &CpuState, value: u64) -> bool {
    value >> 32 == 0
}

/// Eight memory types (SDM vol. 3, "Page attribute table").
fn memory_types(_: &CpuState, value: u64) -> bool {
    value.to_le_bytes().iter().all(|kind| matches!(kind, 0 | 1 | 4..=7))
}

/// State components that IA32_XFD can disable: TILEDATA.
fn components(_: &CpuState, value: u64) -> bool {
    value & !component::TILEDATA == 0
}

fn fred_msr<const INDEX: u32>(_: &CpuState, value: u64) -> bool {
    msr::check_write(INDEX, value).is_ok()
}

fn efer(cpu: &CpuState, value: u64) -> bool {
    let mut allowed = EFER_SCE | EFER_LME | EFER_LMA;
    if cpu.cpuid.has(NX) {
        allowed |= EFER_NXE;
    }
    let changes_lme = (value ^ cpu.efer) & EFER_LME != 0;
    value & !allowed == 0 && !(changes_lme && cpu.cr0 & CR0_PG != 0)
}

/// LMA is the processor's own.
fn set_efer(cpu: &mut CpuState, value: u64) {
    cpu.efer = value & !EFER_LMA | cpu.efer & EFER_LMA;
}
