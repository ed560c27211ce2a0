//! The host's side of guest memory: pages that refuse the guest, pages that are mapped at the guest's first
//! access, the dirty ring.
//!
//! A fresh VM's second-stage page tables are empty, as KVM's are: the first access to each page is an
//! EPT violation, which KVM resolves by mapping the page and entering the guest again. If that access belongs
//! to an event delivery, the event is requeued and injected again, without any stop by the host.
//!
//! | | KVM's counterpart |
//! |---|---|
//! | [`PageAccess`] | the result of `kvm_mmu_page_fault`: -EFAULT, a userfaultfd, a missing slot |
//! | `evict` | an MMU notifier's zap |
//! | `map` | `kvm_tdp_page_fault`, which maps a page |
//! | [`DirtyRing`] | `virt/kvm/dirty_ring.c` |

use super::Vm;
use crate::memory::{Memory, OutsideMemory, PAGE};
use kvm_bindings::KVM_INTERNAL_ERROR_DELIVERY_EV;
use std::collections::VecDeque;
use vm::{DeliveryAccesses, DirtyRing, Exit, GuestMemory, MemoryImage, PageAccess, VcpuError};

/// The soft limit of a ring of one page: 256 entries less the 64 that the kernel keeps in reserve. With so
/// many entries KVM_RUN returns before it enters the guest.
pub const SOFT_LIMIT: usize = 192;

impl GuestMemory for Vm {
    fn memory_size(&self) -> u64 {
        self.memory.size()
    }

    fn read_memory(&self, address: u64, bytes: &mut [u8]) -> Result<(), VcpuError> {
        self.memory.read(address, bytes).map_err(outside)
    }

    fn write_memory(&mut self, address: u64, bytes: &[u8]) -> Result<(), VcpuError> {
        self.memory.write(address, bytes).map_err(outside)
    }

    fn save_memory(&self) -> Result<MemoryImage, VcpuError> {
        Ok(MemoryImage { pages: self.memory.pages().to_vec() })
    }

    /// Every page allows the guest everything, nothing is mapped yet, and a dirty ring starts empty.
    fn load_memory(&mut self, image: &MemoryImage) -> Result<(), VcpuError> {
        self.memory = Memory::from_pages(image.pages.clone());
        self.memory.zap_all();
        self.refused = None;
        if self.dirty_log.is_some() {
            self.log_dirty_pages();
        }
        Ok(())
    }

    fn delivery_accesses(&mut self) -> Option<&mut dyn DeliveryAccesses> {
        Some(self)
    }

    fn set_page_access(&mut self, address: u64, access: PageAccess) -> Result<(), VcpuError> {
        if let Some((refused, was)) = self.refused.take() {
            self.refuse(refused, was, false);
        }
        self.refuse(address, access, true);
        self.refused = Some((page(address), access));
        Ok(())
    }

    fn evict(&mut self, address: u64) -> Result<(), VcpuError> {
        self.memory.zap(address);
        Ok(())
    }

    fn is_resident(&self, address: u64) -> Result<bool, VcpuError> {
        Ok(self.memory.is_mapped(address))
    }

    fn dirty_ring(&mut self) -> Option<&mut dyn DirtyRing> {
        self.dirty_log.is_some().then_some(self)
    }
}

impl DirtyRing for Vm {
    fn harvest(&mut self, count: u32) -> Result<(), VcpuError> {
        let Some(log) = &mut self.dirty_log else { return Ok(()) };
        let count = log.len().min(count as usize);
        for page in log.drain(..count) {
            self.memory.log_write(page, true);
        }
        Ok(())
    }

    fn restart_log(&mut self) -> Result<(), VcpuError> {
        if self.dirty_log.is_some() {
            self.memory.log_all_writes();
        }
        Ok(())
    }

    fn holds(&self, address: u64) -> bool {
        self.dirty_log.as_ref().is_some_and(|log| log.contains(&page(address)))
    }
}

impl DeliveryAccesses for Vm {
    fn refuse(&mut self, n: u64) {
        self.memory.refuse_access(Some(n));
    }

