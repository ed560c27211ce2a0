//! The memory of a guest in QEMU: a file without a name, which QEMU maps (`memory-backend-file`, `share=on`).

use crate::process::MemoryFile;
use rustix::fs::{FallocateFlags, fallocate};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

const PAGE: u64 = 4096;

/// Guest memory from guest-physical 0 on.
pub struct Memory(MemoryFile);

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Memory").field(&self.0.path()).finish()
    }
}

impl Memory {
    /// `size` bytes of zeros. Fails when there is no memory for the file.
    pub fn new(size: u64) -> io::Result<Self> {
        let memory = MemoryFile::new(&[])?;
        memory.file().set_len(size)?;
        Ok(Self(memory))
    }

    /// A path to it, for this process and its children.
    pub(crate) fn path(&self) -> String {
        self.0.path()
    }

    /// Reads bytes at a guest-physical address. Fails outside the guest's memory.
    pub fn read(&self, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.0.file().read_exact_at(bytes, at)
    }

    /// Writes bytes at a guest-physical address. Fails when the file cannot take them.
    pub fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.file().write_all_at(bytes, at)
    }

    /// Reads a number at a guest-physical address. Fails outside the guest's memory.
    pub fn read_u32(&self, at: u64) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.read(at, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// Takes a page out of the guest's mapping and keeps its contents: a hole is punched into the file, which
    /// unmaps the page from QEMU and from its KVM, and filled again. The guest must be stopped, or at a doorbell and its
    /// processor away from the page: in between the page reads as zeros. Fails where the file can have no holes.
    pub fn evict(&self, page: u64) -> io::Result<()> {
        let mut contents = [0; PAGE as usize];
        self.read(page, &mut contents)?;
        fallocate(self.0.file(), FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, page, PAGE)?;
        self.write(page, &contents)
    }

    /// Whether a page is in the mapping of the process `pid`, which maps this memory: bit 63 of its pagemap
    /// (Documentation/admin-guide/mm/pagemap.rst). Fails where this process may not read that, or when there
    /// is no such mapping.
    pub fn is_mapped(&self, pid: u32, page: u64) -> io::Result<bool> {
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
        let inode = self.0.file().metadata()?.ino();
        let address = maps.lines().find_map(|line| address_of(line, inode, page));
        let address = address.ok_or_else(|| io::Error::other("QEMU does not map the page"))?;
        let mut entry = [0; 8];
        let pagemap = std::fs::File::open(format!("/proc/{pid}/pagemap"))?;
        pagemap.read_exact_at(&mut entry, address / PAGE * 8)?;
        Ok(u64::from_le_bytes(entry) >> 63 == 1)
    }
}

/// Where the line of /proc/PID/maps, if it is of the file `inode`, maps its byte `at`:
/// `START-END PERMISSIONS OFFSET DEVICE INODE PATH`.
fn address_of(line: &str, inode: u64, at: u64) -> Option<u64> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let offset = words.nth(1)?;
    words.nth(1)?.parse().ok().filter(|found: &u64| *found == inode)?;
    let [start, end, offset] = [start, end, offset].map(|hex| u64::from_str_radix(hex, 16).ok());
    let address = start? + at.checked_sub(offset?)?;
    (address < end?).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_evicted_page_keeps_its_contents() {
        let memory = Memory::new(4 * PAGE).unwrap();
        memory.write(2 * PAGE + 8, &[1, 2, 3, 4]).unwrap();
        memory.evict(2 * PAGE).unwrap();
        assert_eq!(memory.read_u32(2 * PAGE + 8).unwrap(), 0x0403_0201);
        assert!(memory.read_u32(4 * PAGE).is_err());
    }

    #[test]
    fn the_mapping_is_found_by_its_file() {
        let line = "7f0000000000-7f0000800000 rw-s 00001000 00:01 77  /memfd:midflight (deleted)";
        assert_eq!(address_of(line, 77, 0x3000), Some(0x7F00_0000_2000));
        assert_eq!(address_of(line, 78, 0x3000), None);
        assert_eq!(address_of(line, 77, 0), None, "before the mapping");
        assert_eq!(address_of(line, 77, 0x80_1000), None, "after it");
        assert_eq!(address_of("", 77, 0), None);
    }
}
