//! The doorbell's values.

use core::fmt;

/// What a 32-bit write to [`crate::port::DOORBELL`] says. Cases are indices into the image's note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Doorbell {
    /// The image has booted and will read [`crate::mailbox::Mailbox::case`] next.
    Ready,
    /// From here to the handler no event other than the case's own can occur.
    Armed(u16),
    /// The verdict is in the mailbox.
    Done(u16),
}

impl fmt::Display for Doorbell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("Ready"),
            Self::Armed(case) => write!(f, "Armed({case})"),
            Self::Done(case) => write!(f, "Done({case})"),
        }
    }
}

impl Doorbell {
    const READY: u32 = 0x6D66_0001;
    const ARMED: u32 = 0x4100_0000;
    const DONE: u32 = 0x4400_0000;

    /// The value to write.
    pub const fn encode(self) -> u32 {
        match self {
            Self::Ready => Self::READY,
            Self::Armed(case) => Self::ARMED | case as u32,
            Self::Done(case) => Self::DONE | case as u32,
        }
    }

    /// What a written value says; `None` when it says nothing.
    pub const fn decode(value: u32) -> Option<Self> {
        match (value & 0xFFFF_0000, value as u16) {
            (_, _) if value == Self::READY => Some(Self::Ready),
            (Self::ARMED, case) => Some(Self::Armed(case)),
            (Self::DONE, case) => Some(Self::Done(case)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_round_trip() {
        for doorbell in [Doorbell::Ready, Doorbell::Armed(0), Doorbell::Armed(0xFFFF), Doorbell::Done(7)] {
            assert_eq!(Doorbell::decode(doorbell.encode()), Some(doorbell));
        }
        assert_eq!(Doorbell::Armed(3).encode(), 0x4100_0003);
        assert_eq!(Doorbell::decode(0), None);
        assert_eq!(Doorbell::decode(0x4101_0000), None);
    }
}
