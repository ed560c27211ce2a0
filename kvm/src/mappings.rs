//! Guest memory: one memfd with two mappings.
//!
//! The guest's mapping is what the memory slot names, and what [`Mappings::block`] closes. The
//! host's mapping always works: a blocked page can still be read, written, saved and restored.

use super::error::{call, last};
use super::sys;
use memmap2::{MmapOptions, MmapRaw};
use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use vm::{MemoryImage, PAGE, VcpuError};

#[derive(Debug)]
pub(super) struct Mappings {
    // KVM's slot points into the guest's mapping and goes with the VM's descriptors, which are closed first.
    guest: MmapRaw,
    host: MmapRaw,
    fd: OwnedFd,
    size: u64,
    /// What was loaded last: pages that still equal it are shared with it when saving.
    loaded: MemoryImage,
    /// Whether nothing can have been written yet, so that loading need not clear it first.
    fresh: bool,
}

impl Mappings {
    /// `size` zero bytes, a multiple of 4096.
    pub(super) fn new(size: u64) -> Result<Self, VcpuError> {
        let fd = sys::memfd(size)?;
        let (guest, host) = (map(&fd, size)?, map(&fd, size)?);
        Ok(Self { guest, host, fd, size, loaded: MemoryImage::default(), fresh: true })
    }

    /// Address of the guest's mapping in this process.
    pub(super) fn guest_address(&self) -> u64 {
        self.guest.as_mut_ptr() as u64
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The guest may have written from now on.
    pub(super) fn entered(&mut self) {
        self.fresh = false;
    }

    /// Checks that `address..+length` is guest memory; returns it as an offset.
    fn offset(&self, address: u64, length: usize) -> Result<usize, VcpuError> {
        let length = length as u64;
        match address.checked_add(length) {
            Some(end) if end <= self.size => Ok(address as usize),
            _ => Err(VcpuError::OutsideMemory { address, length, memory_size: self.size }),
        }
    }

    pub(super) fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), VcpuError> {
        let offset = self.offset(address, bytes.len())?;
        // SAFETY: offset + length is inside the host's mapping, `bytes` is ours alone, and no
        // reference into the mapping exists anywhere: it is only ever copied from and to. The guest
        // does not run meanwhile, as it runs only inside `run(&mut self)`.
        unsafe {
            std::ptr::copy_nonoverlapping(
                self.host.as_mut_ptr().add(offset),
                bytes.as_mut_ptr(),
                bytes.len(),
            );
        }
        Ok(())
    }

    pub(super) fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), VcpuError> {
        let offset = self.offset(address, bytes.len())?;
        self.fresh = false;
        // SAFETY: as in `read`, the other way round.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.host.as_mut_ptr().add(offset), bytes.len());
        }
        Ok(())
    }

    pub(super) fn save(&self) -> Result<MemoryImage, VcpuError> {
        let mut pages = vec![None; (self.size / PAGE as u64) as usize];
        let mut from = 0;
        // Only pages that the file holds: reading a hole through a mapping would allocate it.
        while let Some(data) = sys::next_data(&self.fd, from) {
            let (first, end) = (data.start / PAGE as u64, data.end.div_ceil(PAGE as u64));
            for number in first..end {
                pages[number as usize] = self.save_page(number)?;
            }
            from = data.end;
        }
        Ok(MemoryImage { pages })
    }

    fn save_page(&self, number: u64) -> Result<Option<Arc<[u8; PAGE]>>, VcpuError> {
        let mut page = [0; PAGE];
        self.read(number * PAGE as u64, &mut page)?;
        let loaded = self.loaded.pages.get(number as usize).and_then(Option::as_ref);
        Ok(match loaded {
            Some(loaded) if **loaded == page => Some(Arc::clone(loaded)),
            _ if page == [0; PAGE] => None,
            _ => Some(Arc::new(page)),
        })
    }

    pub(super) fn load(&mut self, image: &MemoryImage) -> Result<(), VcpuError> {
        self.offset(0, image.pages.len() * PAGE)?;
        if !self.fresh {
            sys::punch_all(&self.fd, self.size)?;
        }
        self.fresh = false;
        let mut number = 0;
        for run in image.pages.chunk_by(|page, next| page.is_some() == next.is_some()) {
            let pages: Vec<_> = run.iter().flatten().map(|page| IoSlice::new(page.as_slice())).collect();
            write_at(&self.fd, &pages, (number * PAGE) as u64)?;
            number += run.len();
        }
        self.loaded = image.clone();
        Ok(())
    }

    /// Address of the page at `address` in the guest's mapping.
    pub(super) fn guest_page(&self, address: u64) -> Result<u64, VcpuError> {
        Ok(self.guest_address() + self.offset(address, PAGE)? as u64)
    }

    /// Whether the guest's mapping of the page at `address` refuses every access.
    pub(super) fn block(&mut self, address: u64, blocked: bool) -> Result<(), VcpuError> {
        let page = self.guest_page(address)? as *mut libc::c_void;
        let protection = if blocked { libc::PROT_NONE } else { libc::PROT_READ | libc::PROT_WRITE };
        // SAFETY: the page is inside the guest's mapping, which this process itself never accesses,
        // so no access of ours can start to fault.
        if unsafe { libc::mprotect(page, PAGE, protection) } == 0 { Ok(()) } else { Err(last("mprotect")) }
    }

    /// Makes sure that the file holds the page at `address`: a page of zeros may be a hole in it.
    pub(super) fn populate(&mut self, address: u64) -> Result<(), VcpuError> {
        let offset = self.offset(address, PAGE)? as u64;
        let mut byte = [0];
        // By system calls: a compiler may remove a load and a store of the same byte.
        rustix::io::pread(&self.fd, &mut byte, offset)
            .and_then(|_| rustix::io::pwrite(&self.fd, &byte, offset))
            .map_err(|e| call("pwrite to guest memory", e))?;
        self.fresh = false;
        Ok(())
    }

    /// Unmaps the page at `address` from the guest's mapping; the file keeps it.
    pub(super) fn evict(&mut self, address: u64) -> Result<(), VcpuError> {
        let page = self.guest_page(address)? as *mut libc::c_void;
        // MADV_DONTFORK splits the mapping at the page's borders: otherwise a fault on a neighbour
        // would map this page as well.
        for advice in [libc::MADV_DONTFORK, libc::MADV_DONTNEED] {
            // SAFETY: the page is inside the guest's mapping, which this process itself never
            // accesses, and shared memory keeps its contents.
            if unsafe { libc::madvise(page, PAGE, advice) } != 0 {
                return Err(last("madvise"));
            }
        }
        Ok(())
    }
}

