//! What the manual leaves undefined: flags, and a destination now and then. Volume 2's page of each
//! instruction, section "Flags Affected", says so.

use crate::state::State;
use iced_x86::{Instruction, Mnemonic, OpKind, Register};

pub(crate) const CF: u64 = 1;
pub(crate) const PF: u64 = 1 << 2;
pub(crate) const AF: u64 = 1 << 4;
pub(crate) const ZF: u64 = 1 << 6;
pub(crate) const SF: u64 = 1 << 7;
pub(crate) const OF: u64 = 1 << 11;

/// When a row of the table applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
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
}

/// Instructions, when, flags that are undefined then, whether the destination is too, the section.
type Row = (&'static [Mnemonic], When, u64, bool, &'static str);

use Mnemonic as M;

#[rustfmt::skip]
const TABLE: &[Row] = &[
    (&[M::And, M::Or, M::Xor, M::Test], When::Always, AF, false, "AND, OR, XOR, TEST: Flags Affected"),
    (&[M::Mul, M::Imul], When::Always, SF | ZF | AF | PF, false, "MUL, IMUL: Flags Affected"),
    (&[M::Div, M::Idiv], When::Always, CF | OF | SF | ZF | AF | PF, false, "DIV, IDIV: Flags Affected"),
    (&[M::Shl, M::Sal, M::Shr, M::Sar], When::Counted, AF, false, "SAL/SAR/SHL/SHR: Flags Affected"),
    (&[M::Shl, M::Sal, M::Shr, M::Sar], When::AboveOne, OF, false, "SAL/SAR/SHL/SHR: Flags Affected"),
    (&[M::Shl, M::Sal, M::Shr], When::AtLeastWidth, CF, false, "SAL/SAR/SHL/SHR: Flags Affected"),
    (&[M::Rol, M::Ror, M::Rcl, M::Rcr], When::AboveOne, OF, false, "RCL/RCR/ROL/ROR: Flags Affected"),
    (&[M::Shld, M::Shrd], When::Counted, AF, false, "SHLD, SHRD: Flags Affected"),
    (&[M::Shld, M::Shrd], When::AboveOne, OF, false, "SHLD, SHRD: Flags Affected"),
    (&[M::Shld, M::Shrd], When::AboveWidth, CF | OF | SF | ZF | AF | PF, true, "SHLD, SHRD: Flags Affected"),
    (&[M::Bt, M::Bts, M::Btr, M::Btc], When::Always, OF | SF | AF | PF, false, "BT, BTS, BTR, BTC: Flags Affected"),
    (&[M::Bsf, M::Bsr], When::Always, CF | OF | SF | AF | PF, false, "BSF, BSR: Flags Affected"),
    (&[M::Bsf, M::Bsr], When::ZeroSource, 0, true, "BSF, BSR: Description"),
    (&[M::Lzcnt, M::Tzcnt], When::Always, OF | SF | PF | AF, false, "LZCNT, TZCNT: Flags Affected"),
    (&[M::Andn], When::Always, AF | PF, false, "ANDN: Flags Affected"),
    (&[M::Bextr], When::Always, AF | SF | PF, false, "BEXTR: Flags Affected"),
    (&[M::Blsi, M::Blsmsk, M::Blsr], When::Always, AF | PF, false, "BLSI, BLSMSK, BLSR: Flags Affected"),
    (&[M::Bzhi], When::Always, AF | PF, false, "BZHI: Flags Affected"),
];

/// The flags that are undefined, and the destination register if it is.
pub(crate) fn undefined(i: &Instruction, before: &mut State, address: u64) -> (u64, bool) {
    let mut undefined = (0, false);
    for (mnemonics, when, flags, destination, _) in TABLE {
        if mnemonics.contains(&i.mnemonic()) && applies(*when, i, before, address) {
            undefined.0 |= flags;
            undefined.1 |= destination;
        }
    }
    // BSWAP: the result of a 16-bit operand is undefined (Description).
    undefined.1 |= i.mnemonic() == M::Bswap && i.op0_register().size() == 2;
    undefined
}

fn applies(when: When, i: &Instruction, before: &mut State, address: u64) -> bool {
    let width = operand_size(i) as u64 * 8;
    let count = || {
        let last = i.op_count() - 1;
        let raw = match i.op_kind(last) {
            OpKind::Register => before.gpr[1] & 0xFF,
            _ => i.immediate(last),
        };
        raw & if width == 64 { 63 } else { 31 }
    };
    match when {
        When::Always => true,
        When::Counted => count() != 0,
        When::AboveOne => count() > 1,
        When::AtLeastWidth => count() >= width,
        When::AboveWidth => count() > width,
        When::ZeroSource => source(i, before, address) == 0,
    }
}

/// Bytes of the first operand.
pub(crate) fn operand_size(i: &Instruction) -> usize {
    match i.op0_kind() {
        OpKind::Register => i.op0_register().size(),
        _ => i.memory_size().size(),
    }
}

/// The second operand, a register or memory at `address`.
fn source(i: &Instruction, before: &mut State, address: u64) -> u64 {
    match i.op1_kind() {
        OpKind::Register => {
            let register: Register = i.op1_register();
            before.gpr[register.full_register().number()] & (u64::MAX >> (64 - 8 * register.size()))
        }
        _ => before.get(address, i.memory_size().size()),
    }
}
