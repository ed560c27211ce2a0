//! The comparisons of a judgement, each told to whoever counts them.

use protocol::field::Field;

/// The comparisons of a delivery.
pub(super) struct Comparisons<C> {
    /// The delivery, from 0.
    pub(super) delivery: u32,
    /// Told of each: the delivery, the field, the expected value, the value got.
    pub(super) each: C,
}

impl<C: FnMut(u32, Field, u64, u64)> Comparisons<C> {
    /// Compares a field. A case compares some sixty: where the guest is emulated, how few instructions this takes is
    /// felt.
    // Inlined at each comparison it would be a third of the image.
    #[inline(never)]
    pub(super) fn field(&mut self, field: Field, expected: u64, got: u64) {
        (self.each)(self.delivery, field, expected, got);
    }

    /// Compares fields one after the other, in a loop of its own: it is where most comparisons are made.
    #[inline]
    pub(super) fn fields<const N: usize>(
        &mut self,
        fields: &[Field; N],
        expected: &[u64; N],
        got: &[u64; N],
    ) {
        for index in 0..N {
            (self.each)(self.delivery, fields[index], expected[index], got[index]);
        }
    }
}
