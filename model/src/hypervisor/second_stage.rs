//! What the host does about guest memory: pages that refuse the guest, and why; pages that it maps
//! when the guest meets them; the dirty ring.
//!
//! A fresh VM's second-stage page tables are empty, as KVM's are: the first access to each page is an
//! EPT violation, which KVM settles by mapping the page and entering the guest again. Where it meets
//! an event delivery, the event is requeued and injected, though nobody has stopped anything.
//!
//! | | KVM's counterpart |
//! |---|---|
//! | [`Refusal`] | what `kvm_mmu_page_fault` comes to: -EFAULT, a userfaultfd, a missing slot |
//! | [`Vm::evict`] | an MMU notifier's zap |
//! | `map` | `kvm_tdp_page_fault`, which maps a page for good |
//! | [`DirtyRing`] | `virt/kvm/dirty_ring.c` |

use super::Vm;
use super::run::Return;
use crate::memory::PAGE;
use std::collections::VecDeque;

/// Why a page refuses the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The host's mapping refuses every access: KVM_RUN fails with EFAULT.
    Blocked,
    /// A userfaultfd watches the page, and its watcher signals the vCPU: EINTR.
    Userfault,
    /// There is no memory slot: a delivery ends in KVM_EXIT_INTERNAL_ERROR, a plain access is MMIO.
    Hole,
    /// The same for writes alone.
    ReadOnly,
}

/// `suberror` of an internal error that says that a delivery met memory which is not there:
/// KVM_INTERNAL_ERROR_DELIVERY_EV.
const DELIVERY_EVENT: u32 = 3;

/// Guest writes, logged a page at a time, oldest first.
#[derive(Clone, Debug, Default)]
pub struct DirtyRing {
    pages: VecDeque<u64>,
}

impl DirtyRing {
    /// How many pages it holds.
    pub fn used(&self) -> u32 {
        self.pages.len() as u32
    }

    /// Whether the page at `gpa` is in it.
    pub fn holds(&self, gpa: u64) -> bool {
        self.pages.contains(&page(gpa))
    }
}

/// Entries that a ring of one page has before its soft limit: 256 less the 64 that the kernel keeps
/// in reserve. With so many in it KVM_RUN returns before it enters the guest.
pub const SOFT_LIMIT: u32 = 192;

impl Vm {
    /// Makes the page at `gpa` refuse the guest. Every other page no longer does.
    pub fn refuse(&mut self, gpa: u64, refusal: Refusal) {
        self.open();
        self.zap(gpa, refusal);
        match refusal {
            Refusal::ReadOnly => self.memory.write_protect(gpa, true),
            Refusal::Blocked | Refusal::Userfault | Refusal::Hole => self.memory.block(gpa),
        }
        self.refused = Some((page(gpa), refusal));
    }

    /// No page refuses the guest any more.
    pub fn open(&mut self) {
        let Some((gpa, refusal)) = self.refused.take() else { return };
        self.zap(gpa, refusal);
        match refusal {
            Refusal::ReadOnly => self.memory.write_protect(gpa, false),
            Refusal::Blocked | Refusal::Userfault | Refusal::Hole => self.memory.unblock(gpa),
        }
    }

    /// What a page loses that is to refuse the guest, or no longer. A memory slot that comes, goes or
    /// changes takes every page out of the second-stage page tables.
    fn zap(&mut self, gpa: u64, refusal: Refusal) {
        match refusal {
            Refusal::Blocked | Refusal::Userfault => self.memory.zap(gpa),
            Refusal::Hole | Refusal::ReadOnly => self.memory.zap_all(),
        }
    }

    /// Takes the page at `gpa` away; the next guest access finds it again.
    pub fn evict(&mut self, gpa: u64) {
        self.memory.zap(gpa);
    }

    /// Whether the page at `gpa` is there: met by the guest, and not evicted since.
    pub fn is_resident(&self, gpa: u64) -> bool {
        self.memory.is_mapped(gpa)
    }

    /// From now on guest writes are logged in a dirty ring.
    pub fn log_dirty_pages(&mut self) {
        self.dirty_ring = Some(DirtyRing::default());
        self.memory.log_all_writes();
    }

    /// The dirty ring, if there is one.
    pub fn dirty_ring(&self) -> Option<&DirtyRing> {
        self.dirty_ring.as_ref()
    }

    /// Takes the oldest `count` pages out of the dirty ring, or all that there are, and logs the next
    /// write to each again.
    pub fn harvest_dirty_ring(&mut self, count: u32) {
        let Some(ring) = &mut self.dirty_ring else { return };
        let count = ring.pages.len().min(count as usize);
        for page in ring.pages.drain(..count) {
            self.memory.log_write(page, true);
        }
    }

    /// Logs the next write to every page again; the ring keeps what it has.
    pub fn restart_dirty_log(&mut self) {
        if self.dirty_ring.is_some() {
            self.memory.log_all_writes();
        }
    }

    /// `vmx_flush_pml_buffer`: at every exit, what the processor has logged goes into the ring.
    pub(super) fn flush_dirty_log(&mut self) {
        if let Some(ring) = &mut self.dirty_ring {
            ring.pages.extend(self.memory.take_logged());
        }
    }

    /// `kvm_dirty_ring_check_request`.
    pub(super) fn is_dirty_ring_full(&self) -> bool {
        self.dirty_ring.as_ref().is_some_and(|ring| ring.used() >= SOFT_LIMIT)
    }

    /// The second stage refused the guest an access: what KVM_RUN returns, or nothing where the host
    /// has settled it. `in_delivery` says whether it interrupted a delivery.
    pub(super) fn second_stage_violation(
        &mut self,
        gpa: u64,
        write: bool,
        in_delivery: bool,
    ) -> Option<Return> {
        let refusal = self.refused.filter(|(refused, _)| *refused == page(gpa));
        match refusal.map(|(_, refusal)| refusal) {
            Some(Refusal::ReadOnly) if !write => self.map(gpa, write, in_delivery),
            Some(Refusal::Userfault) => Some(Return::Interrupted),
            Some(Refusal::Hole | Refusal::ReadOnly) if in_delivery => {
                Some(Return::InternalError { suberror: DELIVERY_EVENT })
            }
            Some(Refusal::Hole | Refusal::ReadOnly) => Some(Return::Mmio { gpa, write }),
            Some(Refusal::Blocked) => Some(Return::Fault { gpa }),
            None if gpa >= self.memory.size() => Some(Return::Mmio { gpa, write }),
            None => self.map(gpa, write, in_delivery),
        }
    }

    /// Maps a page that was missing; a page that is mapped for a write is dirty. Where none was missing,
    /// the access was refused by itself.
    fn map(&mut self, gpa: u64, write: bool, in_delivery: bool) -> Option<Return> {
        if !self.memory.map(gpa) {
            return Some(Return::Fault { gpa });
        }
        if let Some(ring) = self.dirty_ring.as_mut().filter(|_| write) {
            self.memory.log_write(gpa, false);
            if !in_delivery || self.behaviour.logs_deliveries {
                ring.pages.push_back(page(gpa));
            }
        }
        None
    }
}

fn page(gpa: u64) -> u64 {
    gpa & !(PAGE as u64 - 1)
}
