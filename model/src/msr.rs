//! RDMSR and WRMSR.

use crate::processor::Processor;
use crate::xstate::component;
use fred::control::{CR0_PG, EFER_LMA, EFER_LME, EFER_NXE, EFER_SCE};
use fred::{cpuid, msr};

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
/// IA32_DEBUGCTL.BTF: RFLAGS.TF traps behind taken branches only.
pub const BTF: u64 = 1 << 1;
/// IA32_PAT.
pub const PAT: u32 = 0x277;
/// IA32_TSC_AUX.
pub const TSC_AUX: u32 = 0xC000_0103;

/// State components that IA32_XFD can disable.
const XFD_SUPPORTED: u64 = component::TILEDATA;

/// WRMSR raises #GP(0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("MSR {index:#x} does not exist on this processor or does not take {value:#x}")]
pub struct RefusedMsr {
    /// The MSR.
    pub index: u32,
    /// The value refused.
    pub value: u64,
}

impl Processor {
    /// The value of an MSR; `None` when it does not exist here and RDMSR raises #GP(0).
    pub fn read_msr(&self, index: u32) -> Option<u64> {
        let m = &self.msrs;
        let fred = self.cpuid.has(cpuid::FRED);
        let xfd = self.cpuid.has(cpuid::XFD);
        Some(match index {
            TSC => m.tsc,
            APIC_BASE => m.apic_base,
            SYSENTER_CS => m.sysenter_cs,
            SYSENTER_ESP => m.sysenter_esp,
            SYSENTER_EIP => m.sysenter_eip,
            PAT => m.pat,
            DEBUGCTL => m.debugctl,
            msr::EFER => self.efer,
            msr::STAR => m.star,
            msr::LSTAR => m.lstar,
            msr::CSTAR => m.cstar,
            msr::FMASK => m.fmask,
            msr::FS_BASE => self.segments.fs.base,
            msr::GS_BASE => self.segments.gs.base,
            msr::KERNEL_GS_BASE => m.kernel_gs_base,
            TSC_AUX => m.tsc_aux,
            msr::XFD if xfd => m.xfd,
            msr::XFD_ERR if xfd => m.xfd_err,
            msr::FRED_RSP0..=msr::FRED_RSP3 if fred => m.fred.rsp[(index - msr::FRED_RSP0) as usize],
            msr::FRED_SSP1..=msr::FRED_SSP3 if fred => m.fred.ssp[(index - msr::FRED_SSP1) as usize + 1],
            msr::FRED_SSP0 if fred => m.fred.ssp[0],
            msr::FRED_STKLVLS if fred => m.fred.stklvls,
            msr::FRED_CONFIG if fred => m.fred.config,
            _ => return None,
        })
    }

    /// Writes an MSR with the checks of WRMSR.
    ///
    /// # Errors
    /// When it does not exist or refuses the value: WRMSR raises #GP(0). Nothing has changed then.
    pub fn write_msr(&mut self, index: u32, value: u64) -> Result<(), RefusedMsr> {
        let refused = RefusedMsr { index, value };
        let require = |condition: bool| if condition { Ok(()) } else { Err(refused) };
        require(self.read_msr(index).is_some())?;
        require(msr::check_write(index, value).is_ok())?;
        match index {
            msr::LSTAR
            | msr::CSTAR
            | msr::FS_BASE
            | msr::GS_BASE
            | msr::KERNEL_GS_BASE
            | SYSENTER_ESP
            | SYSENTER_EIP => require(msr::is_canonical(value))?,
            msr::FMASK | TSC_AUX | SYSENTER_CS => require(value >> 32 == 0)?,
            PAT => require(value.to_le_bytes().iter().all(|kind| matches!(kind, 0 | 1 | 4..=7)))?,
            msr::XFD | msr::XFD_ERR => require(value & !XFD_SUPPORTED == 0)?,
            DEBUGCTL => require(value & !BTF == 0)?,
            msr::EFER => require(self.efer_is_valid(value))?,
            _ => {}
        }
        let m = &mut self.msrs;
        match index {
            TSC => m.tsc = value,
            APIC_BASE => m.apic_base = value,
            SYSENTER_CS => m.sysenter_cs = value,
            SYSENTER_ESP => m.sysenter_esp = value,
            SYSENTER_EIP => m.sysenter_eip = value,
            PAT => m.pat = value,
            DEBUGCTL => m.debugctl = value,
            msr::EFER => self.efer = value & !EFER_LMA | self.efer & EFER_LMA,
            msr::STAR => m.star = value,
            msr::LSTAR => m.lstar = value,
            msr::CSTAR => m.cstar = value,
            msr::FMASK => m.fmask = value,
            msr::FS_BASE => self.segments.fs.base = value,
            msr::GS_BASE => self.segments.gs.base = value,
            msr::KERNEL_GS_BASE => m.kernel_gs_base = value,
            TSC_AUX => m.tsc_aux = value,
            msr::XFD => m.xfd = value,
            msr::XFD_ERR => m.xfd_err = value,
            msr::FRED_RSP0..=msr::FRED_RSP3 => m.fred.rsp[(index - msr::FRED_RSP0) as usize] = value,
            msr::FRED_SSP1..=msr::FRED_SSP3 => m.fred.ssp[(index - msr::FRED_SSP1) as usize + 1] = value,
            msr::FRED_SSP0 => m.fred.ssp[0] = value,
            msr::FRED_STKLVLS => m.fred.stklvls = value,
            msr::FRED_CONFIG => m.fred.config = value,
            _ => return Err(refused),
        }
        Ok(())
    }

    fn efer_is_valid(&self, value: u64) -> bool {
        let mut allowed = EFER_SCE | EFER_LME | EFER_LMA;
        if self.cpuid.has(cpuid::NX) {
            allowed |= EFER_NXE;
        }
        let changes_lme = (value ^ self.efer) & EFER_LME != 0;
        value & !allowed == 0 && !(changes_lme && self.cr0 & CR0_PG != 0)
    }
}
