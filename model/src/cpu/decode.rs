//! From bytes to a decoded instruction.

use super::decoded::{Decoded, MemoryOperand, NO_REGISTER, Operand, memory_segment};
use super::dispatch;
use super::plain::is_plain;
use iced_x86::{Decoder, DecoderError, DecoderOptions, Instruction, OpKind, Register};

/// The longest instruction, in bytes.
pub(crate) const LONGEST: usize = 15;

/// The given bytes are not an instruction.
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
            plain: is_plain(&instruction),
            length: instruction.len() as u8,
            operands,
            size,
            stack: instruction.stack_pointer_increment().unsigned_abs() as u8,
            condition: (instruction.condition_code() as u8).saturating_sub(1),
            immediate,
            memory: memory_operand(&instruction),
            instruction,
        }
    }
}

/// The length of an instruction that begins with `bytes`, if there is one. The decoder asks for more bytes
/// after an invalid opcode, too.
fn completed(bytes: &[u8], bits: u32) -> Option<usize> {
    let bytes = &bytes[..bytes.len().min(LONGEST)];
    (0..=u8::MAX).find_map(|filler| {
        let mut whole = [filler; LONGEST];
        whole[..bytes.len()].copy_from_slice(bytes);
        let instruction = Decoder::with_ip(bits, &whole, 0, DecoderOptions::NONE).decode();
        (!instruction.is_invalid()).then(|| instruction.len())
    })
}

/// Whether invalid bytes are the beginning of an instruction that is too long, which the decoder calls invalid
/// as well. Only prefixes that do not change the length of the rest can make one too long: without them it is
/// an instruction that ends after the given bytes.
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
