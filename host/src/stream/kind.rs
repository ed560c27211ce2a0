//! What the sections of a stream hold.

/// Largest guest memory that travels, in bytes.
pub const MOST_MEMORY: u64 = 16 << 20;

/// Defines the kinds of sections: number, name in sentences, longest payload in bytes.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $number:literal, $name:literal, $longest:expr;)*) => {
        /// What a section holds.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum SectionKind {
            $($(#[$doc])* $kind = $number,)*
        }

        impl SectionKind {
            /// Every kind, in the order of a guest's sections.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// The name in sentences.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// No payload is longer, in bytes.
            pub const fn longest(self) -> u32 {
                match self { $(Self::$kind => $longest,)* }
            }
        }
    };
}

kinds! {
    /// The report as far as it is known, as one JSON object.
    Report = 1, "report", 1 << 20;
    /// The image's file.
    Image = 2, "image", 2 << 20;
    /// What the VM is made of.
    Config = 3, "configuration", 1 << 16;
    /// CPUID as the guest had it.
    Cpuid = 4, "CPUID", 1 << 16;
    /// The TSC's rate.
    TscRate = 5, "TSC rate", 16;
    /// MP state.
    MpState = 6, "MP state", 16;
    /// Events in flight.
    Events = 7, "events", 256;
    /// General-purpose registers.
    Regs = 8, "registers", 512;
    /// System registers.
    Sregs = 9, "system registers", 1 << 10;
    /// Debug registers.
    DebugRegs = 10, "debug registers", 256;
    /// Extended control registers.
    Xcrs = 11, "XCRs", 1 << 10;
    /// Extended state.
    Xsave = 12, "extended state", 1 << 17;
    /// MSRs.
    Msrs = 13, "MSRs", 1 << 14;
    /// Serial port, and an interrupt that waits.
    Devices = 14, "devices", 1 << 18;
    /// Pages of guest memory.
    Memory = 15, "memory", MOST_MEMORY as u32 + (1 << 18);
    /// Nothing: the guest is complete.
    End = 16, "end", 0;
}

impl SectionKind {
    /// The section of that number in words.
    pub(super) fn describe(number: u32) -> String {
        match Self::ALL.iter().find(|kind| **kind as u32 == number) {
            Some(kind) => format!("the section {}", kind.name()),
            None => format!("the unknown section {number}"),
        }
    }
}
