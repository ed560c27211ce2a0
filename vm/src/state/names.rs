//! Names of MSRs.

use fred::msr;

/// The manual's name of each MSR that is ever saved.
const NAMES: [(u32, &str); 37] = [
    (0x10, "IA32_TIME_STAMP_COUNTER"),
    (0x3B, "IA32_TSC_ADJUST"),
    (0x48, "IA32_SPEC_CTRL"),
    (0x174, "IA32_SYSENTER_CS"),
    (0x175, "IA32_SYSENTER_ESP"),
    (0x176, "IA32_SYSENTER_EIP"),
    (0x1A0, "IA32_MISC_ENABLE"),
    (msr::XFD, "IA32_XFD"),
    (msr::XFD_ERR, "IA32_XFD_ERR"),
    (msr::FRED_RSP0, "IA32_FRED_RSP0"),
    (msr::FRED_RSP1, "IA32_FRED_RSP1"),
    (msr::FRED_RSP2, "IA32_FRED_RSP2"),
    (msr::FRED_RSP3, "IA32_FRED_RSP3"),
    (msr::FRED_STKLVLS, "IA32_FRED_STKLVLS"),
    (msr::FRED_SSP1, "IA32_FRED_SSP1"),
    (msr::FRED_SSP2, "IA32_FRED_SSP2"),
    (msr::FRED_SSP3, "IA32_FRED_SSP3"),
    (msr::FRED_CONFIG, "IA32_FRED_CONFIG"),
    (0x1D9, "IA32_DEBUGCTL"),
    (0x277, "IA32_PAT"),
    (0x6A0, "IA32_U_CET"),
    (0x6A2, "IA32_S_CET"),
    (msr::FRED_SSP0, "IA32_PL0_SSP"),
    (0x6A5, "IA32_PL1_SSP"),
    (0x6A6, "IA32_PL2_SSP"),
    (0x6A7, "IA32_PL3_SSP"),
    (0x6A8, "IA32_INTERRUPT_SSP_TABLE_ADDR"),
    (0xDA0, "IA32_XSS"),
    (msr::EFER, "IA32_EFER"),
    (msr::STAR, "IA32_STAR"),
    (msr::LSTAR, "IA32_LSTAR"),
    (msr::CSTAR, "IA32_CSTAR"),
    (msr::FMASK, "IA32_FMASK"),
    (msr::FS_BASE, "IA32_FS_BASE"),
    (msr::GS_BASE, "IA32_GS_BASE"),
    (msr::KERNEL_GS_BASE, "IA32_KERNEL_GS_BASE"),
    (0xC000_0103, "IA32_TSC_AUX"),
];

/// The MSR's name, or its number.
pub(super) fn msr(index: u32) -> String {
    match NAMES.iter().find(|(number, _)| *number == index) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("MSR {index:#x}"),
    }
}

/// The MSR of this name.
pub(super) fn msr_named(name: &str) -> Option<u32> {
    NAMES.iter().find(|(_, known)| *known == name).map(|(index, _)| *index)
}

/// The MSRs that have a name.
#[cfg(test)]
pub(super) fn every() -> impl Iterator<Item = u32> {
    NAMES.iter().map(|(number, _)| *number)
}
