//! The disk's first sector: what goes where, and with which registers it is entered.

/// Bytes of a sector.
pub const SECTOR: usize = 512;
/// The first word of the table: `MFLT`.
pub const MAGIC: u32 = u32::from_le_bytes(*b"MFLT");
/// The most pieces that the table has place for.
pub const PIECES: usize = (SECTOR - HEADER) / size_of::<Piece>();
/// Bytes before the pieces.
const HEADER: usize = 44;
/// Where the ROM puts the table. Nothing may be loaded below [`LOWEST`].
pub const TABLE: u32 = 0x600;
/// The lowest address that a piece may have.
pub const LOWEST: u32 = 0x1000;

/// The selector of the flat code segment at entry: Linux's `__BOOT_CS`.
pub const CODE_SELECTOR: u16 = 0x10;
/// The selector of the flat data segments at entry: Linux's `__BOOT_DS`.
pub const DATA_SELECTOR: u16 = 0x18;

/// General registers at entry, in the order of POPAD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Registers {
    /// EDI.
    pub edi: u32,
    /// ESI: of Linux's boot protocol, the address of `struct boot_params`.
    pub esi: u32,
    /// EBP.
    pub ebp: u32,
    /// POPAD passes over ESP.
    pub unused: u32,
    /// EBX: of PVH, the address of `start_info`.
    pub ebx: u32,
    /// EDX.
    pub edx: u32,
    /// ECX.
    pub ecx: u32,
    /// EAX.
    pub eax: u32,
}

/// A piece of memory. Pieces are loaded in the order of the table: the rest of the last sector goes to memory,
/// too, so that the piece that lies there must come later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Piece {
    /// The physical address.
    pub address: u32,
    /// Its first sector on the disk.
    pub first: u32,
    /// The number of its sectors; may be 0.
    pub sectors: u32,
    /// The number of bytes after the sectors that are set to 0.
    pub zeros: u32,
}

/// What the first sector of the disk holds, little-endian and without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Table {
    /// [`MAGIC`].
    pub magic: u32,
    /// Where the ROM jumps, in flat 32-bit protected mode without paging or interrupts.
    pub entry: u32,
    /// The registers there.
    pub registers: Registers,
    /// How many pieces count.
    pub count: u32,
    /// The pieces.
    pub pieces: [Piece; PIECES],
}

impl Table {
    /// The sector.
    pub fn sector(&self) -> [u8; SECTOR] {
        let r = &self.registers;
        let head =
            [self.magic, self.entry, r.edi, r.esi, r.ebp, r.unused, r.ebx, r.edx, r.ecx, r.eax, self.count];
        let pieces =
            self.pieces.iter().flat_map(|piece| [piece.address, piece.first, piece.sectors, piece.zeros]);
        let mut sector = [0; SECTOR];
        for (bytes, word) in sector.chunks_exact_mut(4).zip(head.into_iter().chain(pieces)) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        sector
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::offset_of;

    #[test]
    fn the_sector_is_as_the_rom_reads_it() {
        assert_eq!(offset_of!(Table, pieces), HEADER);
        assert_eq!((PIECES, size_of::<Table>() <= SECTOR), (29, true));
        let piece = Piece { address: 0x10_0000, first: 1, sectors: 2, zeros: 3 };
        let registers = Registers { ebx: 0x9000, eax: 7, ..Registers::default() };
        let table = Table { magic: MAGIC, entry: 0x10_0040, registers, count: 1, pieces: [piece; PIECES] };
        let sector = table.sector();
        let word =
            |at: usize| u32::from_le_bytes([sector[at], sector[at + 1], sector[at + 2], sector[at + 3]]);
        assert_eq!(&sector[..4], b"MFLT");
        assert_eq!([4, 8 + 16, 8 + 28, 40].map(word), [0x10_0040, 0x9000, 7, 1]);
        assert_eq!([44, 48, 52, 56, 44 + 16].map(word), [0x10_0000, 1, 2, 3, 0x10_0000]);
    }
}
