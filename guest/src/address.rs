//! Addresses that the linker fills in.

/// An address known to the linker or written as a number, in the form statics can hold: it takes
/// the place of a `u64` in the structures of [`protocol::note`].
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Address(*const u8);

// SAFETY: the pointer is only ever used as a number.
unsafe impl Sync for Address {}

impl Address {
    /// The address of a symbol.
    pub const fn of<T>(symbol: *const T) -> Self {
        Self(symbol.cast())
    }

    /// `value` as an address.
    pub const fn new(value: u64) -> Self {
        Self(core::ptr::without_provenance(value as usize))
    }

    /// The address as a number, once linked.
    pub fn value(self) -> u64 {
        self.0.addr() as u64
    }

    /// The address `bytes` further.
    #[must_use]
    pub const fn plus(self, bytes: usize) -> Self {
        Self(self.0.wrapping_add(bytes))
    }
}