/// A shared mapping of the whole memfd.
fn map(fd: &OwnedFd, size: u64) -> Result<MmapRaw, VcpuError> {
    MmapOptions::new().len(size as usize).no_reserve_swap().map_raw(fd).map_err(|e| call("mmap", e))
}

/// Writes `pages` to the file at `offset`, in one call if the kernel takes as many. The copies are not made through a
/// mapping, where each page would be a fault of its own.
fn write_at(file: &OwnedFd, mut pages: &[IoSlice<'_>], mut offset: u64) -> Result<(), VcpuError> {
    while !pages.is_empty() {
        let some = &pages[..pages.len().min(libc::UIO_MAXIOV as usize)];
        let written =
            rustix::io::pwritev(file, some, offset).map_err(|e| call("pwritev to guest memory", e))?;
        // Whole pages count: the rest is written again.
        let whole = written / PAGE;
        if whole == 0 {
            return Err(call("pwritev to guest memory", rustix::io::Errno::NOSPC));
        }
        (pages, offset) = (&pages[whole..], offset + (whole * PAGE) as u64);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_pages_are_none_and_unchanged_pages_are_shared() {
        let mut memory = Mappings::new(8 * 4096).unwrap();
        memory.write(4096, &[7; 4096]).unwrap();
        memory.write(3 * 4096, &[0; 4096]).unwrap();
        let first = memory.save().unwrap();
        assert_eq!(
            first.pages.iter().map(Option::is_some).collect::<Vec<_>>(),
            [false, true, false, false, false, false, false, false]
        );
        memory.write(2 * 4096, &[9]).unwrap();
        memory.load(&first).unwrap();
        memory.write(5 * 4096 + 17, &[1]).unwrap();
        let second = memory.save().unwrap();
        assert!(second.pages[2].is_none(), "loading clears what the image does not have");
        assert!(Arc::ptr_eq(first.pages[1].as_ref().unwrap(), second.pages[1].as_ref().unwrap()));
        assert_eq!(second.pages[5].as_ref().unwrap()[17], 1);
    }

    #[test]
    fn a_blocked_page_still_works_for_the_host() {
        let mut memory = Mappings::new(2 * 4096).unwrap();
        memory.block(4096, true).unwrap();
        memory.write(4096, b"here").unwrap();
        let mut bytes = [0; 4];
        memory.read(4096, &mut bytes).unwrap();
        assert_eq!(&bytes, b"here");
    }

    #[test]
    fn an_evicted_page_leaves_the_mapping_and_keeps_its_contents() {
        let mut memory = Mappings::new(4 * 4096).unwrap();
        memory.write(4096, b"here").unwrap();
        let page = memory.guest_page(4096).unwrap();
        let touch = |page: u64| {
            // SAFETY: a page of the mapping made above.
            unsafe { std::ptr::with_exposed_provenance::<u8>(page as usize).read_volatile() }
        };
        assert_eq!(touch(page), b'h');
        assert_eq!(sys::is_mapped(page), Ok(true));
        memory.evict(4096).unwrap();
        assert_eq!(sys::is_mapped(page), Ok(false));
        touch(memory.guest_page(0).unwrap());
        touch(memory.guest_page(8192).unwrap());
        assert_eq!(sys::is_mapped(page), Ok(false), "a neighbour's fault does not map it");
        assert_eq!(touch(page), b'h');
    }

    #[test]
    fn ranges_outside_are_refused() {
        let mut memory = Mappings::new(4096).unwrap();
        let outside = VcpuError::OutsideMemory { address: 4090, length: 7, memory_size: 4096 };
        assert_eq!(memory.read(4090, &mut [0; 7]), Err(outside));
        assert!(memory.write(u64::MAX, &[0; 2]).is_err());
        assert!(memory.block(4096, true).is_err());
        let two = MemoryImage { pages: vec![None; 2] };
        assert!(memory.load(&two).is_err());
    }
}
