//! A Linux kernel, entered in 32-bit protected mode as the boot protocol has it (Documentation/arch/x86/boot.rst), or by
//! the PVH boot ABI where it is an ELF file.

use super::memory::{Disk, Memory, MemoryError};
use super::vmlinux;
use firmware::disk::Registers;
use std::ops::Range;

/// What a kernel is given.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// The initrd.
    pub initrd: &'a [u8],
    /// The command line.
    pub command_line: &'a str,
    /// The size of memory in bytes.
    pub memory_size: u64,
}

/// A file is no kernel that can be entered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// It has neither format.
    #[error("it is neither a bzImage nor an ELF file")]
    Format,
    /// The boot protocol is older than 2.12, the one of Linux 3.8.
    #[error("its boot protocol {}.{:02} is older than 2.12", .0 >> 8, .0 & 0xFF)]
    Protocol(u16),
    /// The file is shorter than its header says.
    #[error("it ends after {0} bytes and its header says {1}: it is truncated")]
    Truncated(usize, usize),
    /// The ELF file cannot be read.
    #[error("as an ELF file it cannot be loaded: {0}")]
    Elf(String),
    /// There is no entry point for a boot loader.
    #[error("it is an ELF file without a PVH entry point: give the bzImage, or a vmlinux with CONFIG_PVH")]
    NoEntry,
    /// It is too large for the machine.
    #[error("it does not fit into the emulated memory: {0}")]
    Memory(#[from] MemoryError),
}

pub(super) const ELF: &[u8] = b"\x7FELF";

/// Where `struct boot_params` and the command line lie.
const BOOT_PARAMS: u32 = 0x1_0000;
const COMMAND_LINE: u32 = 0x2_0000;
/// Where Linux itself is loaded: `code32_start` of every bzImage.
pub(super) const CODE: u64 = 0x10_0000;
const PAGE: u64 = 0x1000;
pub(super) const SECTOR: usize = 512;

/// The fields of `struct setup_header`, by their offsets in the file and in `struct boot_params`.
const SETUP_SECTORS: usize = 0x1F1;
const SYSTEM_SIZE: usize = 0x1F4;
const BOOT_FLAG: usize = 0x1FE;
const JUMP_LENGTH: usize = 0x201;
const SIGNATURE: usize = 0x202;
const VERSION: usize = 0x206;
const LOADER: usize = 0x210;
const RAMDISK_IMAGE: usize = 0x218;
const RAMDISK_SIZE: usize = 0x21C;
const COMMAND_LINE_POINTER: usize = 0x228;
const INITRD_HIGHEST: usize = 0x22C;
/// Fields of `struct boot_params` outside it.
const E820_COUNT: usize = 0x1E8;
const E820: usize = 0x2D0;
/// A boot loader without a number of its own.
const UNKNOWN_LOADER: u8 = 0xFF;
/// The least protocol that is tried.
const LEAST_VERSION: u16 = 0x020C;
/// The unit of `syssize`, in bytes.
const PARAGRAPH: usize = 16;

/// Of a PC, what is memory: up to the extended BIOS data area, and from 1 MiB on.
pub(super) fn memory_map(memory_size: u64) -> [Range<u64>; 2] {
    [0..0x9_FC00, 0x10_0000..memory_size]
}

/// The disk of a kernel, by its format.
///
/// # Errors
/// [`KernelError`], with what is wrong with the file.
pub fn disk(kernel: &[u8], given: Given<'_>) -> Result<Disk, KernelError> {
    if kernel.starts_with(ELF) { vmlinux::disk(kernel, given) } else { bz_image(kernel, given) }
}

/// Whether a file is a kernel, whole as far as its header says.
///
/// # Errors
/// [`KernelError`], with what is wrong with the file.
pub fn check(kernel: &[u8]) -> Result<(), KernelError> {
    if kernel.starts_with(ELF) { vmlinux::check(kernel) } else { Header::of(kernel).map(drop) }
}

