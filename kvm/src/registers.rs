//! KVM_GET_* and KVM_SET_* of a vCPU.

use super::error::{call, refusal};
use super::sys;
use super::vcpu::KvmVcpu;
use kvm_bindings::{
    KVM_MAX_CPUID_ENTRIES, Msrs, kvm_cpuid_entry2, kvm_debugregs, kvm_mp_state, kvm_msr_entry, kvm_regs,
    kvm_sregs, kvm_sregs2, kvm_vcpu_events, kvm_xcrs,
};
use vm::{Msr, Registers, VcpuError, Xsave};

impl Registers for KvmVcpu {
    fn regs(&self) -> Result<kvm_regs, VcpuError> {
        self.fd.get_regs().map_err(|e| call("KVM_GET_REGS", e))
    }

    fn set_regs(&mut self, regs: &kvm_regs) -> Result<(), VcpuError> {
        self.note("KVM_SET_REGS");
        self.fd.set_regs(regs).map_err(|e| call("KVM_SET_REGS", e))
    }

    fn sregs(&mut self) -> Result<kvm_sregs, VcpuError> {
        self.fd.get_sregs().map_err(|e| call("KVM_GET_SREGS", e))
    }

    fn set_sregs(&mut self, sregs: &kvm_sregs) -> Result<(), VcpuError> {
        self.note("KVM_SET_SREGS");
        self.fd.set_sregs(sregs).map_err(|e| call("KVM_SET_SREGS", e))?;
        self.keep_cr8(sregs.cr8);
        Ok(())
    }

    fn offers_sregs2(&self) -> bool {
        self.offered.sregs2
    }

    fn sregs2(&mut self) -> Result<kvm_sregs2, VcpuError> {
        sys::get_sregs2(&*self.fd)
    }

    fn set_sregs2(&mut self, sregs: &kvm_sregs2) -> Result<(), VcpuError> {
        self.note("KVM_SET_SREGS2");
        sys::set_sregs2(&*self.fd, sregs)?;
        self.keep_cr8(sregs.cr8);
        Ok(())
    }

    fn debug_regs(&mut self) -> Result<kvm_debugregs, VcpuError> {
        self.fd.get_debug_regs().map_err(|e| call("KVM_GET_DEBUGREGS", e))
    }

    fn set_debug_regs(&mut self, regs: &kvm_debugregs) -> Result<(), VcpuError> {
        self.note("KVM_SET_DEBUGREGS");
        self.fd.set_debug_regs(regs).map_err(|e| call("KVM_SET_DEBUGREGS", e))
    }

    fn msrs(&self, indices: &[u32]) -> Result<Vec<Msr>, VcpuError> {
        let entries: Vec<_> =
            indices.iter().map(|index| kvm_msr_entry { index: *index, ..Default::default() }).collect();
        let mut list = Msrs::from_entries(&entries).map_err(|_| too_many("KVM_GET_MSRS", indices.len()))?;
        let read = self.fd.get_msrs(&mut list).map_err(|e| call("KVM_GET_MSRS", e))?;
        if let Some(index) = indices.get(read) {
            return Err(refusal("KVM_GET_MSRS", format!("MSR {index:#x} cannot be read on this machine")));
        }
        Ok(list.as_slice().iter().map(|entry| Msr { index: entry.index, value: entry.data }).collect())
    }

    fn set_msrs(&mut self, msrs: &[Msr]) -> Result<(), VcpuError> {
        self.note("KVM_SET_MSRS");
        let entries: Vec<_> = msrs
            .iter()
            .map(|msr| kvm_msr_entry { index: msr.index, data: msr.value, ..Default::default() })
            .collect();
        let list = Msrs::from_entries(&entries).map_err(|_| too_many("KVM_SET_MSRS", msrs.len()))?;
        let set = self.fd.set_msrs(&list).map_err(|e| call("KVM_SET_MSRS", e))?;
        match msrs.get(set) {
            Some(Msr { index, value }) => Err(VcpuError::Msr { index: *index, value: *value }),
            None => Ok(()),
        }
    }

    fn xsave(&self) -> Result<Xsave, VcpuError> {
        sys::get_xsave(&*self.fd, self.xsave_size).map(Xsave)
    }

    fn set_xsave(&mut self, xsave: &Xsave) -> Result<(), VcpuError> {
        self.note("KVM_SET_XSAVE");
        sys::set_xsave(&*self.fd, &xsave.0, self.xsave_size)
    }

    fn xcrs(&self) -> Result<kvm_xcrs, VcpuError> {
        self.fd.get_xcrs().map_err(|e| call("KVM_GET_XCRS", e))
    }

    fn set_xcrs(&mut self, xcrs: &kvm_xcrs) -> Result<(), VcpuError> {
        self.note("KVM_SET_XCRS");
        self.fd.set_xcrs(xcrs).map_err(|e| call("KVM_SET_XCRS", e))
    }

    fn events(&mut self) -> Result<kvm_vcpu_events, VcpuError> {
        self.fd.get_vcpu_events().map_err(|e| call("KVM_GET_VCPU_EVENTS", e))
    }

    fn set_events(&mut self, events: &kvm_vcpu_events) -> Result<(), VcpuError> {
        self.note("KVM_SET_VCPU_EVENTS");
        self.fd.set_vcpu_events(events).map_err(|e| call("KVM_SET_VCPU_EVENTS", e))
    }

    fn mp_state(&self) -> Result<kvm_mp_state, VcpuError> {
        self.fd.get_mp_state().map_err(|e| call("KVM_GET_MP_STATE", e))
    }

    fn set_mp_state(&mut self, state: kvm_mp_state) -> Result<(), VcpuError> {
        self.note("KVM_SET_MP_STATE");
        self.fd.set_mp_state(state).map_err(|e| call("KVM_SET_MP_STATE", e))
    }

    fn tsc_khz(&self) -> Result<Option<u32>, VcpuError> {
        if !self.offered.tsc_khz {
            return Ok(None);
        }
        self.fd.get_tsc_khz().map(Some).map_err(|e| call("KVM_GET_TSC_KHZ", e))
    }

    fn set_tsc_khz(&mut self, rate: u32) -> Result<(), VcpuError> {
        self.fd.set_tsc_khz(rate).map_err(|e| call("KVM_SET_TSC_KHZ", e))
    }

    fn cpuid(&self) -> Result<Vec<kvm_cpuid_entry2>, VcpuError> {
        let table = self.fd.get_cpuid2(KVM_MAX_CPUID_ENTRIES).map_err(|e| call("KVM_GET_CPUID2", e))?;
        let mut entries = table.as_slice().to_vec();
        // Kernels before 6.3 leave the number of entries as requested: after the last one come zeros,
        // which are no entry.
        while entries.last().is_some_and(|entry| *entry == kvm_cpuid_entry2::default()) {
            entries.pop();
        }
        Ok(entries)
    }
}

fn too_many(call: &'static str, count: usize) -> VcpuError {
    refusal(call, format!("{count} MSRs are too many for one call"))
}
