//! What the host does about guest memory: pages that refuse the guest, and why; pages that it takes
//! away and gives back by itself; the dirty ring.
//!
//! | | KVM's counterpart |
//! |---|---|
//! | [`Refusal`] | what `kvm_mmu_page_fault` comes to: -EFAULT, a userfaultfd, a missing slot |
//! | [`Vm::evict`] | an MMU notifier's zap, and the fault that maps the page again |
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
        match refusal {
            Refusal::ReadOnly => self.memory.write_protect(gpa, true),
            _ => self.memory.block(gpa),
        }
        self.refused = Some((page(gpa), refusal));
    }

    /// No page refuses the guest any more.
    pub fn open(&mut self) {
        match self.refused.take() {
            Some((gpa, Refusal::ReadOnly)) => self.memory.write_protect(gpa, false),
            Some((gpa, _)) => self.memory.unblock(gpa),
            None => {}
        }
    }

    /// Takes the page at `gpa` away; the next guest access leaves the guest and finds it again.
    pub fn evict(&mut self, gpa: u64) {
        self.memory.block(gpa);
        self.evicted = Some(page(gpa));
    }

    /// Whether the page at `gpa` is there: not evicted, or found again since.
    pub fn is_resident(&self, gpa: u64) -> bool {
        self.evicted != Some(page(gpa))
    }

    /// From now on guest writes are logged in a dirty ring.
    pub fn log_dirty_pages(&mut self) {
        self.dirty_ring = Some(DirtyRing::default());
        self.memory.write_protect_all();
    }

    /// The dirty ring, if there is one.
    pub fn dirty_ring(&self) -> Option<&DirtyRing> {
        self.dirty_ring.as_ref()
    }

    /// Takes the oldest `count` pages out of the dirty ring, or all that there are, and logs the next
    /// write to each again.
    pub fn take_out_of_dirty_ring(&mut self, count: u32) {
        let Some(ring) = &mut self.dirty_ring else { return };
        let count = ring.pages.len().min(count as usize);
        for page in ring.pages.drain(..count) {
            self.memory.write_protect(page, true);
        }
    }

    /// Logs the next write to every page again; the ring keeps what it has.
    pub fn log_dirty_pages_again(&mut self) {
        if self.dirty_ring.is_some() {
            self.memory.write_protect_all();
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
        if self.evicted == Some(page(gpa)) {
            self.evicted = None;
            self.memory.unblock(gpa);
            return None;
        }
        let refusal = self.refused.filter(|(refused, _)| *refused == page(gpa));
        match refusal.map(|(_, refusal)| refusal) {
            Some(Refusal::Userfault) => Some(Return::Interrupted),
            Some(Refusal::Hole | Refusal::ReadOnly) if in_delivery => {
                Some(Return::InternalError { suberror: DELIVERY_EVENT })
            }
            Some(Refusal::Hole | Refusal::ReadOnly) => Some(Return::Mmio { gpa, write }),
            Some(Refusal::Blocked) => Some(Return::Fault { gpa }),
            None if gpa >= self.memory.size() => Some(Return::Mmio { gpa, write }),
            None => self.log_write(gpa, write, in_delivery),
        }
    }

    /// A write to a page whose writes are logged; any other access was refused by itself.
    fn log_write(&mut self, gpa: u64, write: bool, in_delivery: bool) -> Option<Return> {
        let ring = self.dirty_ring.as_mut().filter(|_| write && self.memory.is_write_protected(gpa));
        let Some(ring) = ring else { return Some(Return::Fault { gpa }) };
        if !in_delivery || self.behaviour.logs_deliveries {
            ring.pages.push_back(page(gpa));
        }
        self.memory.write_protect(gpa, false);
        None
    }
}

fn page(gpa: u64) -> u64 {
    gpa & !(PAGE as u64 - 1)
}
