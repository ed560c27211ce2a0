//! How large images and their memory are.

/// Guest memory, in bytes: images are linked at 1 MiB and take at most 512 KiB.
pub const MEMORY_SIZE: u64 = 2 << 20;
/// Lowest address an image may be loaded at: below it are the boot structures.
pub const LOWEST: u64 = 1 << 20;
/// Largest image file that is read at all, in bytes.
pub const LARGEST_FILE: usize = 1 << 20;

/// Whether `size` bytes at `address` are where an image may be.
pub(crate) fn inside(address: u64, size: u64) -> bool {
    address >= LOWEST && address.checked_add(size).is_some_and(|end| end <= MEMORY_SIZE)
}
