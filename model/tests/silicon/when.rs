//! When a row of what is not compared holds.

use crate::access::Access;
use crate::built::Built;
use crate::state::State;
use iced_x86::{Instruction, OpKind, Register};

/// A condition on the instruction, the state it starts from, and the two results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Always,
    /// The count, reduced as the instruction reduces it, is not 0.
    Counted,
    /// It is above 1.
    AboveOne,
    /// It is at least the width of the operand.
    AtLeastWidth,
    /// It is above the width of the operand.
    AboveWidth,
    /// The source operand is 0.
    ZeroSource,
    /// The operand is so many bytes.
    Size(u8),
    /// CMPXCHG: the accumulator is not the destination, which is so many bytes.
    Unequal(u8),
    /// The instruction has an operand-size prefix.
    OperandSizePrefix,
    /// A string instruction uses ECX, ESI and EDI.
    NarrowAddress,
    /// And ECX is 0, with REP.
    NoIteration,
    /// TF was set.
    SingleStep,
    /// AC was set.
    AlignmentChecked,
    /// An access is not aligned with AC set, and not mapped either.
    AlignmentOrPageFault,
    /// The operand that holds the bit reaches out of what is mapped, or is not aligned with AC set: the
    /// byte with the bit may do.
    BitInPart,
    /// The processor reports #PF at an address that is canonical with 57 bits only.
    BeyondFourLevels,
    /// The model reports #PF in the upper half of the address space.
    UpperHalf,
}

const AC: u64 = 1 << 18;
const TF: u64 = 1 << 8;

pub(crate) fn holds(when: When, built: &Built, native: &State, model: Option<&State>) -> bool {
    let (i, before) = (&built.instruction, &built.case.before);
    let checked = before.rflags & AC != 0;
    let width = operand_size(i) as u64 * 8;
    match when {
        When::Always => true,
        When::Counted => count(i, before, width) != 0,
        When::AboveOne => count(i, before, width) > 1,
        When::AtLeastWidth => count(i, before, width) >= width,
        When::AboveWidth => count(i, before, width) > width,
        When::ZeroSource => value(i, 1, before, built.address) == 0,
        When::Size(size) => operand_size(i) == usize::from(size),
        When::Unequal(size) => {
            let accumulator = before.gpr[0] & mask(size.into());
            operand_size(i) == usize::from(size) && value(i, 0, before, built.address) != accumulator
        }
        When::OperandSizePrefix => built.has_prefix(0x66),
        When::NarrowAddress => has_narrow_address(i),
        When::NoIteration => {
            let repeats = i.has_rep_prefix() || i.has_repne_prefix();
            has_narrow_address(i) && repeats && before.gpr[1] & mask(4) == 0
        }
        When::SingleStep => before.rflags & TF != 0,
        When::AlignmentChecked => checked,
        When::AlignmentOrPageFault => {
            let both = |access: &Access| !access.is_aligned() && !access.is_mapped();
            checked && built.accesses(&native.gpr).iter().any(both)
        }
        When::BitInPart => built.memory_access().is_some_and(|access| access.may_fault(checked)),
        When::BeyondFourLevels => native.vector == 14 && !is_canonical(native.address, 48),
        When::UpperHalf => model.is_some_and(|model| model.vector == 14 && model.address >> 63 != 0),
    }
}

/// Whether an address is its low `bits` bits, sign-extended.
pub(crate) fn is_canonical(address: u64, bits: u32) -> bool {
    (address << (64 - bits)) as i64 >> (64 - bits) == address as i64
}

/// The low `size` bytes set.
pub(crate) fn mask(size: usize) -> u64 {
    if size == 0 { 0 } else { u64::MAX >> (64 - 8 * size.min(8)) }
}

/// Whether a string instruction has an address-size prefix.
pub(crate) fn has_narrow_address(i: &Instruction) -> bool {
    (0..i.op_count()).any(|n| matches!(i.op_kind(n), OpKind::MemorySegESI | OpKind::MemoryESEDI))
}

/// The count of a shift or rotate, the last operand.
fn count(i: &Instruction, before: &State, width: u64) -> u64 {
    let last = i.op_count() - 1;
    let raw = match i.op_kind(last) {
        OpKind::Register => before.gpr[1] & 0xFF,
        _ => i.immediate(last),
    };
    raw & if width == 64 { 63 } else { 31 }
}

/// Bytes of the first operand.
pub(crate) fn operand_size(i: &Instruction) -> usize {
    match i.op0_kind() {
        OpKind::Register => i.op0_register().size(),
        _ => i.memory_size().size(),
    }
}

/// An operand, a register or memory at `address`.
fn value(i: &Instruction, n: u32, before: &State, address: u64) -> u64 {
    match i.op_kind(n) {
        OpKind::Register => {
            let register = i.op_register(n);
            let high = register >= Register::AH && register <= Register::BH;
            let full = before.gpr[register.full_register().number()];
            (if high { full >> 8 } else { full }) & mask(register.size())
        }
        _ => before.get(address, i.memory_size().size()),
    }
}
