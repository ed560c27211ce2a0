//! The MSRs of a guest, a row each: to add one is to add a row.
//!
//! [`TABLE`] gives the list to save, its order, the names in differences, and the model's MSRs. An MSR that
//! does more than keep its value has an accessor in `model/src/msr` as well.

use Access::Kvm;
use fred::control::{EFER_LMA, EFER_LME, EFER_NXE, EFER_SCE};
use fred::cpuid::{FRED, Feature, RDTSCP, Register, XFD};
use fred::data::DeviceNotAvailableData;
use fred::msr::*;
use kvm_bindings::kvm_cpuid_entry2;

/// IA32_TIME_STAMP_COUNTER.
pub const TSC: u32 = 0x10;
/// IA32_APIC_BASE.
pub const APIC_BASE: u32 = 0x1B;
/// IA32_DEBUGCTL.
pub const DEBUGCTL: u32 = 0x1D9;
/// IA32_DEBUGCTL.BTF: RFLAGS.TF traps after taken branches only.
pub const BTF: u64 = 1 << 1;
/// IA32_TSC_AUX.
pub const TSC_AUX: u32 = 0xC000_0103;

/// An MSR.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its number.
    pub index: u32,
    /// Its name in the manual.
    pub name: &'static str,
    /// A guest has it if its CPUID has any of these; with none here, always.
    pub needs: &'static [Feature],
    /// How it is saved and restored.
    pub saved: Saved,
    /// Who can access it.
    pub access: Access,
}

/// How an MSR is saved and restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// With KVM_GET_MSRS and KVM_SET_MSRS.
    ByMsrs,
    /// As part of the system registers: KVM_GET_SREGS and KVM_SET_SREGS.
    BySregs,
}

/// Who can read and write an MSR, by RDMSR and WRMSR or by KVM_GET_MSRS and KVM_SET_MSRS.
#[derive(Clone, Copy, Debug)]
pub enum Access {
    /// Guest and host on every machine.
    Everywhere {
        /// Its value after reset, on the model.
        reset: u64,
        /// The values that it takes, on the model.
        takes: fn(u64) -> bool,
    },
    /// Guest and host on KVM; the model does not have it.
    Kvm,
}

impl Row {
    /// Whether a guest with this CPUID has it.
    pub fn exists(&self, cpuid: &[kvm_cpuid_entry2]) -> bool {
        self.needs.is_empty() || self.needs.iter().any(|feature| crate::cpuid::has(cpuid, *feature))
    }

    /// Whether the model has it.
    pub const fn is_modelled(&self) -> bool {
        matches!(self.access, Access::Everywhere { .. })
    }
}

const fn row(index: u32, name: &'static str, needs: &'static [Feature], access: Access) -> Row {
    Row { index, name, needs, saved: Saved::ByMsrs, access }
}

const fn by_sregs(index: u32, name: &'static str, access: Access) -> Row {
    Row { index, name, needs: &[], saved: Saved::BySregs, access }
}

const fn takes(takes: fn(u64) -> bool) -> Access {
    Access::Everywhere { reset: 0, takes }
}

const fn from_reset(reset: u64, takes: fn(u64) -> bool) -> Access {
    Access::Everywhere { reset, takes }
}

/// Shadow stacks.
const SHSTK: Feature = Feature { name: "SHSTK", leaf: 7, subleaf: 0, register: Register::Ecx, bit: 7 };
/// RDPID, which reads IA32_TSC_AUX.
const RDPID: Feature = Feature { name: "RDPID", leaf: 7, subleaf: 0, register: Register::Ecx, bit: 22 };
/// Indirect-branch tracking.
const IBT: Feature = Feature { name: "IBT", leaf: 7, subleaf: 0, register: Register::Edx, bit: 20 };

