//! A decoded instruction: the operands that handlers need, ready to use.

use super::Step;
use super::dispatch;
use crate::memory::Memory;
use crate::mmu::linear::seg;
use crate::processor::Processor;
use iced_x86::{CodeSize, Decoder, DecoderError, DecoderOptions, Instruction, OpKind, Register};

/// Executes one instruction. Commits nothing before everything that can fault has succeeded.
pub(crate) type Handler = fn(&mut Processor, &mut Memory, &Decoded) -> Step;

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

/// The longest instruction, in bytes.
pub(crate) const LONGEST: usize = 15;

/// The bytes at hand do not make an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undecodable {
    /// There must be more bytes.
    TooShort,
    /// The instruction has more than [`LONGEST`] bytes: #GP(0).
    TooLong,
    /// #UD.
    Invalid,
}

impl Decoded {
    /// Decodes the first instruction of `bytes` for a code size of 16, 32 or 64 bits.
    ///
    /// It is decoded as if at address 0, because the same physical page can be mapped anywhere:
    /// targets and RIP-relative displacements count from the instruction's own RIP.
    pub(crate) fn new(bytes: &[u8], bits: u32) -> Result<Self, Undecodable> {
        let mut decoder = Decoder::with_ip(bits, bytes, 0, DecoderOptions::NONE);
        let instruction = decoder.decode();
        match decoder.last_error() {
            DecoderError::None => Ok(Self::from_instruction(instruction)),
            DecoderError::NoMoreBytes if completed(bytes, bits).is_some() => Err(Undecodable::TooShort),
            _ if is_too_long(bytes, bits) => Err(Undecodable::TooLong),
            _ => Err(Undecodable::Invalid),
        }
    }

    fn from_instruction(instruction: Instruction) -> Self {
        let mut operands = [Operand::None; 3];
        let mut size = [0; 3];
        let mut immediate = 0;
        for i in 0..instruction.op_count().min(3) {
            let n = i as usize;
            (operands[n], size[n]) = operand(&instruction, i, &mut immediate);
        }
        // An immediate is as wide as what it is combined with.
        for n in 1..3 {
            if operands[n] == Operand::Immediate {
                size[n] = size[0];
            }
        }
        Self {
            run: dispatch::handler(&instruction),
            plain: super::plain::is_plain(&instruction),
            length: instruction.len() as u8,
            operands,
            size,
            stack: instruction.stack_pointer_increment().unsigned_abs() as u8,
            condition: condition(&instruction),
            immediate,
            memory: memory_operand(&instruction),
            instruction,
        }
    }
}

/// The length of an instruction that begins with `bytes`, if there is one: the decoder asks for more bytes
/// after an opcode that is none, too.
fn completed(bytes: &[u8], bits: u32) -> Option<usize> {
    let bytes = &bytes[..bytes.len().min(LONGEST)];
    (0..=u8::MAX).find_map(|filler| {
        let mut whole = [filler; LONGEST];
        whole[..bytes.len()].copy_from_slice(bytes);
        let instruction = Decoder::with_ip(bits, &whole, 0, DecoderOptions::NONE).decode();
        (!instruction.is_invalid()).then(|| instruction.len())
    })
}

/// Whether bytes that are no instruction are the beginning of one that is too long, which the decoder calls
/// invalid as well. Only prefixes that do nothing to the length of the rest can make one too long: without
/// them it is an instruction, and ends after the bytes at hand.
fn is_too_long(bytes: &[u8], bits: u32) -> bool {
    let is_rex = |byte: u8| bits == 64 && byte & 0xF0 == 0x40;
    let count = bytes.iter().take_while(|byte| is_legacy_prefix(**byte) || is_rex(**byte)).count();
    let (prefixes, rest) = bytes.split_at(count);
    let needed = prefixes.iter().enumerate().filter(|&(n, &byte)| {
        let later = &prefixes[n + 1..];
        // Of equal prefixes one is enough, and a REX counts only where the opcode follows.
        !is_lock_or_segment(byte) && !later.contains(&byte) && (!is_rex(byte) || later.is_empty())
    });
    let without: Vec<u8> = needed.map(|(_, &byte)| byte).chain(rest.iter().copied()).collect();
    let idle = bytes.len() - without.len();
    bytes.len() >= LONGEST && completed(&without, bits).is_some_and(|length| idle + length > LONGEST)
}

