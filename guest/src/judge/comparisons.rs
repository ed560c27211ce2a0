//! The comparisons of a judgement, each told to whoever counts them.

use core::arch::asm;
use protocol::field::Field;

/// Is told of comparisons: the delivery, the field, the expected value, the value got.
pub trait Told {
    /// One comparison.
    fn compared(&mut self, delivery: u32, field: Field, expected: u64, got: u64);

    /// Comparisons of as many fields, each of which got the value that was expected.
    fn all_same(&mut self, delivery: u32, fields: &[Field], values: &[u64]) {
        for (field, value) in fields.iter().zip(values) {
            self.compared(delivery, *field, *value, *value);
        }
    }
}

impl<C: FnMut(u32, Field, u64, u64)> Told for C {
    fn compared(&mut self, delivery: u32, field: Field, expected: u64, got: u64) {
        self(delivery, field, expected, got);
    }
}

/// The comparisons of a delivery.
pub(super) struct Comparisons<C> {
    /// The delivery, from 0.
    pub(super) delivery: u32,
    /// Told of each.
    pub(super) each: C,
}

impl<C: Told> Comparisons<C> {
    /// Compares a field. A case compares some sixty: where the guest is emulated, how few instructions this takes is
    /// felt.
    // Inlined at each comparison it would be a third of the image.
    #[inline(never)]
    pub(super) fn field(&mut self, field: Field, expected: u64, got: u64) {
        self.each.compared(self.delivery, field, expected, got);
    }

    /// Compares fields one after the other, but for one instruction where all are as expected: it is where most
    /// comparisons are made.
    #[inline]
    pub(super) fn fields<const N: usize>(
        &mut self,
        fields: &[Field; N],
        expected: &[u64; N],
        got: &[u64; N],
    ) {
        if are_equal(expected, got) {
            return self.each.all_same(self.delivery, fields, expected);
        }
        for index in 0..N {
            self.each.compared(self.delivery, fields[index], expected[index], got[index]);
        }
    }
}

/// Whether two arrays are equal, which are not empty.
#[inline]
fn are_equal<const N: usize>(a: &[u64; N], b: &[u64; N]) -> bool {
    let equal: u8;
    // SAFETY: reads N quadwords of each, upwards, as the ABI has DF clear.
    unsafe {
        asm!(
            "repe cmpsq",
            "sete {equal}",
            equal = out(reg_byte) equal,
            inout("rcx") N => _,
            inout("rsi") a.as_ptr() => _,
            inout("rdi") b.as_ptr() => _,
            options(nostack, readonly),
        );
    }
    equal != 0
}
