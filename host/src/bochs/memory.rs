//! A guest's memory and registers at its entry, and the disk from which the firmware loads them.

use firmware::disk::{LOWEST, MAGIC, PIECES, Piece, Registers, SECTOR, Table};
use std::ops::Range;

/// Heads and sectors of a track: what every BIOS and emulator takes. A disk consists of whole cylinders.
pub const HEADS: usize = 16;
/// Sectors of a track.
pub const TRACK: usize = 63;
/// Bytes of a cylinder.
const CYLINDER: usize = HEADS * TRACK * SECTOR;
/// Of a PC, what is no memory, up to the ROM's end.
const HOLE: Range<u64> = 0xA_0000..0x10_0000;

/// What the firmware loads before it enters a guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Sorted, without overlap.
    pieces: Vec<Contents>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Contents {
    address: u64,
    bytes: Vec<u8>,
    /// Bytes in memory; zeros after `bytes`.
    size: u64,
}

impl Contents {
    fn range(&self) -> Range<u64> {
        self.address..self.address + self.size
    }
}

/// A guest cannot be laid out on a disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// There is no memory, or the firmware's.
    #[error(
        "{size:#x} bytes at {address:#x} cannot be loaded: a PC has memory from {LOWEST:#x} to 0x9ffff and from 0x100000 on, and the end given is {end:#x}"
    )]
    NoMemory {
        /// Where it was to go.
        address: u64,
        /// Its size in memory.
        size: u64,
        /// The size of memory.
        end: u64,
    },
    /// Two pieces are in one place.
    #[error("what is loaded at {first:#x} and at {second:#x} overlaps")]
    Overlap {
        /// The lower one's address.
        first: u64,
        /// The other one's address.
        second: u64,
    },
    /// More pieces than the firmware takes.
    #[error("{0} pieces of memory are to be loaded, and the firmware takes {PIECES}")]
    TooMany(usize),
    /// The disk would be larger than the firmware can address.
    #[error("what is loaded is too large: {0} sectors, and the firmware reads 268435456")]
    TooLarge(usize),
}

/// A disk.
#[derive(Debug)]
pub struct Disk {
    /// Its contents, whole cylinders.
    pub bytes: Vec<u8>,
    /// How many of them.
    pub cylinders: usize,
}

impl Memory {
    /// Adds `bytes` at a physical address, and zeros after them up to `size`, in a machine with `end` bytes of
    /// memory.
    ///
    /// # Errors
    /// [`MemoryError::NoMemory`], [`MemoryError::Overlap`].
    pub fn add(&mut self, address: u64, bytes: Vec<u8>, size: u64, end: u64) -> Result<(), MemoryError> {
        let size = size.max(bytes.len() as u64);
        let no_memory = MemoryError::NoMemory { address, size, end };
        let last = address.checked_add(size).ok_or_else(|| no_memory.clone())?;
        let in_hole = address < HOLE.end && last > HOLE.start;
        if address < u64::from(LOWEST) || in_hole || last > end.min(1 << 32) {
            return Err(no_memory);
        }
        if size == 0 {
            return Ok(());
        }
        let index = self.pieces.partition_point(|piece| piece.address < address);
        let before = index.checked_sub(1).and_then(|index| self.pieces.get(index));
        for (first, second) in [
            (before.map(Contents::range), Some(address..last)),
            (Some(address..last), self.pieces.get(index).map(Contents::range)),
        ] {
            if let (Some(first), Some(second)) = (first, second)
                && first.end > second.start
            {
                return Err(MemoryError::Overlap { first: first.start, second: second.start });
            }
        }
        self.pieces.insert(index, Contents { address, bytes, size });
        Ok(())
    }

