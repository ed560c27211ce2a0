//! Memory slots: one for all of guest memory, or three around a page that differs.

use super::error::call;
use super::mappings::Mappings;
use kvm_bindings::{KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY, kvm_userspace_memory_region};
use kvm_ioctls::VmFd;
use vm::{PAGE, PageAccess, VcpuError};

/// The memory below the page that differs; all of memory where no page differs.
const WHOLE: u32 = 0;
/// The page that differs.
const DIFFERENT: u32 = 1;
/// The memory above it.
const ABOVE: u32 = 2;

/// The slots of a VM.
#[derive(Debug)]
pub(super) struct Slots {
    /// Flags of every slot.
    flags: u32,
    /// Whether there is more than one slot.
    split: bool,
}

impl Slots {
    /// One slot with all of `memory`; `log_dirty` logs what the guest writes.
    pub(super) fn new(vm: &VmFd, memory: &Mappings, log_dirty: bool) -> Result<Self, VcpuError> {
        let flags = if log_dirty { KVM_MEM_LOG_DIRTY_PAGES } else { 0 };
        let slots = Self { flags, split: false };
        slots.set(vm, memory, WHOLE, 0..memory.size(), 0)?;
        Ok(slots)
    }

    /// Removes the slot of the page at `address`, or makes it read-only.
    ///
    /// A slot cannot change its size, so it is deleted and created again: the vCPU does not run meanwhile.
    pub(super) fn set_apart(
        &mut self,
        vm: &VmFd,
        memory: &Mappings,
        address: u64,
        access: PageAccess,
    ) -> Result<(), VcpuError> {
        self.unite(vm, memory)?;
        self.remove(vm, memory, WHOLE)?;
        self.split = true;
        let end = address + PAGE as u64;
        self.set(vm, memory, WHOLE, 0..address, 0)?;
        self.set(vm, memory, ABOVE, end..memory.size(), 0)?;
        match access {
            PageAccess::ReadOnly => self.set(vm, memory, DIFFERENT, address..end, KVM_MEM_READONLY),
            _ => Ok(()),
        }
    }

    /// Makes all of memory one slot again.
    pub(super) fn unite(&mut self, vm: &VmFd, memory: &Mappings) -> Result<(), VcpuError> {
        if !std::mem::take(&mut self.split) {
            return Ok(());
        }
        for slot in [WHOLE, DIFFERENT, ABOVE] {
            self.remove(vm, memory, slot)?;
        }
        self.set(vm, memory, WHOLE, 0..memory.size(), 0)
    }

    /// Logs the next write to every page again: logging that is switched on write-protects them.
    pub(super) fn restart_log(&self, vm: &VmFd, memory: &Mappings) -> Result<(), VcpuError> {
        let quiet = Self { flags: 0, split: false };
        quiet.set(vm, memory, WHOLE, 0..memory.size(), 0)?;
        self.set(vm, memory, WHOLE, 0..memory.size(), 0)
    }

    fn remove(&self, vm: &VmFd, memory: &Mappings, slot: u32) -> Result<(), VcpuError> {
        let region = kvm_userspace_memory_region {
            slot,
            userspace_addr: memory.guest_address(),
            ..Default::default()
        };
        // SAFETY: a slot of size 0 is deleted, and no memory is added.
        let removed = unsafe { vm.set_user_memory_region(region) };
        match removed {
            // There was no such slot.
            Err(error) if error.errno() == libc::EINVAL => Ok(()),
            other => other.map_err(|error| call("KVM_SET_USER_MEMORY_REGION", error)),
        }
    }

    fn set(
        &self,
        vm: &VmFd,
        memory: &Mappings,
        slot: u32,
        range: std::ops::Range<u64>,
        flags: u32,
    ) -> Result<(), VcpuError> {
        if range.is_empty() {
            return Ok(());
        }
        let region = kvm_userspace_memory_region {
            slot,
            flags: self.flags | flags,
            guest_phys_addr: range.start,
            memory_size: range.end - range.start,
            userspace_addr: memory.guest_address() + range.start,
        };
        // SAFETY: the region is part of `memory`'s guest mapping, which lives in the same KvmVcpu as
        // the VM's file descriptors and is unmapped after they are closed (`Ended`).
        unsafe { vm.set_user_memory_region(region) }.map_err(|e| call("KVM_SET_USER_MEMORY_REGION", e))
    }
}
