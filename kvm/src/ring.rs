//! The dirty ring: `Documentation/virt/kvm/api.rst`, KVM_CAP_DIRTY_LOG_RING.

use super::error::{call, refusal};
use super::sys;
use kvm_bindings::{KVM_CAP_DIRTY_LOG_RING, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, kvm_dirty_gfn, kvm_enable_cap};
use kvm_ioctls::{VcpuFd, VmFd};
use memmap2::{MmapOptions, MmapRaw};
use std::sync::atomic::{AtomicU32, Ordering};
use vm::{PAGE, VcpuError};

/// Where the ring is in the vCPU's descriptor, in pages: KVM_DIRTY_LOG_PAGE_OFFSET.
const PAGE_OFFSET: usize = 64;
/// Sizes to request, in bytes, smallest first. The kernel refuses a ring that is too small for its reserve:
/// 64 entries, and 512 more with page-modification logging.
const SIZES: [usize; 2] = [PAGE, 4 * PAGE];
/// The kernel has logged a page here: KVM_DIRTY_GFN_F_DIRTY.
const DIRTY: u32 = 1 << 0;
/// User space is done with it: KVM_DIRTY_GFN_F_RESET.
const RESET: u32 = 1 << 1;

/// Switches the ring on, before the VM has a vCPU; returns its size in bytes.
pub(super) fn enable(vm: &VmFd) -> Result<usize, VcpuError> {
    let offered = |cap: u32| usize::try_from(vm.check_extension_raw(cap.into())).unwrap_or(0);
    let caps = [KVM_CAP_DIRTY_LOG_RING, KVM_CAP_DIRTY_LOG_RING_ACQ_REL];
    let Some(cap) = caps.into_iter().find(|cap| offered(*cap) > 0) else {
        let what = "this kernel has no dirty ring: it came with Linux 5.11".to_owned();
        return Err(refusal("KVM_ENABLE_CAP(KVM_CAP_DIRTY_LOG_RING)", what));
    };
    let mut refused = None;
    for size in SIZES.into_iter().filter(|size| *size <= offered(cap)) {
        let enable = kvm_enable_cap { cap, args: [size as u64, 0, 0, 0], ..Default::default() };
        match vm.enable_cap(&enable) {
            Ok(()) => return Ok(size),
            Err(error) => refused = Some(call("KVM_ENABLE_CAP(KVM_CAP_DIRTY_LOG_RING)", error)),
        }
    }
    Err(refused.unwrap_or_else(|| {
        refusal("KVM_ENABLE_CAP(KVM_CAP_DIRTY_LOG_RING)", "every ring is too large for it".to_owned())
    }))
}

/// A vCPU's ring, mapped.
#[derive(Debug)]
pub(super) struct Ring {
    mapping: MmapRaw,
    count: usize,
    /// The first entry that has not been harvested.
    next: usize,
}

impl Ring {
    /// Maps the ring of `size` bytes.
    pub(super) fn map(vcpu: &VcpuFd, size: usize) -> Result<Self, VcpuError> {
        let offset = (PAGE_OFFSET * PAGE) as u64;
        let mapping = MmapOptions::new().offset(offset).len(size).map_raw(vcpu);
        let mapping = mapping.map_err(|e| call("mmap of the dirty ring", e))?;
        Ok(Self { mapping, count: size / size_of::<kvm_dirty_gfn>(), next: 0 })
    }

    /// The entry with this number, modulo their count.
    fn entry(&self, index: usize) -> *mut kvm_dirty_gfn {
        self.mapping.as_mut_ptr().cast::<kvm_dirty_gfn>().wrapping_add(index % self.count)
    }

    fn flags(&self, index: usize) -> &AtomicU32 {
        // SAFETY: the entry is in the mapping, which lives as long as
        // `self`; kernel and user space share the aligned word, and both access it as an atomic.
        unsafe { AtomicU32::from_ptr(&raw mut (*self.entry(index)).flags) }
    }

    /// Entries logged and not harvested.
    pub(super) fn used(&self) -> u32 {
        let dirty = |index: usize| self.flags(index).load(Ordering::Acquire) & (DIRTY | RESET) == DIRTY;
        (self.next..self.next + self.count).take_while(|index| dirty(*index)).count() as u32
    }

    /// Whether the page with this number is among them: a VM with a ring has one memory slot, from
    /// guest-physical 0 on.
    pub(super) fn holds(&self, page: u64) -> bool {
        let entries = self.used() as usize;
        (self.next..self.next + entries).any(|index| {
            // SAFETY: as in `flags`; the kernel has filled the entry in and leaves it alone until it
            // is reset.
            unsafe { (*self.entry(index)).offset == page }
        })
    }

    /// Harvests the oldest `count` entries, or all that there are.
    pub(super) fn harvest(&mut self, vm: &VmFd, count: u32) -> Result<(), VcpuError> {
        for _ in 0..self.used().min(count) {
            self.flags(self.next).store(RESET, Ordering::Release);
            self.next = (self.next + 1) % self.count;
        }
        sys::reset_dirty_rings(vm)
    }
}
