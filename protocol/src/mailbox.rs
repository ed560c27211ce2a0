//! The mailbox: one page of the image, its address in the note.

use crate::delivery::Delivery;
use crate::disturbance::Disturbance;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `midmail\0`, little-endian: what the image writes at the mailbox's start when it boots.
pub const MAGIC: u64 = u64::from_le_bytes(*b"midmail\0");
/// How many deliveries a mailbox can hold; later ones are counted only.
pub const DELIVERIES: usize = 8;
/// How many disturbances a mailbox can hold.
pub const DISTURBANCES: usize = 16;
/// How many mismatches a mailbox can hold; later ones are counted only.
pub const MISMATCHES: usize = 32;

/// [`Mismatch::delivery`] of what was compared after the last handler had returned.
pub const RETURNED: u32 = u32::MAX;

/// The mailbox. Little-endian, no padding; all zero before the image runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Mailbox {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`crate::VERSION`].
    pub version: u32,
    /// [`HostFlags`], written by the host before the image starts.
    pub host: u32,
    /// Index of the case to run, written by the host at `Ready` and at each `Done`.
    pub case: u32,
    /// How often a handler was entered since `Armed`.
    pub entries: u32,
    /// A [`Verdict`] as a number.
    pub verdict: u32,
    /// How many fields the judge compared.
    pub compared: u32,
    /// How many fields differed.
    pub mismatch_count: u32,
    /// How many of `disturbances` are filled in; written by the host.
    pub disturbance_count: u32,
    /// Under [`HostFlags::HOLD`] the value of the doorbell at which the guest waits; 0 where it does not wait, and the
    /// host writes 0 to let it continue.
    pub waiting: u32,
    /// 0.
    pub reserved: u32,
    /// Why the verdict is skip or error, or why it is fail without a field: NUL-padded text.
    pub reason: [u8; 96],
    /// What the host rewrote, oldest first; written by the host.
    pub disturbances: [Disturbance; DISTURBANCES],
    /// The first deliveries since `Armed`, oldest first.
    pub deliveries: [Delivery; DELIVERIES],
    /// The fields that differed.
    pub mismatches: [Mismatch; MISMATCHES],
}

/// One field that differed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Mismatch {
    /// A [`crate::field::Field`] as a number.
    pub field: u32,
    /// Which delivery since `Armed`, from 0, or [`RETURNED`].
    pub delivery: u32,
    /// The judge's expectation.
    pub expected: u64,
    /// What was captured.
    pub got: u64,
}

bitflags::bitflags! {
    /// What the host tells the image before it starts.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct HostFlags: u32 {
        /// A host listens: ring the doorbell, take cases from the mailbox, keep the serial line silent.
        const PRESENT = 1 << 0;
        /// Print lines on the serial port all the same.
        const SERIAL = 1 << 1;
        /// The host has nothing at the ports: before it rings, the guest writes the doorbell's value to
        /// [`Mailbox::waiting`] and waits until that is 0 again. [`crate::port::INPUT`] reads as all ones.
        const HOLD = 1 << 2;
    }
}

/// What became of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Verdict {
    /// Not judged yet.
    None = 0,
    /// Every field was as expected.
    Pass = 1,
    /// At least one field differed, or an event came where none may; see the reason then.
    Fail = 2,
    /// The machine lacks something; see the reason.
    Skip = 3,
    /// The image cannot judge; see the reason.
    Error = 4,
}

impl Verdict {
    /// The verdict with this number, if there is one.
    pub const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::None,
            1 => Self::Pass,
            2 => Self::Fail,
            3 => Self::Skip,
            4 => Self::Error,
            _ => return None,
        })
    }
}

impl Mailbox {
    /// The mailbox of an image that has booted.
    pub const EMPTY: Self = Self {
        magic: MAGIC,
        version: crate::VERSION,
        host: 0,
        case: 0,
        entries: 0,
        verdict: 0,
        compared: 0,
        mismatch_count: 0,
        disturbance_count: 0,
        waiting: 0,
        reserved: 0,
        reason: [0; 96],
        disturbances: [Disturbance { register: 0, phase: 0, value: 0 }; DISTURBANCES],
        deliveries: [Delivery::EMPTY; DELIVERIES],
        mismatches: [Mismatch { field: 0, delivery: 0, expected: 0, got: 0 }; MISMATCHES],
    };
}

const _: () = assert!(size_of::<Mailbox>() <= 4096, "the mailbox is one page");

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::IntoBytes;

    #[test]
    fn an_empty_mailbox_says_who_it_is() {
        assert_eq!(&Mailbox::EMPTY.as_bytes()[..12], b"midmail\0\x04\0\0\0");
    }

    #[test]
    fn verdicts_round_trip() {
        for verdict in [Verdict::None, Verdict::Pass, Verdict::Fail, Verdict::Skip, Verdict::Error] {
            assert_eq!(Verdict::from_number(verdict as u32), Some(verdict));
        }
        assert_eq!(Verdict::from_number(5), None);
    }
}
