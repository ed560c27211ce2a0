//! Why an image file cannot be used.

use super::bounds::{LARGEST_FILE, LOWEST, MEMORY_SIZE};

/// An image file cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct ImageError {
    /// The file's name.
    pub file: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with an image file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// It is larger than any image.
    #[error("is {0} bytes large; an image has at most {LARGEST_FILE}")]
    TooLarge(usize),
    /// It is no ELF file, or a truncated one.
    #[error("is not a complete ELF file ({0}); build the images with `make images`")]
    Elf(String),
    /// It is an ELF file of another kind.
    #[error("is not an ELF64 executable for x86-64 linked at fixed addresses")]
    Kind,
    /// A segment does not fit guest memory.
    #[error("has a segment at {address:#x}..+{size:#x}, outside {LOWEST:#x}..{MEMORY_SIZE:#x}")]
    Segment {
        /// Physical address.
        address: u64,
        /// Size in memory.
        size: u64,
    },
    /// It cannot be entered.
    #[error("has no PVH entry note (Xen, type 18), so there is nowhere to start it")]
    NoEntry,
    /// It is not one of ours.
    #[error("has no midflight note; it is not a midflight image")]
    NoNote,
    /// Its note is not one that this version can read.
    #[error("has a midflight note of version {found}; this midflight reads version {expected}: rebuild both")]
    Version {
        /// The note's.
        found: u32,
        /// Ours.
        expected: u32,
    },
    /// A name in its note is none that ids can hold.
    #[error("calls {of} {name:?}, which ids cannot hold: {}", protocol::name::RULE)]
    Name {
        /// The image or a case of it.
        of: String,
        /// The name.
        name: String,
    },
    /// Two of its cases have one name.
    #[error("has two cases called `{0}`; scenario ids could not distinguish them")]
    SameName(String),
    /// Its note contradicts itself or the image.
    #[error("has a broken midflight note: {0}")]
    BrokenNote(&'static str),
}
