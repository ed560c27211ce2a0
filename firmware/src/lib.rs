//! A ROM for PC emulators that fills memory from a disk and enters what it has loaded.
//!
//! It knows no file format: the host lays out the [disk] as a list of pieces of memory and the registers
//! at entry, so that one ROM enters a PVH image as well as a Linux bzImage. From the reset vector it goes to flat
//! 32-bit protected mode, enables A20, reads by ATA PIO, and jumps. It needs a 386, CMOS memory, a disk as the
//! primary master, and RAM; it uses neither interrupts nor a stack.
//!
//! Memory is not restored after a reset, so a second pass through the reset vector is the end of the guest: a
//! triple fault, or a kernel that restarts. It prints [`RESET`] and ends the machine.
//!
//! The code is `.rodata` here, assembled with this crate: there is no further file to build or to find.
#![cfg_attr(not(test), no_std)]

pub mod disk;
pub mod probe;
mod rom;

pub use rom::{ADDRESS, SIZE, rom};

/// The line on port 0xE9 after the machine was reset.
pub const RESET: &str = "FIRMWARE: the machine was reset";
/// The line on port 0xE9 when there is no disk that answers.
pub const NO_DISK: &str = "FIRMWARE: the disk cannot be read";
/// The line on port 0xE9 when the disk's first sector is no [`disk::Table`].
pub const NO_TABLE: &str = "FIRMWARE: the disk has no table";
