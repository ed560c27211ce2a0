//! How much a judge must have compared before a pass is believed.

use crate::field::Field;

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
/// What it compares at each entry besides, and after an act that raises nothing. IA32_XFD_ERR is not
/// everywhere.
pub const REGISTERS: [Field; 5] = [Field::Cr2, Field::Dr6, Field::Dr7, Field::GsBase, Field::KernelGsBase];

/// The fewest fields that the judge of a case with so many `entries` compares. One that compares fewer has
/// not judged every delivery whole, or has not looked at the registers after an act without one.
pub const fn least(fred: bool, entries: u32) -> u32 {
    let frame = if fred { FRED_FRAME.len() } else { IDT_FRAME.len() };
    let registers = REGISTERS.len() as u32;
    // The number of entries is compared as well.
    1 + if entries == 0 { registers } else { (frame as u32 + registers) * entries }
}