    fn refuse_of_return(&mut self, n: u64) {
        self.memory.refuse_return_access(n);
    }
}

impl Vm {
    /// Logs guest writes in a dirty ring from now on.
    pub fn log_dirty_pages(&mut self) {
        self.dirty_log = Some(VecDeque::new());
        self.memory.log_all_writes();
    }

    /// How many pages the dirty ring holds.
    pub fn dirty_pages(&self) -> usize {
        self.dirty_log.as_ref().map_or(0, |log| log.len())
    }

    /// Restricts the page at `gpa` to what `access` allows the guest. Any change of memory slots unmaps every
    /// page from the second-stage page tables.
    fn refuse(&mut self, gpa: u64, access: PageAccess, refuses: bool) {
        match access {
            PageAccess::Open => {}
            PageAccess::Blocked | PageAccess::Private | PageAccess::Userfault => {
                self.memory.zap(gpa);
                self.block(gpa, refuses);
            }
            PageAccess::Hole => {
                self.memory.zap_all();
                self.block(gpa, refuses);
            }
            PageAccess::ReadOnly => {
                self.memory.zap_all();
                self.memory.write_protect(gpa, refuses);
            }
        }
    }

    fn block(&mut self, gpa: u64, refuses: bool) {
        if refuses { self.memory.block(gpa) } else { self.memory.unblock(gpa) }
    }

    /// `vmx_flush_pml_buffer`: at every exit, what the processor has logged goes into the ring.
    pub(super) fn flush_dirty_log(&mut self) {
        if let Some(log) = &mut self.dirty_log {
            log.extend(self.memory.take_logged());
        }
    }

    /// `kvm_dirty_ring_check_request`.
    pub(super) fn is_dirty_ring_full(&self) -> bool {
        self.dirty_pages() >= SOFT_LIMIT
    }

    /// An EPT violation: what KVM_RUN returns, or nothing where the host has resolved it. `in_delivery` says
    /// whether it interrupted a delivery.
    pub(super) fn second_stage_violation(
        &mut self,
        gpa: u64,
        write: bool,
        in_delivery: bool,
    ) -> Option<Exit> {
        let refused = self.refused.filter(|(refused, _)| *refused == page(gpa));
        match refused.map_or(PageAccess::Open, |(_, access)| access) {
            PageAccess::Open if gpa >= self.memory.size() => Some(Exit::Mmio { address: gpa, write }),
            PageAccess::Open => self.map(gpa, write, in_delivery),
            PageAccess::ReadOnly if !write => self.map(gpa, write, in_delivery),
            PageAccess::Userfault => Some(Exit::Interrupted),
            PageAccess::Hole | PageAccess::ReadOnly if in_delivery => {
                Some(Exit::InternalError { suberror: KVM_INTERNAL_ERROR_DELIVERY_EV, data: Vec::new() })
            }
            PageAccess::Hole | PageAccess::ReadOnly => Some(Exit::Mmio { address: gpa, write }),
            PageAccess::Blocked | PageAccess::Private => Some(Exit::Fault { gpa: Some(gpa) }),
        }
    }

    /// Maps a missing page; a page that is mapped for a write is dirty. Where no page is missing, this one
    /// access was refused on request.
    fn map(&mut self, gpa: u64, write: bool, in_delivery: bool) -> Option<Exit> {
        if !self.memory.map(gpa) {
            return Some(Exit::Fault { gpa: Some(gpa) });
        }
        if let Some(log) = self.dirty_log.as_mut().filter(|_| write) {
            self.memory.log_write(gpa, false);
            if !in_delivery || self.behaviour.logs_deliveries {
                log.push_back(page(gpa));
            }
        }
        None
    }
}

fn outside(error: OutsideMemory) -> VcpuError {
    VcpuError::OutsideMemory { address: error.address, length: error.length, memory_size: error.size }
}

fn page(gpa: u64) -> u64 {
    gpa & !(PAGE as u64 - 1)
}
