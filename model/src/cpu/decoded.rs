//! A decoded instruction: the operands that handlers need, ready to use.

use super::core::Core;
use crate::memory::Memory;
use crate::segment::seg;
use crate::stop::Step;
use iced_x86::{CodeSize, Instruction, Register};

/// Executes one instruction. Commits nothing before everything that can fault has succeeded.
pub(crate) type Handler = fn(&mut Core, &mut Memory, &Decoded) -> Step;

/// An operand. Sizes are in [`Decoded::size`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    None,
    /// A general-purpose register by its encoding number.
    Gpr(u8),
    /// AH, CH, DH or BH, by the number of the register they are part of.
    High(u8),
    Segment(u8),
    Control(u8),
    Debug(u8),
    Xmm(u8),
    Tile(u8),
    /// [`Decoded::immediate`].
    Immediate,
    /// [`Decoded::memory`].
    Memory,
    /// A near branch: [`Decoded::immediate`] is the target relative to the instruction's own RIP.
    Branch,
    /// Something handlers look up in [`Decoded::instruction`].
    Other,
}

/// Number of "no register".
pub(crate) const NO_REGISTER: u8 = 16;

/// A memory operand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemoryOperand {
    pub(crate) segment: u8,
    /// General-purpose register or [`NO_REGISTER`].
    pub(crate) base: u8,
    pub(crate) index: u8,
    pub(crate) scale: u8,
    /// RIP-relative: the displacement counts from the instruction's own RIP.
    pub(crate) rip_relative: bool,
    /// Bytes of the address: 2, 4 or 8.
    pub(crate) address_size: u8,
    pub(crate) displacement: u64,
}

/// One instruction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decoded {
    pub(crate) run: Handler,
    /// It changes general-purpose registers, status flags, memory and RIP at most: see
    /// [`is_plain`](super::plain::is_plain).
    pub(crate) plain: bool,
    /// Length in bytes.
    pub(crate) length: u8,
    pub(crate) operands: [Operand; 3],
    /// Bytes of each operand.
    pub(crate) size: [u8; 3],
    /// Bytes that the instruction pushes or pops.
    pub(crate) stack: u8,
    /// The condition code as the low four bits of an opcode.
    pub(crate) condition: u8,
    pub(crate) immediate: u64,
    pub(crate) memory: MemoryOperand,
    pub(crate) instruction: Instruction,
}

/// The segment of the memory operand. In 64-bit mode prefixes for ES, CS, SS and DS are ignored: the
/// base register alone says whether a fault is #SS or #GP.
pub(crate) fn memory_segment(instruction: &Instruction) -> u8 {
    let segment = instruction.memory_segment();
    if instruction.code_size() != CodeSize::Code64 || matches!(segment, Register::FS | Register::GS) {
        return if segment == Register::None { seg::DS } else { segment.number() as u8 };
    }
    match instruction.memory_base() {
        Register::RSP | Register::ESP | Register::RBP | Register::EBP => seg::SS,
        _ => seg::DS,
    }
}