fn is_lock_or_segment(byte: u8) -> bool {
    matches!(byte, 0xF0 | 0x26 | 0x2E | 0x36 | 0x3E | 0x64 | 0x65)
}

fn is_legacy_prefix(byte: u8) -> bool {
    is_lock_or_segment(byte) || matches!(byte, 0x66 | 0x67 | 0xF2 | 0xF3)
}

fn operand(instruction: &Instruction, i: u32, immediate: &mut u64) -> (Operand, u8) {
    let memory_size = instruction.memory_size().size() as u8;
    match instruction.op_kind(i) {
        OpKind::Register => register(instruction.op_register(i)),
        OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64 => {
            *immediate = instruction.near_branch_target();
            (Operand::Branch, 8)
        }
        OpKind::Memory => (Operand::Memory, memory_size),
        OpKind::FarBranch16 | OpKind::FarBranch32 => (Operand::Other, 0),
        OpKind::Immediate8_2nd => (Operand::Other, 1),
        OpKind::MemorySegSI
        | OpKind::MemorySegESI
        | OpKind::MemorySegRSI
        | OpKind::MemorySegDI
        | OpKind::MemorySegEDI
        | OpKind::MemorySegRDI
        | OpKind::MemoryESDI
        | OpKind::MemoryESEDI
        | OpKind::MemoryESRDI => (Operand::Other, memory_size),
        _ => {
            *immediate = instruction.immediate(i);
            (Operand::Immediate, instruction.stack_pointer_increment().unsigned_abs() as u8)
        }
    }
}

fn register(register: Register) -> (Operand, u8) {
    let size = register.size() as u8;
    let number = register.number() as u8;
    let operand = match register {
        Register::AH | Register::CH | Register::DH | Register::BH => {
            Operand::High(register.full_register().number() as u8)
        }
        r if r.is_gpr() => Operand::Gpr(r.full_register().number() as u8),
        r if r.is_segment_register() => Operand::Segment(number),
        r if r.is_xmm() => Operand::Xmm(number),
        r if r.is_cr() => Operand::Control(number),
        r if r.is_dr() => Operand::Debug(number),
        r if r.is_tmm() => Operand::Tile(number),
        _ => Operand::Other,
    };
    (operand, size)
}

fn memory_operand(instruction: &Instruction) -> MemoryOperand {
    let (base, index) = (instruction.memory_base(), instruction.memory_index());
    let gpr = |r: Register| if r.is_gpr() { r.full_register().number() as u8 } else { NO_REGISTER };
    let rip_relative = instruction.is_ip_rel_memory_operand();
    let sized = [base, index].into_iter().find(|r| *r != Register::None);
    let address_size = match sized {
        Some(r) => r.size() as u8,
        None => instruction.memory_displ_size() as u8,
    };
    MemoryOperand {
        segment: memory_segment(instruction),
        base: gpr(base),
        index: gpr(index),
        scale: instruction.memory_index_scale() as u8,
        rip_relative,
        address_size: if matches!(address_size, 2 | 4) { address_size } else { 8 },
        displacement: instruction.memory_displacement64(),
    }
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

fn condition(instruction: &Instruction) -> u8 {
    use iced_x86::ConditionCode as C;
    match instruction.condition_code() {
        C::None | C::o => 0,
        C::no => 1,
        C::b => 2,
        C::ae => 3,
        C::e => 4,
        C::ne => 5,
        C::be => 6,
        C::a => 7,
        C::s => 8,
        C::ns => 9,
        C::p => 10,
        C::np => 11,
        C::l => 12,
        C::ge => 13,
        C::le => 14,
        C::g => 15,
    }
}
