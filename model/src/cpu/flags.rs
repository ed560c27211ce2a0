//! The status flags.

use super::core::Core;
use super::operand::{mask, sign_bit};
use fred::control::rflags::{AF, CF, OF, PF, SF, ZF};

/// CF, PF, AF, ZF, SF and OF.
pub(crate) const STATUS: u64 = CF | PF | AF | ZF | SF | OF;

#[inline]
const fn flag(condition: bool, bit: u64) -> u64 {
    if condition { bit } else { 0 }
}

/// PF, ZF and SF of a result.
#[inline]
pub(crate) fn of_result(result: u64, size: u8) -> u64 {
    flag((result as u8).count_ones().is_multiple_of(2), PF)
        | flag(result & mask(size) == 0, ZF)
        | flag(result & sign_bit(size) != 0, SF)
}

/// `a + b + carry` and its flags. The operands are no wider than `size` bytes.
#[inline]
pub(crate) fn add(a: u64, b: u64, carry: bool, size: u8) -> (u64, u64) {
    let (sum, first) = a.overflowing_add(b);
    let (sum, second) = sum.overflowing_add(carry.into());
    let result = sum & mask(size);
    let flags = of_result(result, size)
        | flag(first || second || sum > mask(size), CF)
        | flag((a ^ b ^ result) & 0x10 != 0, AF)
        | flag((a ^ result) & (b ^ result) & sign_bit(size) != 0, OF);
    (result, flags)
}

/// `a - b - borrow` and its flags. The operands are no wider than `size` bytes.
#[inline]
pub(crate) fn subtract(a: u64, b: u64, borrow: bool, size: u8) -> (u64, u64) {
    let (difference, first) = a.overflowing_sub(b);
    let (difference, second) = difference.overflowing_sub(borrow.into());
    let result = difference & mask(size);
    let flags = of_result(result, size)
        | flag(first || second, CF)
        | flag((a ^ b ^ result) & 0x10 != 0, AF)
        | flag((a ^ b) & (a ^ result) & sign_bit(size) != 0, OF);
    (result, flags)
}

impl Core {
    #[inline]
    pub(crate) fn set_flag(&mut self, bit: u64, value: bool) {
        self.rflags = self.rflags & !bit | flag(value, bit);
    }

    /// Replaces all six status flags.
    #[inline]
    pub(crate) fn set_status(&mut self, flags: u64) {
        self.rflags = self.rflags & !STATUS | flags;
    }

    /// Whether condition code `code` (0..=15, the low four bits of a Jcc opcode) holds.
    #[inline]
    pub(crate) fn condition(&self, code: u8) -> bool {
        let met = match code >> 1 & 7 {
            0 => self.flag(OF),
            1 => self.flag(CF),
            2 => self.flag(ZF),
            3 => self.flag(CF) || self.flag(ZF),
            4 => self.flag(SF),
            5 => self.flag(PF),
            6 => self.flag(SF) != self.flag(OF),
            _ => self.flag(ZF) || self.flag(SF) != self.flag(OF),
        };
        met != (code & 1 != 0)
    }
}
