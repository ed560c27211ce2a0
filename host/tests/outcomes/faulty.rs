//! A machine that is right but for one fault: the model, with calls that a test may change.

use kvm_bindings::{
    kvm_cpuid_entry2, kvm_debugregs, kvm_mp_state, kvm_regs, kvm_sregs, kvm_sregs2, kvm_vcpu_events, kvm_xcrs,
};
use model::ModelMachine;
use model::hypervisor::behaviour::CORRECT;
use std::time::Instant;
use vm::Machine;
use vm::{
    DeliveryAccesses, DirtyRing, Exit, GuestMemory, MemoryImage, Msr, PageAccess, Registers, RunMode, Vcpu,
    VcpuError, VmConfig, Xsave,
};

/// What a machine does instead of the right thing; by itself it does the right thing.
pub(crate) trait Fault {
    fn create(&self, model: &ModelMachine, config: &VmConfig) -> Result<Box<dyn Vcpu>, VcpuError> {
        model.create(config)
    }
    fn run(&self, vcpu: &mut dyn Vcpu, mode: RunMode) -> Result<Exit, VcpuError> {
        vcpu.run(mode)
    }
    fn nmi(&self, vcpu: &mut dyn Vcpu) -> Result<(), VcpuError> {
        vcpu.nmi()
    }
    fn interrupt(&self, vcpu: &mut dyn Vcpu, vector: u8) -> Result<(), VcpuError> {
        vcpu.interrupt(vector)
    }
    fn request_interrupt_window(&self, vcpu: &mut dyn Vcpu, wanted: bool) {
        vcpu.request_interrupt_window(wanted);
    }
    fn set_events(&self, vcpu: &mut dyn Vcpu, events: &kvm_vcpu_events) -> Result<(), VcpuError> {
        vcpu.set_events(events)
    }
    fn set_sregs2(&self, vcpu: &mut dyn Vcpu, sregs: &kvm_sregs2) -> Result<(), VcpuError> {
        vcpu.set_sregs2(sregs)
    }
    fn set_msrs(&self, vcpu: &mut dyn Vcpu, msrs: &[Msr]) -> Result<(), VcpuError> {
        vcpu.set_msrs(msrs)
    }
    fn sregs(&self, vcpu: &mut dyn Vcpu) -> Result<kvm_sregs, VcpuError> {
        vcpu.sregs()
    }
    fn set_page_access(
        &self,
        vcpu: &mut dyn Vcpu,
        address: u64,
        access: PageAccess,
    ) -> Result<(), VcpuError> {
        vcpu.set_page_access(address, access)
    }
    fn dirty_ring<'v>(&self, vcpu: &'v mut dyn Vcpu) -> Option<&'v mut dyn DirtyRing> {
        vcpu.dirty_ring()
    }
}

/// The model with a fault, in each of its VMs.
pub(crate) struct Faulty<F> {
    model: ModelMachine,
    fault: F,
}

impl<F: Fault + Clone + 'static> Faulty<F> {
    pub(crate) fn new(fault: F) -> Self {
        Self { model: ModelMachine::new(&CORRECT), fault }
    }
}

impl<F: Fault + Clone + 'static> Machine for Faulty<F> {
    fn name(&self) -> &'static str {
        self.model.name()
    }

    fn cpuid(&self) -> &[kvm_cpuid_entry2] {
        self.model.cpuid()
    }

    fn msr_indices(&self) -> &[u32] {
        self.model.msr_indices()
    }

    fn create(&self, config: &VmConfig) -> Result<Box<dyn Vcpu>, VcpuError> {
        let vcpu = self.fault.create(&self.model, config)?;
        Ok(Box::new(FaultyVcpu { vcpu, fault: self.fault.clone() }))
    }
}

struct FaultyVcpu<F> {
    vcpu: Box<dyn Vcpu>,
    fault: F,
}

/// Calls that are passed on as they are.
macro_rules! pass_on {
    ($(fn $name:ident(&mut self $(, $argument:ident: $type:ty)*) $(-> $result:ty)?;)*
     ---
     $(fn $shared:ident(&self $(, $shared_argument:ident: $shared_type:ty)*) $(-> $shared_result:ty)?;)*) => {
        $(fn $name(&mut self $(, $argument: $type)*) $(-> $result)? { self.vcpu.$name($($argument),*) })*
        $(fn $shared(&self $(, $shared_argument: $shared_type)*) $(-> $shared_result)? {
            self.vcpu.$shared($($shared_argument),*)
        })*
    };
}

