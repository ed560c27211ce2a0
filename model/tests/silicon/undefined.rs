//! What the manuals leave undefined: flags, and a result now and then. Intel's volume 2 says so on each
//! instruction's page, "Flags Affected"; AMD's volume 3 in each instruction's "rFLAGS Affected", where U is
//! undefined. A row without another place in its reference is in both.

use crate::row::{ANY, Ended, INTEL, On, Part, Row};
use crate::when::When;
use iced_x86::Mnemonic as M;

pub(crate) const CF: u64 = 1;
pub(crate) const PF: u64 = 1 << 2;
pub(crate) const AF: u64 = 1 << 4;
pub(crate) const ZF: u64 = 1 << 6;
pub(crate) const SF: u64 = 1 << 7;
pub(crate) const OF: u64 = 1 << 11;
pub(crate) const STATUS: u64 = CF | PF | AF | ZF | SF | OF;

const fn row(of: &'static [M], when: When, on: On, parts: &'static [Part], reference: &'static str) -> Row {
    Row { of, when, ended: Ended::Completed, on, parts, reason: "undefined", reference }
}

/// Flags that are undefined by both manuals.
const fn flags(of: &'static [M], when: When, parts: &'static [Part], reference: &'static str) -> Row {
    row(of, when, ANY, parts, reference)
}

const SHIFTS: &[M] = &[M::Shl, M::Sal, M::Shr, M::Sar];
const DOUBLE_SHIFTS: &[M] = &[M::Shld, M::Shrd];

use Part::{Flags, Result};

#[rustfmt::skip]
pub(crate) const UNDEFINED: &[Row] = &[
    flags(&[M::And, M::Or, M::Xor, M::Test], When::Always, &[Flags(AF)], "AND, OR, XOR, TEST: Flags Affected"),
    flags(&[M::Mul, M::Imul], When::Always, &[Flags(SF | ZF | AF | PF)], "MUL, IMUL: Flags Affected"),
    flags(&[M::Div, M::Idiv], When::Always, &[Flags(STATUS)], "DIV, IDIV: Flags Affected"),
    flags(SHIFTS, When::Counted, &[Flags(AF)], "SAL/SAR/SHL/SHR: Flags Affected"),
    flags(SHIFTS, When::AboveOne, &[Flags(OF)], "SAL/SAR/SHL/SHR: Flags Affected"),
    flags(&[M::Shl, M::Sal, M::Shr], When::AtLeastWidth, &[Flags(CF)], "SAL/SAR/SHL/SHR: Flags Affected"),
    flags(&[M::Rol, M::Ror, M::Rcl, M::Rcr], When::AboveOne, &[Flags(OF)], "RCL/RCR/ROL/ROR: Flags Affected"),
    flags(DOUBLE_SHIFTS, When::Counted, &[Flags(AF)], "SHLD, SHRD: Flags Affected"),
    flags(DOUBLE_SHIFTS, When::AboveOne, &[Flags(OF)], "SHLD, SHRD: Flags Affected"),
    flags(DOUBLE_SHIFTS, When::AboveWidth, &[Flags(STATUS), Result], "SHLD, SHRD: Description, Flags Affected"),
    // ZF is unaffected in Intel's manual of today and undefined in that of 2007.
    flags(&[M::Bt, M::Bts, M::Btr, M::Btc], When::Always, &[Flags(STATUS & !CF)],
        "BT, BTS, BTR, BTC: Flags Affected (253666-024US for ZF)"),
    flags(&[M::Bsf, M::Bsr], When::Always, &[Flags(STATUS & !ZF)], "BSF, BSR: Flags Affected"),
    row(&[M::Bsf, M::Bsr], When::ZeroSource, INTEL, &[Result],
        "BSF, BSR: Description; AMD's manual says that the destination does not change"),
    flags(&[M::Lzcnt, M::Tzcnt], When::Always, &[Flags(OF | SF | PF | AF)], "LZCNT, TZCNT: Flags Affected"),
    flags(&[M::Andn], When::Always, &[Flags(AF | PF)], "ANDN: Flags Affected"),
    flags(&[M::Bextr], When::Always, &[Flags(AF | SF | PF)], "BEXTR: Flags Affected"),
    flags(&[M::Blsi, M::Blsmsk, M::Blsr], When::Always, &[Flags(AF | PF)], "BLSI, BLSMSK, BLSR: Flags Affected"),
    flags(&[M::Bzhi], When::Always, &[Flags(AF | PF)], "BZHI: Flags Affected"),
    row(&[M::Bswap], When::Size(2), ANY, &[Result], "BSWAP: Description"),
];
