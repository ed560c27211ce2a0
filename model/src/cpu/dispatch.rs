//! Which handler executes which instruction.

use super::core::Core;
use super::decoded::{Decoded, Handler};
use super::features::is_missing;
use super::{
    amx, arithmetic, bit, bmi, control_flow, control_register, descriptor_table, far, fpu, fred_return, io,
    iret, moves, shift, stack, string, system, xsave,
};
use crate::memory::Memory;
use crate::stop::{Step, Stop, ud};
use iced_x86::{EncodingKind, Instruction, Mnemonic};

/// Each family says which mnemonics it executes. Asked once for each decoded instruction.
const FAMILIES: [fn(Mnemonic) -> Option<Handler>; 18] = [
    moves::handler,
    stack::handler,
    arithmetic::handler,
    shift::handler,
    bit::handler,
    bmi::handler,
    control_flow::handler,
    string::handler,
    system::handler,
    descriptor_table::handler,
    control_register::handler,
    fred_return::handler,
    iret::handler,
    far::handler,
    io::handler,
    fpu::handler,
    amx::handler,
    xsave::handler,
];

/// The handler of an instruction; one that the model does not know stops with its text.
pub(crate) fn handler(instruction: &Instruction) -> Handler {
    let mnemonic = instruction.mnemonic();
    FAMILIES.iter().find_map(|family| family(mnemonic)).unwrap_or(unknown)
}

fn unknown(p: &mut Core, _: &mut Memory, d: &Decoded) -> Step {
    require_offered(p, d)?;
    p.require_extension(d)?;
    Err(Stop::Unknown)
}

/// #UD for an instruction that no handler executes and that CPUID certainly does not offer.
fn require_offered(p: &Core, d: &Decoded) -> Step {
    const XCR0_AVX: u64 = 1 << 2;
    let legacy = matches!(d.instruction.code().encoding(), EncodingKind::Legacy);
    let disabled = !legacy && p.xcr0 & XCR0_AVX == 0;
    if disabled || is_missing(&p.cpuid, &d.instruction) { Err(ud()) } else { Ok(()) }
}
