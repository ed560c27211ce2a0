//! What a page allows the guest, and the dirty ring: see [`PageAccess`].

use super::error::call;
use super::sys;
use super::userfault::Userfault;
use super::vcpu::KvmVcpu;
use kvm_bindings::{KVM_MEMORY_ATTRIBUTE_PRIVATE, kvm_memory_attributes};
use vm::{DirtyRing, GuestMemory, MemoryImage, PAGE, PageAccess, VcpuError};

impl GuestMemory for KvmVcpu {
    fn memory_size(&self) -> u64 {
        self.memory.size()
    }

    fn read_memory(&self, address: u64, bytes: &mut [u8]) -> Result<(), VcpuError> {
        self.memory.read(address, bytes)
    }

    fn write_memory(&mut self, address: u64, bytes: &[u8]) -> Result<(), VcpuError> {
        self.memory.write(address, bytes)
    }

    fn save_memory(&self) -> Result<MemoryImage, VcpuError> {
        self.memory.save()
    }

    fn load_memory(&mut self, image: &MemoryImage) -> Result<(), VcpuError> {
        self.memory.load(image)
    }

    fn set_page_access(&mut self, address: u64, access: PageAccess) -> Result<(), VcpuError> {
        let page = self.memory.guest_page(address)?;
        self.open()?;
        // Noted first: a change that fails in the middle is undone by the next call, or ends with the VM.
        self.refused = Some((address, access));
        match access {
            PageAccess::Open => Ok(()),
            PageAccess::Blocked => self.memory.block(address, true),
            PageAccess::Userfault => {
                self.memory.populate(address)?;
                self.userfault = Some(Userfault::watch(page)?);
                self.memory.evict(address)
            }
            PageAccess::Hole | PageAccess::ReadOnly => {
                self.slots.set_apart(&self.vm, &self.memory, address, access)
            }
            PageAccess::Private => self.set_attributes(address, KVM_MEMORY_ATTRIBUTE_PRIVATE),
        }
    }

    fn evict(&mut self, address: u64) -> Result<(), VcpuError> {
        self.memory.evict(address)
    }

    fn is_resident(&self, address: u64) -> Result<bool, VcpuError> {
        sys::is_mapped(self.memory.guest_page(address)?)
    }

    fn dirty_ring(&mut self) -> Option<&mut dyn DirtyRing> {
        self.ring.is_some().then_some(self)
    }
}

impl KvmVcpu {
    /// The restricted page allows the guest everything again.
    fn open(&mut self) -> Result<(), VcpuError> {
        let Some((address, access)) = self.refused.take() else { return Ok(()) };
        match access {
            PageAccess::Open => Ok(()),
            PageAccess::Blocked => self.memory.block(address, false),
            PageAccess::Userfault => {
                self.userfault = None;
                Ok(())
            }
            PageAccess::Hole | PageAccess::ReadOnly => self.slots.unite(&self.vm, &self.memory),
            PageAccess::Private => self.set_attributes(address, 0),
        }
    }

    fn set_attributes(&self, address: u64, attributes: u32) -> Result<(), VcpuError> {
        let attributes =
            kvm_memory_attributes { address, size: PAGE as u64, attributes: attributes.into(), flags: 0 };
        self.vm.set_memory_attributes(attributes).map_err(|e| call("KVM_SET_MEMORY_ATTRIBUTES", e))
    }
}

impl DirtyRing for KvmVcpu {
    fn harvest(&mut self, count: u32) -> Result<(), VcpuError> {
        self.ring.as_mut().map_or(Ok(()), |ring| ring.harvest(&self.vm, count))
    }

    fn restart_log(&mut self) -> Result<(), VcpuError> {
        self.slots.restart_log(&self.vm, &self.memory)
    }

    fn holds(&self, address: u64) -> bool {
        self.ring.as_ref().is_some_and(|ring| ring.holds(address / PAGE as u64))
    }
}
