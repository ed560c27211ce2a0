//! A machine that is right but for one fault: the model, with calls that a test may change.

use kvm_bindings::{
    kvm_cpuid_entry2, kvm_debugregs, kvm_mp_state, kvm_regs, kvm_sregs, kvm_sregs2, kvm_vcpu_events, kvm_xcrs,
};
use model::ModelMachine;
use model::hypervisor::behaviour::CORRECT;
use std::rc::Rc;
use std::time::{Duration, Instant};
use vm::{
    DeliveryAccesses, DirtyRing, Exit, GuestMemory, Machine, MemoryImage, Msr, PageAccess, Registers,
    RunMode, Vcpu, VcpuError, VmConfig, Xsave,
};

type Result<T> = std::result::Result<T, VcpuError>;

/// The model with a fault, in each of its VMs.
pub(crate) struct Faulty<F> {
    model: ModelMachine,
    fault: Rc<F>,
}

impl<F: Fault + 'static> Faulty<F> {
    pub(crate) fn new(fault: F) -> Self {
        Self { model: ModelMachine::new(&CORRECT), fault: Rc::new(fault) }
    }
}

impl<F: Fault + 'static> Machine for Faulty<F> {
    fn name(&self) -> &'static str {
        self.model.name()
    }

    fn cpuid(&self) -> &[kvm_cpuid_entry2] {
        self.model.cpuid()
    }

    fn msr_indices(&self) -> &[u32] {
        self.model.msr_indices()
    }

    fn create(&self, config: &VmConfig) -> Result<Box<dyn Vcpu>> {
        let vcpu = self.fault.create(&self.model, config)?;
        Ok(Box::new(FaultyVcpu { vcpu, fault: Rc::clone(&self.fault) }))
    }
}

struct FaultyVcpu<F> {
    vcpu: Box<dyn Vcpu>,
    fault: Rc<F>,
}

/// The calls of each trait: those that a fault may change, then the others.
macro_rules! calls {
    ($($of:ident {
        $(fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*
    } { $($other:tt)* })*) => {
        /// What a machine does instead of the right thing; by itself it does the right thing.
        pub(crate) trait Fault {
            fn create(&self, model: &ModelMachine, config: &VmConfig) -> Result<Box<dyn Vcpu>> {
                model.create(config)
            }
            fn dirty_ring<'v>(&self, vcpu: &'v mut dyn Vcpu) -> Option<&'v mut dyn DirtyRing> {
                vcpu.dirty_ring()
            }
            $($(fn $name(&self, vcpu: &mut dyn Vcpu $(, $argument: $type)*) $(-> $result)? {
                vcpu.$name($($argument),*)
            })*)*
        }

        $(impl<F: Fault> $of for FaultyVcpu<F> {
            $(fn $name(&mut self $(, $argument: $type)*) $(-> $result)? {
                self.fault.$name(self.vcpu.as_mut() $(, $argument)*)
            })*
            $($other)*
        })*
    };
}

/// Calls that are passed on as they are.
macro_rules! pass_on {
    ($(fn $name:ident(&mut self $(, $argument:ident: $type:ty)*) $(-> $result:ty)?;)*
     ---
     $(fn $shared:ident(&self $(, $given:ident: $given_type:ty)*) -> $shared_result:ty;)*) => {
        $(fn $name(&mut self $(, $argument: $type)*) $(-> $result)? { self.vcpu.$name($($argument),*) })*
        $(fn $shared(&self $(, $given: $given_type)*) -> $shared_result { self.vcpu.$shared($($given),*) })*
    };
}

calls! {
    Vcpu {
        fn run(mode: RunMode) -> Result<Exit>;
        fn nmi() -> Result<()>;
        fn interrupt(vector: u8) -> Result<()>;
        fn request_interrupt_window(wanted: bool);
    } {
        pass_on! {
            fn set_deadline(&mut self, at: Instant);
            fn set_io_data(&mut self, data: &[u8]) -> Result<()>;
            ---
            fn clock(&self) -> Duration;
        }
    }
    Registers {
        fn set_events(events: &kvm_vcpu_events) -> Result<()>;
        fn set_sregs2(sregs: &kvm_sregs2) -> Result<()>;
        fn set_msrs(msrs: &[Msr]) -> Result<()>;
        fn sregs() -> Result<kvm_sregs>;
    } {
        pass_on! {
            fn set_regs(&mut self, regs: &kvm_regs) -> Result<()>;
            fn set_sregs(&mut self, sregs: &kvm_sregs) -> Result<()>;
            fn sregs2(&mut self) -> Result<kvm_sregs2>;
            fn debug_regs(&mut self) -> Result<kvm_debugregs>;
            fn set_debug_regs(&mut self, regs: &kvm_debugregs) -> Result<()>;
            fn set_xsave(&mut self, xsave: &Xsave) -> Result<()>;
            fn set_xcrs(&mut self, xcrs: &kvm_xcrs) -> Result<()>;
            fn events(&mut self) -> Result<kvm_vcpu_events>;
            fn set_mp_state(&mut self, state: kvm_mp_state) -> Result<()>;
            fn set_tsc_khz(&mut self, rate: u32) -> Result<()>;
            ---
            fn regs(&self) -> Result<kvm_regs>;
            fn offers_sregs2(&self) -> bool;
            fn msrs(&self, indices: &[u32]) -> Result<Vec<Msr>>;
            fn xsave(&self) -> Result<Xsave>;
            fn xcrs(&self) -> Result<kvm_xcrs>;
            fn mp_state(&self) -> Result<kvm_mp_state>;
            fn tsc_khz(&self) -> Result<Option<u32>>;
            fn cpuid(&self) -> Result<Vec<kvm_cpuid_entry2>>;
        }
    }
    GuestMemory {
        fn set_page_access(address: u64, access: PageAccess) -> Result<()>;
    } {
        fn dirty_ring(&mut self) -> Option<&mut dyn DirtyRing> {
            self.fault.dirty_ring(self.vcpu.as_mut())
        }

        pass_on! {
            fn delivery_accesses(&mut self) -> Option<&mut dyn DeliveryAccesses>;
            fn write_memory(&mut self, address: u64, bytes: &[u8]) -> Result<()>;
            fn load_memory(&mut self, image: &MemoryImage) -> Result<()>;
            fn evict(&mut self, address: u64) -> Result<()>;
            ---
            fn memory_size(&self) -> u64;
            fn read_memory(&self, address: u64, bytes: &mut [u8]) -> Result<()>;
            fn save_memory(&self) -> Result<MemoryImage>;
            fn is_resident(&self, address: u64) -> Result<bool>;
        }
    }
}
