//! Guest memory: its bytes, what a page allows the guest, what the guest has written.

use crate::VcpuError;
use std::sync::Arc;

/// Size of a page in bytes.
pub const PAGE: usize = 4096;

/// What guest memory at a guest-physical page allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageAccess {
    /// Everything.
    Open,
    /// Nothing: PROT_NONE on the host's mapping. KVM_RUN returns [`Exit::Fault`](crate::Exit::Fault).
    Blocked,
    /// Nothing until the page is provided: userfaultfd. The watcher signals the vCPU, so that KVM_RUN
    /// returns [`Exit::Interrupted`](crate::Exit::Interrupted).
    Userfault,
    /// There is no memory slot. A delivery that meets it ends in [`Exit::InternalError`](crate::Exit::InternalError), on KVMs
    /// that stop there at all.
    Hole,
    /// The memory slot is read-only. A delivery that writes there ends as in [`Hole`](Self::Hole).
    ReadOnly,
    /// The page has the private attribute and no private memory: [`Exit::Fault`](crate::Exit::Fault), always with
    /// KVM_EXIT_MEMORY_FAULT. For a [`VmKind::Protected`](crate::VmKind::Protected).
    Private,
}

/// The memory of a virtual machine.
///
/// # Errors
/// Every method returns [`VcpuError`] when its ioctl or system call fails.
pub trait GuestMemory {
    /// Size of guest memory in bytes.
    fn memory_size(&self) -> u64;
    /// Copies guest-physical memory at `address` out, whatever the page allows the guest.
    fn read_memory(&self, address: u64, bytes: &mut [u8]) -> Result<(), VcpuError>;
    /// Copies `bytes` into guest-physical memory at `address`, whatever the page allows the guest.
    fn write_memory(&mut self, address: u64, bytes: &[u8]) -> Result<(), VcpuError>;
    /// All of guest memory, for [`load_memory`](Self::load_memory); cheap where pages can be shared.
    fn save_memory(&self) -> Result<MemoryImage, VcpuError>;
    /// Replaces all of guest memory.
    fn load_memory(&mut self, image: &MemoryImage) -> Result<(), VcpuError>;
    /// The memory accesses of event deliveries, where the machine can count and refuse each: no KVM
    /// can, the model does.
    fn delivery_accesses(&mut self) -> Option<&mut dyn DeliveryAccesses> {
        None
    }
    /// Changes what the page at guest-physical `address` (a multiple of 4096) allows the guest. At
    /// most one page at a time allows less than everything.
    fn set_page_access(&mut self, address: u64, access: PageAccess) -> Result<(), VcpuError>;
    /// Unmaps the page at guest-physical `address` from the guest's mapping and keeps its contents
    /// (MADV_DONTNEED). The next guest access is an EPT or NPT violation, and KVM maps the page again.
    fn evict(&mut self, address: u64) -> Result<(), VcpuError>;
    /// Whether the page at guest-physical `address` is in the guest's mapping: after an
    /// [`evict`](Self::evict), whether the guest has accessed it since.
    fn is_resident(&self, address: u64) -> Result<bool, VcpuError>;
    /// The dirty ring of a [`VmKind::DirtyRing`](crate::VmKind::DirtyRing).
    fn dirty_ring(&mut self) -> Option<&mut dyn DirtyRing> {
        None
    }
}

/// The ring in which the guest's writes are logged, a page at a time.
///
/// # Errors
/// Every method returns [`VcpuError`] when its ioctl fails.
pub trait DirtyRing {
    /// Harvests the oldest `count` pages, or all that there are, and resets them: the next write to each is
    /// logged again (KVM_RESET_DIRTY_RINGS).
    fn harvest(&mut self, count: u32) -> Result<(), VcpuError>;
    /// Logs the next write to every page again and harvests nothing.
    fn restart_log(&mut self) -> Result<(), VcpuError>;
    /// Whether the page at guest-physical `address` is in the ring.
    fn holds(&self, address: u64) -> bool;
}

/// The memory accesses of event deliveries: page-walk reads, accessed and dirty updates, descriptor
/// and TSS reads, frame stores.
pub trait DeliveryAccesses {
    /// Refuses the `n`-th access (from 0) of the next delivery, once.
    fn refuse(&mut self, n: u64);
    /// Refuses the `n`-th access (from 0) of the next event return (ERETS, ERETU, IRET), once: page-walk reads,
    /// accessed updates, frame and descriptor reads.
    fn refuse_of_return(&mut self, n: u64);
}

/// Guest memory as pages that several snapshots and machines can share. `None` is a page of zeros.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemoryImage {
    /// Page `n` is guest-physical `n * 4096`.
    pub pages: Vec<Option<Arc<[u8; PAGE]>>>,
}
