//! Which handler executes which instruction.

use super::core::Core;
use super::decoded::{Decoded, Handler};
use super::features::is_missing;
use super::{
    amx, arithmetic, bit, bmi, control_flow, control_register, descriptor_table, far, floating_point, fpu,
    fred_return, io, iret, moves, shift, stack, string, system, xsave,
};
use crate::memory::Memory;
use crate::stop::{Step, Stop, ud};
use iced_x86::{ConditionCode, EncodingKind, Instruction, Mnemonic};

/// Each family says which mnemonics it executes. Asked once for each decoded instruction.
const FAMILIES: [fn(Mnemonic) -> Option<Handler>; 19] = [
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
    floating_point::handler,
    amx::handler,
    xsave::handler,
];

/// The handler of an instruction; one that the model does not know stops with its text.
pub(crate) fn handler(instruction: &Instruction) -> Handler {
    let mnemonic = instruction.mnemonic();
    conditional(instruction)
        .or_else(|| FAMILIES.iter().find_map(|family| family(mnemonic)))
        .unwrap_or(unknown)
}

/// The handler of a Jcc, SETcc or CMOVcc. LOOPcc and CMPccXADD have a condition as well.
pub(crate) fn conditional(instruction: &Instruction) -> Option<Handler> {
    let code = instruction.code();
    if instruction.condition_code() == ConditionCode::None || code.is_loopcc() {
        return None;
    }
    match instruction.op_count() {
        1 if code.is_jcc_short_or_near() => Some(control_flow::jcc),
        1 => Some(bit::set),
        2 => Some(moves::cmov),
        _ => None,
    }
}

fn unknown(p: &mut Core, _: &mut Memory, d: &Decoded) -> Step {
    require_offered(p, d)?;
    p.require_extension(d)?;
    Err(Stop::Unknown.into())
}

/// #UD for an instruction that no handler executes and that CPUID certainly does not offer.
fn require_offered(p: &Core, d: &Decoded) -> Step {
    const XCR0_AVX: u64 = 1 << 2;
    let legacy = matches!(d.instruction.code().encoding(), EncodingKind::Legacy);
    let disabled = !legacy && p.xcr0 & XCR0_AVX == 0;
    if disabled || is_missing(&p.cpuid, &d.instruction) { Err(ud()) } else { Ok(()) }
}
