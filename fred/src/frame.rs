//! The 64-byte frame that FRED event delivery pushes.

use crate::slot::{CsSlot, SsSlot};

/// The frame, low address first, as it lies in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Frame {
    /// Error code, 0 for events without one: the slot is always there.
    pub error_code: u64,
    /// The RIP to return to.
    pub rip: u64,
    /// CS and event information.
    pub cs: CsSlot,
    /// RFLAGS at the event.
    pub rflags: u64,
    /// RSP at the event.
    pub rsp: u64,
    /// SS and event information.
    pub ss: SsSlot,
    /// Event data: see [`crate::data`].
    pub event_data: u64,
    /// Reserved, 0.
    pub reserved: u64,
}

impl Frame {
    /// Size of a frame in bytes; a frame is aligned to its size, so it never crosses a page.
    pub const SIZE: u64 = 64;

    /// The frame's eight quadwords in memory order.
    pub const fn to_words(self) -> [u64; 8] {
        [
            self.error_code,
            self.rip,
            self.cs.0,
            self.rflags,
            self.rsp,
            self.ss.0,
            self.event_data,
            self.reserved,
        ]
    }

    /// The frame whose eight quadwords, in memory order, are `words`.
    pub const fn from_words(words: [u64; 8]) -> Self {
        let [error_code, rip, cs, rflags, rsp, ss, event_data, reserved] = words;
        Self { error_code, rip, cs: CsSlot(cs), rflags, rsp, ss: SsSlot(ss), event_data, reserved }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::{offset_of, size_of};

    #[test]
    fn the_layout_is_the_manuals() {
        assert_eq!(size_of::<Frame>(), 0x40);
        assert_eq!(offset_of!(Frame, rip), 0x08);
        assert_eq!(offset_of!(Frame, cs), 0x10);
        assert_eq!(offset_of!(Frame, rflags), 0x18);
        assert_eq!(offset_of!(Frame, rsp), 0x20);
        assert_eq!(offset_of!(Frame, ss), 0x28);
        assert_eq!(offset_of!(Frame, event_data), 0x30);
        assert_eq!(offset_of!(Frame, reserved), 0x38);
    }

    proptest::proptest! {
        #[test]
        fn words_round_trip(words: [u64; 8]) {
            assert_eq!(Frame::from_words(words).to_words(), words);
        }
    }
}
