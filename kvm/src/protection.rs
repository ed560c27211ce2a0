//! What a page allows the guest, and the dirty ring: see [`Protection`].

use super::error::call;
use super::userfault::Userfault;
use super::vcpu::KvmVcpu;
use kvm_bindings::{KVM_MEMORY_ATTRIBUTE_PRIVATE, kvm_memory_attributes};
use vm::{DirtyRing, PAGE, Protection, VcpuError};

impl KvmVcpu {
    /// [`Vcpu::protect`](vm::Vcpu::protect).
    pub(super) fn change_protection(
        &mut self,
        address: u64,
        protection: Protection,
    ) -> Result<(), VcpuError> {
        let page = self.memory.guest_page(address)?;
        self.open()?;
        // Noted first: whatever fails half-way is undone by the next call, or goes with the VM.
        self.refused = Some((address, protection));
        match protection {
            Protection::Open => Ok(()),
            Protection::Blocked => self.memory.block(address, true),
            Protection::Userfault => {
                self.memory.populate(address)?;
                self.userfault = Some(Userfault::watch(page)?);
                self.memory.evict(address)
            }
            Protection::Hole | Protection::ReadOnly => {
                self.slots.set_apart(&self.vm, &self.memory, address, protection)
            }
            Protection::Private => self.set_attributes(address, KVM_MEMORY_ATTRIBUTE_PRIVATE),
        }
    }

    /// The page that does not allow the guest everything does so again.
    fn open(&mut self) -> Result<(), VcpuError> {
        let Some((address, protection)) = self.refused.take() else { return Ok(()) };
        match protection {
            Protection::Open => Ok(()),
            Protection::Blocked => self.memory.block(address, false),
            Protection::Userfault => {
                self.userfault = None;
                Ok(())
            }
            Protection::Hole | Protection::ReadOnly => self.slots.unite(&self.vm, &self.memory),
            Protection::Private => self.set_attributes(address, 0),
        }
    }

    fn set_attributes(&self, address: u64, attributes: u32) -> Result<(), VcpuError> {
        let attributes =
            kvm_memory_attributes { address, size: PAGE as u64, attributes: attributes.into(), flags: 0 };
        self.vm.set_memory_attributes(attributes).map_err(|e| call("KVM_SET_MEMORY_ATTRIBUTES", e))
    }
}

impl DirtyRing for KvmVcpu {
    fn take_out(&mut self, count: u32) -> Result<(), VcpuError> {
        self.ring.as_mut().map_or(Ok(()), |ring| ring.take_out(&self.vm, count))
    }

    fn log_again(&mut self) -> Result<(), VcpuError> {
        self.slots.log_again(&self.vm, &self.memory)
    }

    fn holds(&self, address: u64) -> bool {
        self.ring.as_ref().is_some_and(|ring| ring.holds(address / PAGE as u64))
    }
}
