//! Names of MSRs, for people, and of everything else that a restore compares.

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

/// The MSRs that have a name.
#[cfg(test)]
pub(super) fn every() -> impl Iterator<Item = u32> {
    NAMES.iter().map(|(number, _)| *number)
}

/// What a restore compares and that has one name; what has many is in [`is_field`].
const FIELDS: [&str; 59] = [
    "RAX",
    "RBX",
    "RCX",
    "RDX",
    "RSI",
    "RDI",
    "RSP",
    "RBP",
    "R8",
    "R9",
    "R10",
    "R11",
    "R12",
    "R13",
    "R14",
    "R15",
    "RIP",
    "RFLAGS",
    "CR0",
    "CR2",
    "CR3",
    "CR4",
    "CR8",
    "IA32_APIC_BASE",
    "PDPTR0",
    "PDPTR1",
    "PDPTR2",
    "PDPTR3",
    "DR0",
    "DR1",
    "DR2",
    "DR3",
    "DR6",
    "DR7",
    "XCR0",
    "MXCSR",
    "x87 control",
    "x87 registers",
    "XMM registers",
    "MP state",
    "TSC rate in kHz",
    "exception pending",
    "exception injected",
    "exception vector",
    "exception has error code",
    "exception error code",
    "exception has payload",
    "exception payload",
    "interrupt injected",
    "interrupt vector",
    "interrupt shadow",
    "NMI injected",
    "NMI pending",
    "NMI masked",
    "SMM",
    "SMI pending",
    "triple fault pending",
    "nested bit",
    "event data",
];

/// Whether a restore compares a field of this name.
pub fn is_field(name: &str) -> bool {
    let numbered = ["MSR 0x", "XSAVE component ", "CPUID leaf 0x", "memory page 0x"];
    let part_of = |stems: &[&str], parts: &[&str]| {
        name.split_once(' ').is_some_and(|(stem, part)| stems.contains(&stem) && parts.contains(&part))
    };
    FIELDS.contains(&name)
        || NAMES.iter().any(|(_, msr)| *msr == name)
        || numbered.iter().any(|stem| name.starts_with(stem))
        || part_of(
            &["CS", "DS", "ES", "FS", "GS", "SS", "TR", "LDTR"],
            &["selector", "base", "unusable", "limit", "attributes"],
        )
        || part_of(&["GDTR", "IDTR"], &["base", "limit"])
}