fn bz_image(kernel: &[u8], given: Given<'_>) -> Result<Disk, KernelError> {
    let header = Header::of(kernel)?;
    let mut memory = Memory::default();
    let mut add = |address: u64, bytes: Vec<u8>| memory.add(address, bytes, 0, given.memory_size);
    let initrd = initrd_address(given.initrd.len() as u64, given.memory_size, header.initrd_highest.into());
    add(BOOT_PARAMS.into(), boot_params(kernel, &header, initrd, given))?;
    add(COMMAND_LINE.into(), [given.command_line.as_bytes(), b"\0"].concat())?;
    add(CODE, kernel[header.setup_size..header.end].to_vec())?;
    add(initrd, given.initrd.to_vec())?;
    Ok(memory.disk(CODE as u32, Registers { esi: BOOT_PARAMS, ..Registers::default() })?)
}

/// As high as it may be, where no kernel unpacks itself.
pub(super) fn initrd_address(size: u64, memory_size: u64, highest: u64) -> u64 {
    memory_size.min(highest.saturating_add(1)).saturating_sub(size) / PAGE * PAGE
}

/// What the file says of itself.
pub(super) struct Header {
    /// Bytes of the real-mode part, which is not used.
    pub(super) setup_size: usize,
    /// Where the rest ends.
    end: usize,
    /// Where `struct setup_header` ends.
    header_end: usize,
    /// The highest address of an initrd's last byte.
    initrd_highest: u32,
}

impl Header {
    pub(super) fn of(kernel: &[u8]) -> Result<Self, KernelError> {
        let is_kernel = kernel.get(BOOT_FLAG..BOOT_FLAG + 2) == Some(&[0x55, 0xAA])
            && kernel.get(SIGNATURE..SIGNATURE + 4) == Some(b"HdrS");
        if !is_kernel || kernel.len() < E820 {
            return Err(KernelError::Format);
        }
        let version = u16::from_le_bytes([kernel[VERSION], kernel[VERSION + 1]]);
        if version < LEAST_VERSION {
            return Err(KernelError::Protocol(version));
        }
        // 0 means 4.
        let setup_sectors = if kernel[SETUP_SECTORS] == 0 { 4 } else { usize::from(kernel[SETUP_SECTORS]) };
        let setup_size = (setup_sectors + 1) * SECTOR;
        let end = setup_size + word(kernel, SYSTEM_SIZE) as usize * PARAGRAPH;
        if kernel.len() < end {
            return Err(KernelError::Truncated(kernel.len(), end));
        }
        Ok(Self {
            setup_size,
            end,
            header_end: SIGNATURE + usize::from(kernel[JUMP_LENGTH]),
            initrd_highest: word(kernel, INITRD_HIGHEST),
        })
    }
}

pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// `struct boot_params`: the kernel's own header, and what a boot loader adds.
fn boot_params(kernel: &[u8], header: &Header, initrd: u64, given: Given<'_>) -> Vec<u8> {
    let mut page = vec![0; PAGE as usize];
    page[SETUP_SECTORS..header.header_end].copy_from_slice(&kernel[SETUP_SECTORS..header.header_end]);
    page[LOADER] = UNKNOWN_LOADER;
    let words = [
        (RAMDISK_IMAGE, initrd as u32),
        (RAMDISK_SIZE, given.initrd.len() as u32),
        (COMMAND_LINE_POINTER, COMMAND_LINE),
    ];
    for (at, word) in words {
        page[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }
    // struct boot_e820_entry: address, size, type 1 for memory.
    let map = memory_map(given.memory_size);
    page[E820_COUNT] = map.len() as u8;
    for (entry, range) in page[E820..].chunks_exact_mut(20).zip(map) {
        entry[..8].copy_from_slice(&range.start.to_le_bytes());
        entry[8..16].copy_from_slice(&(range.end - range.start).to_le_bytes());
        entry[16] = 1;
    }
    page
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const MEMORY: u64 = 512 << 20;

    /// One setup sector, and `size` bytes of code.
    pub(in crate::bochs) fn kernel(size: usize) -> Vec<u8> {
        let mut kernel = vec![0; 2 * SECTOR];
        kernel[SETUP_SECTORS] = 1;
        kernel[BOOT_FLAG..BOOT_FLAG + 2].copy_from_slice(&[0x55, 0xAA]);
        kernel[0x200..0x202].copy_from_slice(&[0xEB, 0x6A]);
        kernel[SIGNATURE..SIGNATURE + 4].copy_from_slice(b"HdrS");
        kernel[VERSION..VERSION + 2].copy_from_slice(&[0x0F, 0x02]);
        kernel[INITRD_HIGHEST..INITRD_HIGHEST + 4].copy_from_slice(&0x7FFF_FFFF_u32.to_le_bytes());
        kernel[SYSTEM_SIZE..SYSTEM_SIZE + 4].copy_from_slice(&(size as u32 / 16).to_le_bytes());
        kernel.extend(vec![0xC3; size]);
        kernel
    }

    fn given(command_line: &str) -> Given<'_> {
        Given { initrd: b"initrd", command_line, memory_size: MEMORY }
    }

    #[test]
    fn the_kernel_finds_its_header_command_line_initrd_and_memory() {
        let kernel = kernel(1024);
        let page = boot_params(&kernel, &Header::of(&kernel).unwrap(), 0x1FFF_F000, given("quiet"));
        let word = |at: usize| word(&page, at);
        assert_eq!(page[SETUP_SECTORS..0x20F], kernel[SETUP_SECTORS..0x20F]);
        assert_eq!((page[0x210], word(0x218), word(0x21C), word(0x228)), (0xFF, 0x1FFF_F000, 6, 0x2_0000));
        assert_eq!((page[0x1E8], page.len()), (2, 4096));
        let entries = [0x2D0, 0x2E4].map(|at| [0, 4, 8, 12, 16].map(|offset| word(at + offset)));
        assert_eq!(entries, [[0, 0, 0x9_FC00, 0, 1], [0x10_0000, 0, 0x1FF0_0000, 0, 1]]);
        let disk = disk(&kernel, given("quiet")).unwrap();
        // Entry, ESI, and four pieces.
        let word = |at: usize| super::word(&disk.bytes, at);
        assert_eq!((word(4), word(12), word(40)), (0x10_0000, 0x1_0000, 4));
        assert_eq!(
            [0, 1, 2, 3].map(|piece| word(44 + 16 * piece)),
            [0x1_0000, 0x2_0000, 0x10_0000, 0x1FFF_F000]
        );
    }

    #[test]
    fn an_initrd_is_as_high_as_the_kernel_takes_it() {
        assert_eq!(initrd_address(6, MEMORY, 0x7FFF_FFFF), 0x1FFF_F000);
        assert_eq!(initrd_address(0x1001, MEMORY, 0x1FFF_FFFF), 0x1FFF_E000);
        assert_eq!(initrd_address(6, 4 << 30, 0x37FF_FFFF), 0x37FF_F000);
        assert_eq!(initrd_address(1 << 40, MEMORY, 0x7FFF_FFFF), 0);
    }

    #[test]
    fn what_is_no_kernel_is_refused_with_what_is_wrong() {
        let refused = |kernel: &[u8]| disk(kernel, given("")).unwrap_err();
        assert_eq!(refused(b"kernel"), KernelError::Format);
        assert_eq!(refused(&[0; 4096]), KernelError::Format);
        assert_eq!(refused(&kernel(1024)[..1900]), KernelError::Truncated(1900, 2048));
        let mut old = kernel(1024);
        old[VERSION] = 0x0B;
        assert_eq!(refused(&old).to_string(), "its boot protocol 2.11 is older than 2.12");
        assert!(matches!(refused(b"\x7FELF"), KernelError::Elf(_)));
        let large = Given { initrd: b"", command_line: "", memory_size: 0x10_0000 };
        assert!(matches!(disk(&kernel(1024), large), Err(KernelError::Memory(_))));
    }
}