    /// The disk from which the firmware loads this and jumps to `entry` with these registers.
    ///
    /// # Errors
    /// [`MemoryError::TooMany`], [`MemoryError::TooLarge`].
    pub fn disk(&self, entry: u32, registers: Registers) -> Result<Disk, MemoryError> {
        let mut pieces = [Piece::default(); PIECES];
        if self.pieces.len() > PIECES {
            return Err(MemoryError::TooMany(self.pieces.len()));
        }
        let mut bytes = vec![0; SECTOR];
        // Ascending, so that the rest of a last sector is overwritten by the piece that lies there.
        for (piece, contents) in pieces.iter_mut().zip(&self.pieces) {
            *piece = placed(contents, bytes.len() / SECTOR)?;
            bytes.extend(&contents.bytes);
            bytes.resize(bytes.len().next_multiple_of(SECTOR), 0);
        }
        let count = u32::try_from(self.pieces.len()).map_err(|_| MemoryError::TooMany(self.pieces.len()))?;
        bytes[..SECTOR].copy_from_slice(&Table { magic: MAGIC, entry, registers, count, pieces }.sector());
        let cylinders = bytes.len().div_ceil(CYLINDER);
        bytes.resize(cylinders * CYLINDER, 0);
        Ok(Disk { bytes, cylinders })
    }
}

/// The table's line for contents that begin at sector `first`.
fn placed(contents: &Contents, first: usize) -> Result<Piece, MemoryError> {
    let sectors = contents.bytes.len().div_ceil(SECTOR);
    let zeros = contents.size.saturating_sub((sectors * SECTOR) as u64);
    // 28 bits of LBA.
    let number = |sectors: usize| u32::try_from(sectors).ok().filter(|sectors| sectors >> 28 == 0);
    let too_large = MemoryError::TooLarge(first + sectors);
    let (Some(first), Some(sectors), Some(_)) = (number(first), number(sectors), number(first + sectors))
    else {
        return Err(too_large);
    };
    let address = u32::try_from(contents.address).map_err(|_| too_large.clone())?;
    Ok(Piece { address, first, sectors, zeros: u32::try_from(zeros).map_err(|_| too_large)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: u64 = 64 << 20;

    #[test]
    fn pieces_are_sorted_padded_to_sectors_and_found_by_the_table() {
        let mut memory = Memory::default();
        memory.add(0x10_0000, vec![1; 3], 0, END).unwrap();
        memory.add(0x20_0000, vec![2; 513], 0x1_0000, END).unwrap();
        memory.add(0x9000, Vec::new(), 0x100, END).unwrap();
        memory.add(0x8000, Vec::new(), 0, END).unwrap();
        let disk = memory.disk(0x10_0000, Registers { esi: 5, ..Registers::default() }).unwrap();
        assert_eq!((disk.cylinders, disk.bytes.len()), (1, 16 * 63 * 512));
        let word = |at: usize| u32::from_le_bytes(disk.bytes[at..at + 4].try_into().unwrap());
        let words = |at: usize| [0, 4, 8, 12].map(|offset| word(at + offset));
        assert_eq!((word(4), word(12), word(40)), (0x10_0000, 5, 3));
        assert_eq!(words(44), [0x9000, 1, 0, 0x100]);
        assert_eq!(words(60), [0x10_0000, 1, 1, 0]);
        assert_eq!(words(76), [0x20_0000, 2, 2, 0x1_0000 - 1024]);
        assert_eq!((disk.bytes[512 + 2], disk.bytes[512 + 3], disk.bytes[1024 + 512]), (1, 0, 2));
    }

    #[test]
    fn what_cannot_be_loaded_is_refused() {
        let mut memory = Memory::default();
        for (address, size) in
            [(0, 1), (0x9_FFFF, 2), (0xF_FFFF, 2), (END - 1, 2), (u64::MAX, 1), (1 << 32, 1)]
        {
            let refused = memory.add(address, vec![0; 1], size, END);
            assert_eq!(refused, Err(MemoryError::NoMemory { address, size, end: END }));
        }
        memory.add(0x10_0000, vec![0; 16], 16, END).unwrap();
        memory.add(0x10_0010, vec![0; 16], 16, END).unwrap();
        for address in [0x10_0000, 0x10_000F, 0x10_001F, 0xF_FFFF + 1] {
            assert!(
                matches!(memory.add(address, vec![0; 1], 1, END), Err(MemoryError::Overlap { .. })),
                "{address:#x}"
            );
        }
        for page in 0..28 {
            memory.add(0x20_0000 + page * 0x1000, vec![0; 1], 1, END).unwrap();
        }
        assert_eq!(memory.disk(0, Registers::default()).unwrap_err(), MemoryError::TooMany(30));
    }
}