/// Every MSR that is ever saved, in an order in which they can be set again.
///
/// IA32_FRED_CONFIG comes after the stack pointers and levels that its CSL field selects among; no write of
/// one depends on another's value. IA32_XFD comes before IA32_XFD_ERR, which has no rule.
#[rustfmt::skip]
pub const TABLE: &[Row] = &[
    row(TSC, "IA32_TIME_STAMP_COUNTER", &[], takes(any)),
    row(0x3B, "IA32_TSC_ADJUST", &[], Kvm),
    row(0x48, "IA32_SPEC_CTRL", &[], Kvm),
    row(0x174, "IA32_SYSENTER_CS", &[], takes(low_half)),
    row(0x175, "IA32_SYSENTER_ESP", &[], takes(is_canonical)),
    row(0x176, "IA32_SYSENTER_EIP", &[], takes(is_canonical)),
    row(0x1A0, "IA32_MISC_ENABLE", &[], Kvm),
    row(DEBUGCTL, "IA32_DEBUGCTL", &[], takes(|value| value & !BTF == 0)),
    row(0x277, "IA32_PAT", &[], from_reset(0x0007_0406_0007_0406, memory_types)),
    row(STAR, "IA32_STAR", &[], takes(any)),
    row(LSTAR, "IA32_LSTAR", &[], takes(is_canonical)),
    row(CSTAR, "IA32_CSTAR", &[], takes(is_canonical)),
    row(FMASK, "IA32_FMASK", &[], takes(low_half)),
    row(KERNEL_GS_BASE, "IA32_KERNEL_GS_BASE", &[], takes(is_canonical)),
    row(TSC_AUX, "IA32_TSC_AUX", &[RDTSCP, RDPID], takes(low_half)),
    row(0xDA0, "IA32_XSS", &[], Kvm),
    row(0x6A0, "IA32_U_CET", &[SHSTK, IBT], Kvm),
    row(0x6A2, "IA32_S_CET", &[SHSTK, IBT], Kvm),
    row(0x6A5, "IA32_PL1_SSP", &[SHSTK], Kvm),
    row(0x6A6, "IA32_PL2_SSP", &[SHSTK], Kvm),
    row(0x6A7, "IA32_PL3_SSP", &[SHSTK], Kvm),
    row(0x6A8, "IA32_INTERRUPT_SSP_TABLE_ADDR", &[SHSTK], Kvm),
    row(fred::msr::XFD, "IA32_XFD", &[XFD], takes(tiles)),
    row(XFD_ERR, "IA32_XFD_ERR", &[XFD], takes(tiles)),
    row(FRED_RSP0, "IA32_FRED_RSP0", &[FRED], takes(of_fred::<FRED_RSP0>)),
    row(FRED_RSP1, "IA32_FRED_RSP1", &[FRED], takes(of_fred::<FRED_RSP1>)),
    row(FRED_RSP2, "IA32_FRED_RSP2", &[FRED], takes(of_fred::<FRED_RSP2>)),
    row(FRED_RSP3, "IA32_FRED_RSP3", &[FRED], takes(of_fred::<FRED_RSP3>)),
    row(FRED_STKLVLS, "IA32_FRED_STKLVLS", &[FRED], takes(any)),
    row(FRED_SSP0, "IA32_PL0_SSP", &[FRED, SHSTK], takes(of_fred::<FRED_SSP0>)),
    row(FRED_SSP1, "IA32_FRED_SSP1", &[FRED], takes(of_fred::<FRED_SSP1>)),
    row(FRED_SSP2, "IA32_FRED_SSP2", &[FRED], takes(of_fred::<FRED_SSP2>)),
    row(FRED_SSP3, "IA32_FRED_SSP3", &[FRED], takes(of_fred::<FRED_SSP3>)),
    row(FRED_CONFIG, "IA32_FRED_CONFIG", &[FRED], takes(of_fred::<FRED_CONFIG>)),
    // Of the bootstrap processor, enabled.
    by_sregs(APIC_BASE, "IA32_APIC_BASE", from_reset(0xFEE0_0900, any)),
    by_sregs(EFER, "IA32_EFER", takes(|value| value & !(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE) == 0)),
    by_sregs(FS_BASE, "IA32_FS_BASE", takes(is_canonical)),
    by_sregs(GS_BASE, "IA32_GS_BASE", takes(is_canonical)),
];

