//! The two ways in which events are delivered, and the pages that deliveries touch.

use strum::{Display, EnumString};

/// How events reach their handlers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Display, EnumString, clap::ValueEnum)]
#[strum(serialize_all = "lowercase")]
pub enum DeliveryMode {
    /// Through FRED.
    Fred,
    /// Through the IDT.
    Idt,
}

/// A page that a delivery touches, and nothing else between `Armed` and the handler. Ids have its name in lower
/// case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Display, EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum Place {
    /// The page that the frame is pushed to: nothing but the delivery under test touches it.
    Frame,
    /// The page table that maps it, and nothing else.
    Pt,
    /// The page directory above.
    Pd,
    /// The page-directory-pointer table above. The level above that maps everything else as well.
    Pdpt,
    /// The IDT. Under FRED no delivery touches it, nor the GDT and the TSS.
    Idt,
    /// The GDT, from which the delivery reads the handler's code segment.
    Gdt,
    /// The TSS, from which it reads the handler's stack pointer.
    Tss,
}

impl Place {
    /// Every place.
    pub const ALL: [Self; 7] = [Self::Frame, Self::Pt, Self::Pd, Self::Pdpt, Self::Idt, Self::Gdt, Self::Tss];

    /// What it is, in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Frame => "the page that the frame is pushed to",
            Self::Pt => "the page table that maps the frame's page",
            Self::Pd => "the page directory that leads to the frame's page",
            Self::Pdpt => "the page-directory-pointer table that leads to the frame's page",
            Self::Idt => "the page of the IDT",
            Self::Gdt => "the page of the GDT",
            Self::Tss => "the page of the TSS",
        }
    }

    /// Whether a delivery of that kind touches it.
    pub fn is_touched(self, delivery: DeliveryMode) -> bool {
        delivery == DeliveryMode::Idt || !self.is_table()
    }

    /// Whether it is a table of segments or gates, which instructions may touch as well.
    pub const fn is_table(self) -> bool {
        matches!(self, Self::Idt | Self::Gdt | Self::Tss)
    }
}
