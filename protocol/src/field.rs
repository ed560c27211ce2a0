//! The fields that a judge compares, each with the name that reports use.

use core::fmt;

/// A field of a delivery, or of the case as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Field {
    /// Frame, offset 0x00.
    ErrorCode = 0,
    /// Frame, offset 0x08.
    Rip = 1,
    /// Frame, offset 0x10.
    Cs = 2,
    /// Frame, offset 0x18.
    Rflags = 3,
    /// Frame, offset 0x20.
    Rsp = 4,
    /// Frame, offset 0x28.
    Ss = 5,
    /// Frame, offset 0x30.
    EventData = 6,
    /// Frame, offset 0x38.
    Reserved = 7,
    /// CR2.
    Cr2 = 8,
    /// DR6.
    Dr6 = 9,
    /// DR7.
    Dr7 = 10,
    /// IA32_XFD_ERR.
    XfdErr = 11,
    /// Current stack level at entry.
    Csl = 12,
    /// The entry point used.
    EntryPoint = 13,
    /// RFLAGS at entry.
    EntryRflags = 14,
    /// RSP at entry.
    EntryRsp = 15,
    /// IA32_GS_BASE.
    GsBase = 16,
    /// IA32_KERNEL_GS_BASE.
    KernelGsBase = 17,
    /// The vector.
    Vector = 18,
    /// How often a handler was entered.
    Entries = 19,
    /// A value that the act itself left, for cases that have one.
    Result = 20,
    /// RAX.
    Rax = 21,
    /// RCX.
    Rcx = 22,
    /// RDX.
    Rdx = 23,
    /// RBX.
    Rbx = 24,
    /// RBP.
    Rbp = 25,
    /// RSI.
    Rsi = 26,
    /// RDI.
    Rdi = 27,
    /// R8.
    R8 = 28,
    /// R9.
    R9 = 29,
    /// R10.
    R10 = 30,
    /// R11.
    R11 = 31,
    /// R12.
    R12 = 32,
    /// R13.
    R13 = 33,
    /// R14.
    R14 = 34,
    /// R15.
    R15 = 35,
    /// XMM0, either half.
    Xmm0 = 36,
    /// XMM1, either half.
    Xmm1 = 37,
    /// MP, EM and TS of CR0.
    Cr0 = 38,
    /// IA32_FS_BASE.
    FsBase = 39,
    /// IA32_DEBUGCTL.
    Debugctl = 40,
    /// IA32_XFD.
    Xfd = 41,
}

/// Every field with its name, in the order of their numbers.
const NAMES: [(Field, &str); 42] = [
    (Field::ErrorCode, "error code"),
    (Field::Rip, "RIP"),
    (Field::Cs, "CS"),
    (Field::Rflags, "RFLAGS"),
    (Field::Rsp, "RSP"),
    (Field::Ss, "SS"),
    (Field::EventData, "event data"),
    (Field::Reserved, "reserved"),
    (Field::Cr2, "CR2"),
    (Field::Dr6, "DR6"),
    (Field::Dr7, "DR7"),
    (Field::XfdErr, "XFD_ERR"),
    (Field::Csl, "CSL"),
    (Field::EntryPoint, "entry point"),
    (Field::EntryRflags, "RFLAGS at entry"),
    (Field::EntryRsp, "RSP at entry"),
    (Field::GsBase, "GS.base"),
    (Field::KernelGsBase, "KERNEL_GS_BASE"),
    (Field::Vector, "vector"),
    (Field::Entries, "entries"),
    (Field::Result, "result"),
    (Field::Rax, "RAX"),
    (Field::Rcx, "RCX"),
    (Field::Rdx, "RDX"),
    (Field::Rbx, "RBX"),
    (Field::Rbp, "RBP"),
    (Field::Rsi, "RSI"),
    (Field::Rdi, "RDI"),
    (Field::R8, "R8"),
    (Field::R9, "R9"),
    (Field::R10, "R10"),
    (Field::R11, "R11"),
    (Field::R12, "R12"),
    (Field::R13, "R13"),
    (Field::R14, "R14"),
    (Field::R15, "R15"),
    (Field::Xmm0, "XMM0"),
    (Field::Xmm1, "XMM1"),
    (Field::Cr0, "CR0"),
    (Field::FsBase, "FS.base"),
    (Field::Debugctl, "DEBUGCTL"),
    (Field::Xfd, "XFD"),
];

/// What follows a field's name where it was read after the last return.
pub const RETURNED: &str = " after the return";

/// The general registers, in the order in which instructions number them; RSP has a field of its own.
pub const GENERAL: [Field; 15] = [
    Field::Rax,
    Field::Rcx,
    Field::Rdx,
    Field::Rbx,
    Field::Rbp,
    Field::Rsi,
    Field::Rdi,
    Field::R8,
    Field::R9,
    Field::R10,
    Field::R11,
    Field::R12,
    Field::R13,
    Field::R14,
    Field::R15,
];

impl Field {
    /// The field with this number, if there is one.
    pub fn from_number(number: u32) -> Option<Self> {
        NAMES.get(number as usize).map(|(field, _)| *field)
    }

    /// The field with this name, if there is one.
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(_, known)| *known == name).map(|(field, _)| *field)
    }

    /// The frame's field at quadword `index`, 0..=7.
    pub fn of_frame(index: usize) -> Option<Self> {
        if index < 8 { Self::from_number(index as u32) } else { None }
    }

    /// The name that reports use.
    pub const fn name(self) -> &'static str {
        NAMES[self as usize].1
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_agree() {
        for (number, (field, name)) in NAMES.into_iter().enumerate() {
            assert_eq!(field as usize, number);
            assert_eq!(Field::from_number(number as u32), Some(field));
            assert_eq!(field.name(), name);
            assert_eq!(Field::named(name), Some(field));
        }
        assert_eq!(Field::from_number(NAMES.len() as u32), None);
        assert_eq!(Field::named("event date"), None);
        assert_eq!(Field::of_frame(6), Some(Field::EventData));
        assert_eq!(Field::of_frame(8), None);
    }
}
