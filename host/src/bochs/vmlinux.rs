//! A kernel as an ELF file, entered by the PVH boot ABI.

use super::linux::{Given, KernelError, initrd_address, memory_map};
use super::memory::{Disk, Memory};
use crate::image::{file_range, pvh_entry};
use firmware::disk::Registers;
use goblin::elf::Elf;
use goblin::elf::program_header::PT_LOAD;
use goblin::error::Error;

/// Where `hvm_start_info`, the list of modules, the memory map and the command line lie.
const START_INFO: u32 = 0x1_0000;
const MODULES: u32 = START_INFO + 0x100;
const MEMORY_MAP: u32 = START_INFO + 0x200;
const COMMAND_LINE: u32 = 0x2_0000;
/// `hvm_start_info.magic`, and the version with a memory map.
const MAGIC: u32 = 0x336E_C578;
const VERSION: u32 = 1;
/// `hvm_memmap_table_entry.type` of memory.
const RAM: u32 = 1;

pub(super) fn check(kernel: &[u8]) -> Result<(), KernelError> {
    let everything = Given { initrd: &[], command_line: "", memory_size: 1 << 32 };
    disk(kernel, everything).map(drop)
}

pub(super) fn disk(kernel: &[u8], given: Given<'_>) -> Result<Disk, KernelError> {
    let no_elf = |error: Error| KernelError::Elf(error.to_string());
    let header = Elf::parse_header(kernel).map_err(no_elf)?;
    // The section headers come last in what a linker writes.
    let sections = u64::from(header.e_shnum) * u64::from(header.e_shentsize);
    let end = usize::try_from(header.e_shoff.saturating_add(sections)).unwrap_or(usize::MAX);
    if kernel.len() < end {
        return Err(KernelError::Truncated(kernel.len(), end));
    }
    let elf = Elf::parse(kernel).map_err(no_elf)?;
    let unreadable = |problem: crate::image::Problem| KernelError::Elf(problem.to_string());
    let entry = pvh_entry(&elf, kernel).ok_or(KernelError::NoEntry)?;
    let mut memory = Memory::default();
    for header in elf.program_headers.iter().filter(|header| header.p_type == PT_LOAD) {
        let bytes = file_range(kernel, header.p_offset, header.p_filesz).map_err(unreadable)?;
        memory.add(header.p_paddr, bytes.to_vec(), header.p_memsz, given.memory_size)?;
    }
    let initrd = initrd_address(given.initrd.len() as u64, given.memory_size, u32::MAX.into());
    let mut add = |address: u64, bytes: Vec<u8>| memory.add(address, bytes, 0, given.memory_size);
    add(START_INFO.into(), start_info())?;
    // struct hvm_modlist_entry: address, size, command line, reserved.
    add(MODULES.into(), words(&[initrd, given.initrd.len() as u64, 0, 0]))?;
    add(MEMORY_MAP.into(), map(given.memory_size))?;
    add(COMMAND_LINE.into(), [given.command_line.as_bytes(), b"\0"].concat())?;
    add(initrd, given.initrd.to_vec())?;
    Ok(memory.disk(entry, Registers { ebx: START_INFO, ..Registers::default() })?)
}

/// `struct hvm_start_info`: magic, version, flags, number of modules; the addresses of their list, the command line and
/// the RSDP; the address and the number of entries of the memory map.
fn start_info() -> Vec<u8> {
    let numbers = [MAGIC, VERSION, 0, 1].map(u32::to_le_bytes).concat();
    let entries = memory_map(0).len() as u64;
    [numbers, words(&[MODULES.into(), COMMAND_LINE.into(), 0, MEMORY_MAP.into(), entries])].concat()
}

/// `struct hvm_memmap_table_entry`: address, size, type, reserved.
fn map(memory_size: u64) -> Vec<u8> {
    let entry = |range: std::ops::Range<u64>| words(&[range.start, range.end - range.start, RAM.into()]);
    memory_map(memory_size.max(0x10_0000)).into_iter().flat_map(entry).collect()
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
