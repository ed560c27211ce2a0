//! The MSRs that the processor itself reads or changes: each has a field there. Every other one is a number
//! in [`Plain`](super::Plain).

use crate::state::CpuState;
use fred::control::{CR0_PG, EFER_LMA, EFER_LME, EFER_NXE};
use fred::cpuid::NX;
use fred::msr;
use vm::msr::{APIC_BASE, DEBUGCTL, TSC, TSC_AUX};

/// How an MSR that is a field of the processor is read and written.
pub(super) struct Accessor {
    index: u32,
    /// What WRMSR asks of the processor, besides what [`vm::msr::TABLE`] says of the value.
    pub(super) takes: fn(&CpuState, u64) -> bool,
    pub(super) read: fn(&CpuState) -> u64,
    pub(super) write: fn(&mut CpuState, u64),
}

/// The accessor of an MSR; `None` for a plain one.
pub(super) fn of(index: u32) -> Option<&'static Accessor> {
    ACCESSORS.iter().find(|accessor| accessor.index == index)
}

/// An accessor of a field.
macro_rules! accessor {
    ($index:expr, $($path:tt)+) => {
        Accessor {
            index: $index,
            takes: |_, _| true,
            read: |cpu| cpu.$($path)+,
            write: |cpu, value| cpu.$($path)+ = value,
        }
    };
}

static ACCESSORS: [Accessor; 19] = [
    accessor!(TSC, msrs.tsc),
    accessor!(APIC_BASE, msrs.apic_base),
    accessor!(msr::STAR, msrs.star),
    accessor!(msr::LSTAR, msrs.lstar),
    accessor!(msr::FMASK, msrs.fmask),
    accessor!(msr::FS_BASE, segments.fs.base),
    accessor!(msr::GS_BASE, segments.gs.base),
    accessor!(msr::KERNEL_GS_BASE, msrs.kernel_gs_base),
    accessor!(DEBUGCTL, msrs.debugctl),
    accessor!(TSC_AUX, msrs.tsc_aux),
    accessor!(msr::XFD, msrs.xfd),
    accessor!(msr::XFD_ERR, msrs.xfd_err),
    accessor!(msr::FRED_RSP0, msrs.fred.rsp[0]),
    accessor!(msr::FRED_RSP1, msrs.fred.rsp[1]),
    accessor!(msr::FRED_RSP2, msrs.fred.rsp[2]),
    accessor!(msr::FRED_RSP3, msrs.fred.rsp[3]),
    accessor!(msr::FRED_STKLVLS, msrs.fred.stklvls),
    accessor!(msr::FRED_CONFIG, msrs.fred.config),
    Accessor { index: msr::EFER, takes: takes_efer, read: |cpu| cpu.efer, write: set_efer },
];

fn takes_efer(cpu: &CpuState, value: u64) -> bool {
    let changes_lme = (value ^ cpu.efer) & EFER_LME != 0;
    (value & EFER_NXE == 0 || cpu.cpuid.has(NX)) && !(changes_lme && cpu.cr0 & CR0_PG != 0)
}

/// LMA is the processor's own.
fn set_efer(cpu: &mut CpuState, value: u64) {
    cpu.efer = value & !EFER_LMA | cpu.efer & EFER_LMA;
}
