//! The MSRs that the processor itself reads or changes: each has a field there. Every other one is a number
//! in [`Plain`](super::Plain).

use crate::state::CpuState;
use fred::control::{CR0_PG, EFER_LMA, EFER_LME, EFER_NXE};
use fred::cpuid::NX;
use fred::msr;
use vm::msr::{APIC_BASE, DEBUGCTL, TSC, TSC_AUX};

/// Where the processor keeps an MSR.
pub(super) struct Place {
    index: u32,
    /// What WRMSR asks of the processor, besides what [`vm::msr::TABLE`] says of the value.
    pub(super) takes: fn(&CpuState, u64) -> bool,
    pub(super) read: fn(&CpuState) -> u64,
    pub(super) write: fn(&mut CpuState, u64),
}

/// The place of an MSR; `None` for a plain one.
pub(super) fn of(index: u32) -> Option<&'static Place> {
    PLACES.iter().find(|place| place.index == index)
}

/// A place that is a field.
macro_rules! place {
    ($index:expr, $($path:tt)+) => {
        Place {
            index: $index,
            takes: |_, _| true,
            read: |cpu| cpu.$($path)+,
            write: |cpu, value| cpu.$($path)+ = value,
        }
    };
}

static PLACES: [Place; 19] = [
    place!(TSC, msrs.tsc),
    place!(APIC_BASE, msrs.apic_base),
    place!(msr::STAR, msrs.star),
    place!(msr::LSTAR, msrs.lstar),
    place!(msr::FMASK, msrs.fmask),
    place!(msr::FS_BASE, segments.fs.base),
    place!(msr::GS_BASE, segments.gs.base),
    place!(msr::KERNEL_GS_BASE, msrs.kernel_gs_base),
    place!(DEBUGCTL, msrs.debugctl),
    place!(TSC_AUX, msrs.tsc_aux),
    place!(msr::XFD, msrs.xfd),
    place!(msr::XFD_ERR, msrs.xfd_err),
    place!(msr::FRED_RSP0, msrs.fred.rsp[0]),
    place!(msr::FRED_RSP1, msrs.fred.rsp[1]),
    place!(msr::FRED_RSP2, msrs.fred.rsp[2]),
    place!(msr::FRED_RSP3, msrs.fred.rsp[3]),
    place!(msr::FRED_STKLVLS, msrs.fred.stklvls),
    place!(msr::FRED_CONFIG, msrs.fred.config),
    Place { index: msr::EFER, takes: takes_efer, read: |cpu| cpu.efer, write: set_efer },
];

fn takes_efer(cpu: &CpuState, value: u64) -> bool {
    let changes_lme = (value ^ cpu.efer) & EFER_LME != 0;
    (value & EFER_NXE == 0 || cpu.cpuid.has(NX)) && !(changes_lme && cpu.cr0 & CR0_PG != 0)
}

/// LMA is the processor's own.
fn set_efer(cpu: &mut CpuState, value: u64) {
    cpu.efer = value & !EFER_LMA | cpu.efer & EFER_LMA;
}
