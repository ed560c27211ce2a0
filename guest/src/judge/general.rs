//! The general registers, and XMM0 and XMM1, as an act left them.

use super::comparisons::{Comparisons, Told};
use protocol::field::{Field, GENERAL};

/// A general register other than RSP, in the order in which instructions number them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
#[expect(missing_docs, reason = "the registers' names")]
pub enum General {
    Rax,
    Rcx,
    Rdx,
    Rbx,
    Rbp,
    Rsi,
    Rdi,
    R8,
    R9,
    R10,
    R11,
    R12,
    R13,
    R14,
    R15,
}

/// XMM0 and XMM1 when an act begins, low half first. No act changes them.
pub const XMM: [u64; 4] =
    [0x0706_0504_0302_0100, 0x0F0E_0D0C_0B0A_0908, 0x1716_1514_1312_1110, 0x1F1E_1D1C_1B1A_1918];

/// Changes registers. In place: an emulator of instructions copies an item at a time. Inlined at each call it
/// would make the image larger.
#[inline(never)]
pub(super) fn change(registers: &mut [u64; 15], changes: &[(General, u64)]) {
    for (register, value) in changes {
        registers[*register as usize] = *value;
    }
}

/// Compares every general register, and XMM0 and XMM1 unless CR0 keeps instructions from them.
// Inlined at each call it would make the image larger.
#[inline(never)]
pub(super) fn compare(
    expected: &[u64; 15],
    got: (&[u64; 15], &[u64; 4]),
    xmm: bool,
    compare: &mut Comparisons<impl Told>,
) {
    compare.fields(&GENERAL, expected, got.0);
    if xmm {
        compare.fields(&[Field::Xmm0, Field::Xmm0, Field::Xmm1, Field::Xmm1], &XMM, got.1);
    }
}
