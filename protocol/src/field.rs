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
    /// CR2 at entry.
    Cr2 = 8,
    /// DR6 at entry.
    Dr6 = 9,
    /// DR7 at entry.
    Dr7 = 10,
    /// IA32_XFD_ERR at entry.
    XfdErr = 11,
    /// Current stack level at entry.
    Csl = 12,
    /// The entry point used.
    EntryPoint = 13,
    /// RFLAGS at entry.
    EntryRflags = 14,
    /// RSP at entry.
    EntryRsp = 15,
    /// IA32_GS_BASE at entry.
    GsBase = 16,
    /// IA32_KERNEL_GS_BASE at entry.
    KernelGsBase = 17,
    /// The vector.
    Vector = 18,
    /// How often a handler was entered.
    Entries = 19,
    /// A value that the act itself left, for cases that have one.
    Result = 20,
}

/// Every field with its name, in the order of their numbers.
const NAMES: [(Field, &str); 21] = [
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
