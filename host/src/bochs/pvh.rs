//! An image by the PVH boot ABI (Xen's docs/misc/pvh.pandoc): EBX is at `hvm_start_info`.

use super::memory::{Disk, Memory, MemoryError};
use crate::image::Image;
use firmware::disk::Registers;

/// Where `hvm_start_info` and the command line lie, below what PCs keep for themselves.
const START_INFO: u32 = 0x9_0000;
const COMMAND_LINE: u32 = START_INFO + 0x100;
/// `hvm_start_info.magic`.
const MAGIC: u32 = 0x336E_C578;

/// The disk of an image with a command line, for a machine with `memory_size` bytes.
///
/// # Errors
/// When the image does not fit there.
pub fn disk(image: &Image, command_line: &str, memory_size: u64) -> Result<Disk, MemoryError> {
    let mut memory = Memory::default();
    for segment in &image.segments {
        memory.add(segment.address, segment.bytes.clone(), segment.size, memory_size)?;
    }
    // magic, version, flags, nr_modules: u32; modlist_paddr, cmdline_paddr, rsdp_paddr: u64.
    let mut info = vec![0; 40];
    info[0..4].copy_from_slice(&MAGIC.to_le_bytes());
    info[24..28].copy_from_slice(&COMMAND_LINE.to_le_bytes());
    memory.add(START_INFO.into(), info, 0, memory_size)?;
    let line = [command_line.as_bytes(), b"\0"].concat();
    memory.add(COMMAND_LINE.into(), line, 0, memory_size)?;
    memory.disk(image.entry, Registers { ebx: START_INFO, ..Registers::default() })
}
