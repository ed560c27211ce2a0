//! A case with its decoded instruction.

use crate::state::{Case, GS_BASE, State};
use iced_x86::{Decoder, DecoderError, DecoderOptions, Instruction, OpKind, Register};

/// A case, its decoded instruction, and the address of its memory operand.
#[derive(Clone)]
pub(crate) struct Built {
    pub(crate) case: Case,
    pub(crate) instruction: Instruction,
    pub(crate) address: u64,
}

impl Built {
    /// The case of these bytes; `None` when they are no instruction.
    pub(crate) fn of(bytes: &[u8], before: State) -> Option<Self> {
        let instruction = decode(bytes, before.rip)?;
        let address = address(&instruction, &before);
        let mut padded = [0; 16];
        padded[..bytes.len()].copy_from_slice(bytes);
        Some(Self { case: Case { before, bytes: padded, length: bytes.len() }, instruction, address })
    }

    /// The byte after the legacy prefixes: REX, VEX or the opcode.
    pub(crate) fn after_prefixes(&self) -> u8 {
        self.case.bytes[legacy_prefixes(self.case.code()).count()]
    }

    /// Whether a prefix is among those before REX, VEX and the opcode.
    pub(crate) fn has_prefix(&self, prefix: u8) -> bool {
        legacy_prefixes(self.case.code()).any(|byte| *byte == prefix)
    }
}

/// The instruction, also when it is one that a LOCK prefix makes invalid.
pub(crate) fn decode(bytes: &[u8], rip: u64) -> Option<Instruction> {
    let mut decoder = Decoder::with_ip(64, bytes, rip, DecoderOptions::NO_INVALID_CHECK);
    let instruction = decoder.decode();
    (decoder.last_error() == DecoderError::None && instruction.len() == bytes.len()).then_some(instruction)
}

/// Whether the bytes are an instruction, with the prefixes that they have.
pub(crate) fn is_valid(bytes: &[u8]) -> bool {
    !Decoder::new(64, bytes, DecoderOptions::NONE).decode().is_invalid()
}

/// The prefixes before REX, VEX and the opcode.
pub(crate) fn legacy_prefixes(bytes: &[u8]) -> impl Iterator<Item = &u8> {
    bytes.iter().take_while(|byte| {
        matches!(byte, 0x66 | 0x67 | 0x26 | 0x2E | 0x36 | 0x3E | 0x64 | 0x65 | 0xF0 | 0xF2 | 0xF3)
    })
}

/// The linear address of the memory operand; 0 without one.
pub(crate) fn address(i: &Instruction, state: &State) -> u64 {
    let value = |register: Register| match register {
        Register::GS => GS_BASE,
        r if r.is_segment_register() => 0,
        r => state.gpr[r.full_register().number()] & (u64::MAX >> (64 - 8 * r.size())),
    };
    (0..i.op_count())
        .find(|n| i.op_kind(*n) == OpKind::Memory)
        .and_then(|n| i.virtual_address(n, 0, |register, _, _| Some(value(register))))
        .unwrap_or(0)
}
