//! How much a judge must have compared before a pass is believed.

use crate::field::{Field, GENERAL};

/// What the judge of a FRED delivery compares of its frame and its entry.
pub const FRED_FRAME: [Field; 13] = [
    Field::ErrorCode,
    Field::Rip,
    Field::Cs,
    Field::Rflags,
    Field::Rsp,
    Field::Ss,
    Field::EventData,
    Field::Reserved,
    Field::Csl,
    Field::EntryPoint,
    Field::EntryRflags,
    Field::EntryRsp,
    Field::Vector,
];
/// The same of an IDT delivery. The error code is not on every frame.
pub const IDT_FRAME: [Field; 9] = [
    Field::Rip,
    Field::Cs,
    Field::Rflags,
    Field::Rsp,
    Field::Ss,
    Field::EntryPoint,
    Field::EntryRflags,
    Field::EntryRsp,
    Field::Vector,
];
/// What it compares besides, at each entry and after the last return. The registers of extended feature
/// disable, IA32_DEBUGCTL, XMM0 and XMM1 are not everywhere.
pub const REGISTERS: [Field; 7] =
    [Field::Cr0, Field::Cr2, Field::Dr6, Field::Dr7, Field::FsBase, Field::GsBase, Field::KernelGsBase];
/// What it compares after the last return only.
pub const RETURNED: [Field; 2] = [Field::Rflags, Field::Rsp];

/// The fewest fields that the judge of a case with so many `entries` compares. One that compares fewer has
/// not judged every delivery whole, or has not looked at the registers after the act.
pub const fn least(fred: bool, entries: u32) -> u32 {
    let frame = if fred { FRED_FRAME.len() } else { IDT_FRAME.len() };
    let registers = REGISTERS.len() + GENERAL.len();
    // The number of entries is compared as well.
    (1 + RETURNED.len() + registers) as u32 + (frame + registers) as u32 * entries
}