impl<F: Fault> Vcpu for FaultyVcpu<F> {
    fn run(&mut self, mode: RunMode) -> Result<Exit, VcpuError> {
        self.fault.run(self.vcpu.as_mut(), mode)
    }

    fn nmi(&mut self) -> Result<(), VcpuError> {
        self.fault.nmi(self.vcpu.as_mut())
    }

    fn interrupt(&mut self, vector: u8) -> Result<(), VcpuError> {
        self.fault.interrupt(self.vcpu.as_mut(), vector)
    }

    fn request_interrupt_window(&mut self, wanted: bool) {
        self.fault.request_interrupt_window(self.vcpu.as_mut(), wanted);
    }

    pass_on! {
        fn set_deadline(&mut self, at: Instant);
        fn set_io_data(&mut self, data: &[u8]) -> Result<(), VcpuError>;
        ---
        fn clock(&self) -> std::time::Duration;
    }
}

impl<F: Fault> Registers for FaultyVcpu<F> {
    fn set_events(&mut self, events: &kvm_vcpu_events) -> Result<(), VcpuError> {
        self.fault.set_events(self.vcpu.as_mut(), events)
    }

    fn set_sregs2(&mut self, sregs: &kvm_sregs2) -> Result<(), VcpuError> {
        self.fault.set_sregs2(self.vcpu.as_mut(), sregs)
    }

    fn set_msrs(&mut self, msrs: &[Msr]) -> Result<(), VcpuError> {
        self.fault.set_msrs(self.vcpu.as_mut(), msrs)
    }

    fn sregs(&mut self) -> Result<kvm_sregs, VcpuError> {
        self.fault.sregs(self.vcpu.as_mut())
    }

    pass_on! {
        fn set_regs(&mut self, regs: &kvm_regs) -> Result<(), VcpuError>;
        fn set_sregs(&mut self, sregs: &kvm_sregs) -> Result<(), VcpuError>;
        fn sregs2(&mut self) -> Result<kvm_sregs2, VcpuError>;
        fn debug_regs(&mut self) -> Result<kvm_debugregs, VcpuError>;
        fn set_debug_regs(&mut self, regs: &kvm_debugregs) -> Result<(), VcpuError>;
        fn set_xsave(&mut self, xsave: &Xsave) -> Result<(), VcpuError>;
        fn set_xcrs(&mut self, xcrs: &kvm_xcrs) -> Result<(), VcpuError>;
        fn events(&mut self) -> Result<kvm_vcpu_events, VcpuError>;
        fn set_mp_state(&mut self, state: kvm_mp_state) -> Result<(), VcpuError>;
        fn set_tsc_khz(&mut self, rate: u32) -> Result<(), VcpuError>;
        ---
        fn regs(&self) -> Result<kvm_regs, VcpuError>;
        fn offers_sregs2(&self) -> bool;
        fn msrs(&self, indices: &[u32]) -> Result<Vec<Msr>, VcpuError>;
        fn xsave(&self) -> Result<Xsave, VcpuError>;
        fn xcrs(&self) -> Result<kvm_xcrs, VcpuError>;
        fn mp_state(&self) -> Result<kvm_mp_state, VcpuError>;
        fn tsc_khz(&self) -> Result<Option<u32>, VcpuError>;
        fn cpuid(&self) -> Result<Vec<kvm_cpuid_entry2>, VcpuError>;
    }
}

impl<F: Fault> GuestMemory for FaultyVcpu<F> {
    fn set_page_access(&mut self, address: u64, access: PageAccess) -> Result<(), VcpuError> {
        self.fault.set_page_access(self.vcpu.as_mut(), address, access)
    }

    fn dirty_ring(&mut self) -> Option<&mut dyn DirtyRing> {
        self.fault.dirty_ring(self.vcpu.as_mut())
    }

    fn delivery_accesses(&mut self) -> Option<&mut dyn DeliveryAccesses> {
        self.vcpu.delivery_accesses()
    }

    pass_on! {
        fn write_memory(&mut self, address: u64, bytes: &[u8]) -> Result<(), VcpuError>;
        fn load_memory(&mut self, image: &MemoryImage) -> Result<(), VcpuError>;
        fn evict(&mut self, address: u64) -> Result<(), VcpuError>;
        ---
        fn memory_size(&self) -> u64;
        fn read_memory(&self, address: u64, bytes: &mut [u8]) -> Result<(), VcpuError>;
        fn save_memory(&self) -> Result<MemoryImage, VcpuError>;
        fn is_resident(&self, address: u64) -> Result<bool, VcpuError>;
    }
}
