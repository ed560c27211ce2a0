//! The registers and the memory of a VM of the fake: what is set is read back, and nothing else.

use crate::fake::{Logged, Scene};
use kvm_bindings::{
    KVM_VCPUEVENT_VALID_PAYLOAD, kvm_cpuid_entry2, kvm_debugregs, kvm_mp_state, kvm_regs, kvm_sregs,
    kvm_sregs2, kvm_vcpu_events, kvm_xcrs,
};
use vm::{
    DeliveryAccesses, DirtyRing, GuestMemory, MemoryImage, Msr, PAGE, PageAccess, Registers, VcpuError, Xsave,
};

impl GuestMemory for Scene {
    fn memory_size(&self) -> u64 {
        self.state.memory.len() as u64
    }

    fn read_memory(&self, address: u64, bytes: &mut [u8]) -> Result<(), VcpuError> {
        let at = address as usize;
        bytes.copy_from_slice(&self.state.memory[at..at + bytes.len()]);
        Ok(())
    }

    fn write_memory(&mut self, address: u64, bytes: &[u8]) -> Result<(), VcpuError> {
        self.state.write(address, bytes);
        Ok(())
    }

    fn save_memory(&self) -> Result<MemoryImage, VcpuError> {
        let pages = self.state.memory.as_chunks::<PAGE>().0.iter();
        Ok(MemoryImage { pages: pages.map(|page| Some((*page).into())).collect() })
    }

    fn load_memory(&mut self, image: &MemoryImage) -> Result<(), VcpuError> {
        for (number, page) in image.pages.iter().enumerate() {
            let bytes = page.as_ref().map_or([0; PAGE], |page| **page);
            self.state.write((number * PAGE) as u64, &bytes);
        }
        Ok(())
    }

    fn delivery_accesses(&mut self) -> Option<&mut dyn DeliveryAccesses> {
        self.state.access.is_some().then_some(self)
    }

    fn set_page_access(&mut self, address: u64, access: PageAccess) -> Result<(), VcpuError> {
        self.state.page = (access != PageAccess::Open).then_some((address, access));
        self.state.may("mprotect")
    }

    fn evict(&mut self, address: u64) -> Result<(), VcpuError> {
        if !self.state.pinned {
            self.state.evicted.insert(address);
        }
        self.state.may("madvise")
    }

    fn is_resident(&self, address: u64) -> Result<bool, VcpuError> {
        Ok(!self.state.evicted.contains(&address))
    }

    fn dirty_ring(&mut self) -> Option<&mut dyn DirtyRing> {
        self.state.ring.as_mut().map(|ring| ring as &mut dyn DirtyRing)
    }
}

impl DeliveryAccesses for Scene {
    fn refuse_of_return(&mut self, n: u64) {
        self.state.return_access = Some(n);
    }

    fn refuse(&mut self, n: u64) {
        self.state.access = Some(n);
    }
}

impl DirtyRing for Logged {
    fn harvest(&mut self, count: u32) -> Result<(), VcpuError> {
        self.harvested = self.harvested.saturating_add(count);
        Ok(())
    }

    fn restart_log(&mut self) -> Result<(), VcpuError> {
        Ok(())
    }

    fn holds(&self, address: u64) -> bool {
        self.pages.contains(&address)
    }
}

impl Registers for Scene {
    fn regs(&self) -> Result<kvm_regs, VcpuError> {
        Ok(self.state.regs)
    }

    fn set_regs(&mut self, regs: &kvm_regs) -> Result<(), VcpuError> {
        self.state.regs = *regs;
        Ok(())
    }

    fn sregs(&mut self) -> Result<kvm_sregs, VcpuError> {
        let mut sregs = self.state.sregs;
        sregs.cr2 ^= u64::from(self.state.drops_cr2);
        Ok(sregs)
    }

    fn set_sregs(&mut self, sregs: &kvm_sregs) -> Result<(), VcpuError> {
        self.state.sregs = *sregs;
        Ok(())
    }

    fn offers_sregs2(&self) -> bool {
        false
    }

    fn sregs2(&mut self) -> Result<kvm_sregs2, VcpuError> {
        Ok(kvm_sregs2::default())
    }

    fn set_sregs2(&mut self, _: &kvm_sregs2) -> Result<(), VcpuError> {
        Ok(())
    }

    fn debug_regs(&mut self) -> Result<kvm_debugregs, VcpuError> {
        Ok(self.state.debug_regs)
    }

    fn set_debug_regs(&mut self, regs: &kvm_debugregs) -> Result<(), VcpuError> {
        self.state.debug_regs = *regs;
        Ok(())
    }

    fn msrs(&self, indices: &[u32]) -> Result<Vec<Msr>, VcpuError> {
        let value = |index| self.state.msrs.get(index).copied().unwrap_or_default();
        Ok(indices.iter().map(|index| Msr { index: *index, value: value(index) }).collect())
    }

    fn set_msrs(&mut self, msrs: &[Msr]) -> Result<(), VcpuError> {
        self.state.msrs.extend(msrs.iter().map(|msr| (msr.index, msr.value)));
        Ok(())
    }

    fn xsave(&self) -> Result<Xsave, VcpuError> {
        Ok(Xsave(vec![0; PAGE]))
    }

    fn set_xsave(&mut self, _: &Xsave) -> Result<(), VcpuError> {
        Ok(())
    }

    fn xcrs(&self) -> Result<kvm_xcrs, VcpuError> {
        Ok(kvm_xcrs::default())
    }

    fn set_xcrs(&mut self, _: &kvm_xcrs) -> Result<(), VcpuError> {
        Ok(())
    }

    fn events(&mut self) -> Result<kvm_vcpu_events, VcpuError> {
        let flags = if self.payload { KVM_VCPUEVENT_VALID_PAYLOAD } else { 0 };
        Ok(kvm_vcpu_events { flags: self.state.events.flags | flags, ..self.state.events })
    }

    fn set_events(&mut self, events: &kvm_vcpu_events) -> Result<(), VcpuError> {
        self.state.events = *events;
        self.state.may("KVM_SET_VCPU_EVENTS")
    }

    fn mp_state(&self) -> Result<kvm_mp_state, VcpuError> {
        Ok(kvm_mp_state::default())
    }

    fn set_mp_state(&mut self, _: kvm_mp_state) -> Result<(), VcpuError> {
        Ok(())
    }

    fn tsc_khz(&self) -> Result<Option<u32>, VcpuError> {
        Ok(None)
    }

    fn set_tsc_khz(&mut self, _: u32) -> Result<(), VcpuError> {
        Ok(())
    }

    fn cpuid(&self) -> Result<Vec<kvm_cpuid_entry2>, VcpuError> {
        Ok(self.cpuid.clone())
    }
}