fn any(_: u64) -> bool {
    true
}

/// Bits 63:32 are reserved.
fn low_half(value: u64) -> bool {
    value >> 32 == 0
}

/// Eight memory types (SDM vol. 3, "Page attribute table").
fn memory_types(value: u64) -> bool {
    value.to_le_bytes().iter().all(|kind| matches!(kind, 0 | 1 | 4..=7))
}

/// The state component that IA32_XFD can disable: TILEDATA.
fn tiles(value: u64) -> bool {
    value & !DeviceNotAvailableData::TILEDATA == 0
}

fn of_fred<const INDEX: u32>(value: u64) -> bool {
    check_write(INDEX, value).is_ok()
}

/// The place of an MSR in [`TABLE`].
pub fn position(index: u32) -> Option<usize> {
    TABLE.iter().position(|row| row.index == index)
}

/// The MSR's name, or its number.
pub fn name(index: u32) -> String {
    match position(index) {
        Some(n) => TABLE[n].name.to_owned(),
        None => format!("MSR {index:#x}"),
    }
}

/// The MSR of this name.
pub fn named(name: &str) -> Option<u32> {
    TABLE.iter().find(|row| row.name == name).map(|row| row.index)
}

/// Those of `offered` that are saved by KVM_GET_MSRS and that a guest with this CPUID has, in the order in which
/// they are set again.
///
/// KVM_GET_MSR_INDEX_LIST offers an MSR when the *host* has it; a guest whose CPUID lacks the feature may be
/// refused it.
pub fn to_save(offered: &[u32], cpuid: &[kvm_cpuid_entry2]) -> Vec<u32> {
    let saved = TABLE.iter().filter(|row| row.saved == Saved::ByMsrs && row.exists(cpuid));
    saved.map(|row| row.index).filter(|index| offered.contains(index)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kvm_bindings::KVM_CPUID_FLAG_SIGNIFCANT_INDEX;

    fn leaf(function: u32, index: u32, eax: u32) -> kvm_cpuid_entry2 {
        kvm_cpuid_entry2 {
            function,
            index,
            flags: KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
            eax,
            ..Default::default()
        }
    }

    #[test]
    fn an_msr_needs_the_kernel_and_the_feature() {
        let kernel =
            [0x1C5, 0x1C4, 0x277, 0x1CC, 0x1CD, 0x1CE, 0x1CF, 0x1D0, 0x1D1, 0x1D2, 0x1D3, 0x1D4, 0x6A4];
        assert_eq!(to_save(&kernel, &[]), [0x277]);
        let xfd = [leaf(0xD, 1, 1 << 4)];
        assert_eq!(to_save(&kernel, &xfd), [0x277, 0x1C4, 0x1C5]);
        let fred = [leaf(7, 0, 1 << 17), leaf(7, 1, 1 << 17)];
        assert_eq!(
            to_save(&kernel, &fred),
            [0x277, 0x1CC, 0x1CD, 0x1CE, 0x1CF, 0x1D0, 0x6A4, 0x1D1, 0x1D2, 0x1D3, 0x1D4]
        );
        assert_eq!(to_save(&[0x1CC], &[leaf(7, 0, 1 << 17)]), [0; 0], "the sub-leaf counts");
    }

    #[test]
    fn every_msr_and_every_name_is_there_once() {
        for index in FRED_ALL {
            assert!(position(index).is_some(), "{index:#x}");
        }
        for row in TABLE {
            let same = TABLE.iter().filter(|other| other.index == row.index || other.name == row.name);
            assert_eq!(same.count(), 1, "{row:?}");
        }
    }
}
