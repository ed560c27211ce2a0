//! How an image ends.

/// The byte an image writes to [`crate::port::EXIT`].
///
/// Under QEMU's isa-debug-exit the process then exits with `byte << 1 | 1`: 33, 35, 37 or 39, none
/// of which QEMU itself uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ImageExit {
    /// At least one case passed and none failed.
    Pass = 0x10,
    /// At least one case failed: the machine is wrong.
    Fail = 0x11,
    /// The image or its environment is wrong.
    Error = 0x12,
    /// Every case was skipped.
    Skip = 0x13,
}

impl ImageExit {
    /// The exit a byte stands for, if it does.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0x10 => Some(Self::Pass),
            0x11 => Some(Self::Fail),
            0x12 => Some(Self::Error),
            0x13 => Some(Self::Skip),
            _ => None,
        }
    }

    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pass, Self::Fail, Self::Error, Self::Skip];

    /// The name in the image's last line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Error => "error",
            Self::Skip => "skip",
        }
    }

    /// The exit code of a QEMU process whose guest ended so.
    pub const fn qemu_code(self) -> i32 {
        (self as i32) << 1 | 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qemu_codes_are_the_documented_ones() {
        let codes =
            [ImageExit::Pass, ImageExit::Fail, ImageExit::Error, ImageExit::Skip].map(ImageExit::qemu_code);
        assert_eq!(codes, [33, 35, 37, 39]);
        assert_eq!(ImageExit::from_byte(0x11), Some(ImageExit::Fail));
        assert_eq!(ImageExit::from_byte(0), None);
    }
}
