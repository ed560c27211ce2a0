//! The fields that a restore compares: the one table of their names.

use crate::msr;
use kvm_bindings::kvm_regs;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// An enum whose variants have names.
macro_rules! named {
    ($(#[$about:meta])* $list:ident: $($one:ident $name:literal),* $(,)?) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $list {
            $(#[doc = $name] $one),*
        }

        impl $list {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$one),*];

            /// The name that reports and lists use.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$one => $name),*
                }
            }

            fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }
        }
    };
}

named! {
    /// A register, or another part of the vCPU's state, that exists once.
    Register:
    Rax "RAX", Rbx "RBX", Rcx "RCX", Rdx "RDX", Rsi "RSI", Rdi "RDI", Rsp "RSP", Rbp "RBP",
    R8 "R8", R9 "R9", R10 "R10", R11 "R11", R12 "R12", R13 "R13", R14 "R14", R15 "R15",
    Rip "RIP", Rflags "RFLAGS",
    Cr0 "CR0", Cr2 "CR2", Cr3 "CR3", Cr4 "CR4", Cr8 "CR8",
    Pdptr0 "PDPTR0", Pdptr1 "PDPTR1", Pdptr2 "PDPTR2", Pdptr3 "PDPTR3",
    Dr0 "DR0", Dr1 "DR1", Dr2 "DR2", Dr3 "DR3", Dr6 "DR6", Dr7 "DR7",
    Xcr0 "XCR0", Mxcsr "MXCSR",
    X87Control "x87 control", X87Registers "x87 registers", XmmRegisters "XMM registers",
    MpState "MP state", TscKhz "TSC rate in kHz",
    ExceptionPending "exception pending", ExceptionInjected "exception injected",
    ExceptionVector "exception vector", ExceptionHasErrorCode "exception has error code",
    ExceptionErrorCode "exception error code", ExceptionHasPayload "exception has payload",
    ExceptionPayload "exception payload",
    InterruptInjected "interrupt injected", InterruptVector "interrupt vector",
    InterruptShadow "interrupt shadow",
    NmiInjected "NMI injected", NmiPending "NMI pending", NmiMasked "NMI masked",
    Smm "SMM", SmiPending "SMI pending", TripleFaultPending "triple fault pending",
    NestedBit "nested bit", EventData "event data",
}

/// Reads a register.
type Reads = fn(&kvm_regs) -> u64;

/// Registers, each with what reads it.
macro_rules! general {
    ($($register:ident $field:ident),*) => { [$((Self::$register, |regs| regs.$field)),*] };
}

impl Register {
    /// The debug registers that hold addresses.
    pub const BREAKPOINTS: [Self; 4] = [Self::Dr0, Self::Dr1, Self::Dr2, Self::Dr3];
    /// The page-directory-pointer registers.
    pub const PDPTRS: [Self; 4] = [Self::Pdptr0, Self::Pdptr1, Self::Pdptr2, Self::Pdptr3];
    /// The general-purpose registers, RIP and RFLAGS with what holds them.
    pub const GENERAL: [(Self, Reads); 18] = general![
        Rip rip, Rflags rflags, Rax rax, Rbx rbx, Rcx rcx, Rdx rdx, Rsi rsi, Rdi rdi, Rsp rsp, Rbp rbp,
        R8 r8, R9 r9, R10 r10, R11 r11, R12 r12, R13 r13, R14 r14, R15 r15
    ];
}

named! {
    /// A segment register.
    Segment: Cs "CS", Ds "DS", Es "ES", Fs "FS", Gs "GS", Ss "SS", Tr "TR", Ldtr "LDTR",
}

named! {
    /// A part of a segment register.
    SegmentPart: Selector "selector", Base "base", Unusable "unusable", Limit "limit", Attributes "attributes",
}

named! {
    /// A register that says where a descriptor table is.
    Table: Gdtr "GDTR", Idtr "IDTR",
}

named! {
    /// A part of such a register.
    TablePart: Base "base", Limit "limit",
}

named! {
    /// A register that CPUID writes.
    CpuidRegister: Eax "EAX", Ebx "EBX", Ecx "ECX", Edx "EDX",
}

/// A field that a restore compares. It is printed as its name, and parsed from that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Field {
    /// A field that exists once.
    Register(Register),
    /// A part of a segment register.
    Segment(Segment, SegmentPart),
    /// A part of a descriptor-table register.
    Table(Table, TablePart),
    /// An MSR, by its index.
    Msr(u32),
    /// A component of the XSAVE area, by its number.
    XsaveComponent(u32),
    /// A leaf of the guest's CPUID: one of its registers, or whether the leaf exists.
    Cpuid {
        /// EAX.
        leaf: u32,
        /// ECX.
        subleaf: u32,
        /// The register.
        register: Option<CpuidRegister>,
    },
    /// A page of guest memory, by its guest-physical address.
    MemoryPage(u64),
}

impl From<Register> for Field {
    fn from(register: Register) -> Self {
        Self::Register(register)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register(register) => f.write_str(register.name()),
            Self::Segment(segment, part) => write!(f, "{} {}", segment.name(), part.name()),
            Self::Table(table, part) => write!(f, "{} {}", table.name(), part.name()),
            Self::Msr(index) => f.write_str(&msr::name(*index)),
            Self::XsaveComponent(number) => write!(f, "XSAVE component {number}"),
            Self::Cpuid { leaf, subleaf, register } => {
                write!(f, "CPUID leaf {leaf:#x}.{subleaf}")?;
                register.map_or(Ok(()), |register| write!(f, " {}", register.name()))
            }
            Self::MemoryPage(address) => write!(f, "memory page {address:#x}"),
        }
    }
}

/// No field has this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoField;

impl FromStr for Field {
    type Err = NoField;

    fn from_str(name: &str) -> Result<Self, NoField> {
        let field = Register::named(name).map(Self::Register).or_else(|| compound(name)).ok_or(NoField)?;
        if field.to_string() == name { Ok(field) } else { Err(NoField) }
    }
}

/// A field that has several words, or an MSR.
fn compound(name: &str) -> Option<Field> {
    if let Some(index) = msr::named(name) {
        return Some(Field::Msr(index));
    }
    let hexadecimal = |digits: &str| u64::from_str_radix(digits, 16).ok();
    if let Some(index) = name.strip_prefix("MSR 0x") {
        return Some(Field::Msr(u32::try_from(hexadecimal(index)?).ok()?));
    }
    if let Some(number) = name.strip_prefix("XSAVE component ") {
        return number.parse().ok().map(Field::XsaveComponent);
    }
    if let Some(address) = name.strip_prefix("memory page 0x") {
        return hexadecimal(address).map(Field::MemoryPage);
    }
    if let Some(rest) = name.strip_prefix("CPUID leaf 0x") {
        let (leaf, register) = match rest.split_once(' ') {
            Some((leaf, register)) => (leaf, Some(CpuidRegister::named(register)?)),
            None => (rest, None),
        };
        let (leaf, subleaf) = leaf.split_once('.')?;
        let (leaf, subleaf) = (u32::try_from(hexadecimal(leaf)?).ok()?, subleaf.parse().ok()?);
        return Some(Field::Cpuid { leaf, subleaf, register });
    }
    let (stem, part) = name.split_once(' ')?;
    match (Segment::named(stem), Table::named(stem)) {
        (Some(segment), _) => Some(Field::Segment(segment, SegmentPart::named(part)?)),
        (None, Some(table)) => Some(Field::Table(table, TablePart::named(part)?)),
        (None, None) => None,
    }
}
