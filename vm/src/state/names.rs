//! The names of what a restore compares.

use crate::msr;

/// What a restore compares and that has one name; what has many is in [`is_field`].
const FIELDS: [&str; 58] = [
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
        || msr::TABLE.iter().any(|msr| msr.name == name)
        || numbered.iter().any(|stem| name.starts_with(stem))
        || part_of(
            &["CS", "DS", "ES", "FS", "GS", "SS", "TR", "LDTR"],
            &["selector", "base", "unusable", "limit", "attributes"],
        )
        || part_of(&["GDTR", "IDTR"], &["base", "limit"])
}
