//! The model behind the KVM-shaped trait: names and errors change, nothing else.

use kvm_bindings::{
    KVM_CPUID_FLAG_SIGNIFCANT_INDEX, kvm_cpuid_entry2, kvm_debugregs, kvm_mp_state, kvm_regs, kvm_sregs,
    kvm_sregs2, kvm_vcpu_events, kvm_xcr, kvm_xcrs,
};
use model::cpuid::{CpuidEntry, CpuidTable, default_table};
use model::hypervisor::behaviour::Behaviour;
use model::hypervisor::run::{Mode, Return};
use model::hypervisor::second_stage::Refusal;
use model::hypervisor::story::Story;
use model::hypervisor::{SharedDecoded, Vm};
use model::memory::{Memory, OutsideMemory};
use model::msr::table::SAVED;
use std::time::{Duration, Instant};
use vm::Machine;
use vm::state::{first_form, second_form};
use vm::{
    DeliveryAccesses, DirtyRing, Exit, MemoryImage, Msr, PageAccess, RunMode, Vcpu, VcpuError, VmConfig,
    VmKind, Xsave,
};

/// The model with a behaviour.
#[derive(Debug)]
pub struct ModelMachine {
    behaviour: &'static Behaviour,
    story: Option<Story>,
    decoded: SharedDecoded,
    cpuid: Vec<kvm_cpuid_entry2>,
    entry: Entry,
}

/// What entering the guest takes.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// Before its first instruction; `None` is longer than any signal waits, and nothing without one.
    takes: Option<Duration>,
    /// How many KVM_RUNs of a VM, from its first on, take that long.
    first: u32,
}

impl ModelMachine {
    /// The model with `behaviour`.
    pub fn new(behaviour: &'static Behaviour) -> Self {
        Self {
            behaviour,
            story: None,
            decoded: SharedDecoded::default(),
            cpuid: default_table().entries.iter().map(to_kvm).collect(),
            entry: Entry::default(),
        }
    }
}

impl ModelMachine {
    /// The same, telling what happens to events.
    #[must_use]
    pub fn telling(self, story: Story) -> Self {
        Self { story: Some(story), ..self }
    }

    /// The same on a slow host: the first `runs` KVM_RUNs of each VM take `takes` before they enter the
    /// guest, and a signal that comes by then finds it where it was. With `None` each signal does.
    #[must_use]
    pub fn slow_to_enter(self, takes: Option<Duration>, runs: u32) -> Self {
        Self { entry: Entry { takes, first: runs }, ..self }
    }
}

impl Machine for ModelMachine {
    fn name(&self) -> &'static str {
        "model"
    }

    fn cpuid(&self) -> &[kvm_cpuid_entry2] {
        &self.cpuid
    }

    fn msr_indices(&self) -> &[u32] {
        &SAVED
    }

    fn create(&self, config: &VmConfig) -> Result<Box<dyn Vcpu>, VcpuError> {
        let cpuid = CpuidTable { entries: config.cpuid.iter().map(from_kvm).collect() };
        let mut vm = Vm::new(config.memory_size, cpuid, self.behaviour, config.exception_payload);
        vm.share_decoded(&self.decoded);
        if config.kind == VmKind::DirtyRing {
            vm.log_dirty_pages();
        }
        if let Some(story) = &self.story {
            story.line("machine      a fresh VM".to_owned());
            vm.tell(story.clone());
        }
        Ok(Box::new(ModelVcpu { vm, entry: self.entry, waited: Duration::ZERO }))
    }
}

#[derive(Debug)]
struct ModelVcpu {
    vm: Vm,
    entry: Entry,
    /// What entering the guest has taken so far.
    waited: Duration,
}

impl ModelVcpu {
    /// What is left of `time` when the guest is entered, for ever where there is none; `None` when a
    /// signal comes before that.
    fn enter(&mut self, time: Option<Duration>) -> Option<Duration> {
        if self.entry.first > 0 {
            self.entry.first -= 1;
            let takes = match (self.entry.takes, time) {
                (Some(takes), _) => takes,
                (None, Some(time)) => time.saturating_add(EXIT),
                (None, None) => Duration::ZERO,
            };
            self.waited = self.waited.saturating_add(time.map_or(takes, |time| takes.min(time)));
            return time.unwrap_or(Duration::MAX).checked_sub(takes);
        }
        time.or(Some(Duration::MAX))
    }
}

impl Vcpu for ModelVcpu {
    fn run(&mut self, mode: RunMode) -> Result<Exit, VcpuError> {
        let mode = match mode {
            RunMode::Normal => {
                self.enter(None);
                Mode::Normal
            }
            RunMode::ImmediateExit => Mode::ImmediateExit,
            RunMode::SignalPending => Mode::SignalPending,
            RunMode::SignalAfter(time) => match self.enter(Some(time)) {
                Some(left) => Mode::SignalAfter(exits(left)),
                None => Mode::ImmediateExit,
            },
        };
        Ok(match self.vm.run(mode) {
            Return::Output { port, size, data } => Exit::IoOut { port, size, data },
            Return::Input { port, size } => Exit::IoIn { port, size, count: 1 },
            Return::Fault { gpa } => Exit::Fault { gpa: Some(gpa) },
            Return::Mmio { gpa, write } => Exit::Mmio { address: gpa, write },
            Return::DirtyRingFull => Exit::DirtyRingFull,
            Return::InternalError { suberror } => Exit::InternalError { suberror, data: Vec::new() },
            Return::InterruptWindow => Exit::InterruptWindow,
            Return::Halt => Exit::Halt,
            Return::Shutdown => Exit::Shutdown,
            Return::Interrupted => Exit::Interrupted,
            Return::Deadline => Exit::Deadline,
            Return::UnknownInstruction { text, rip } => Exit::UnknownInstruction { text, rip },
        })
    }

    fn set_deadline(&mut self, at: Instant) {
        self.vm.set_deadline(at);
    }

    fn clock(&self) -> Duration {
        self.waited.saturating_add(EXIT * u32::try_from(self.vm.exits()).unwrap_or(u32::MAX))
    }

    fn set_io_data(&mut self, data: &[u8]) -> Result<(), VcpuError> {
        if self.vm.set_io_data(data) { Ok(()) } else { Err(invalid("answering an input exit")) }
    }

    fn nmi(&mut self) -> Result<(), VcpuError> {
        self.vm.nmi();
        Ok(())
    }

    fn interrupt(&mut self, vector: u8) -> Result<(), VcpuError> {
        self.vm.interrupt(vector);
        Ok(())
    }

    fn request_interrupt_window(&mut self, wanted: bool) {
        self.vm.request_interrupt_window(wanted);
    }

    fn regs(&self) -> Result<kvm_regs, VcpuError> {
        Ok(self.vm.regs())
    }

    fn set_regs(&mut self, regs: &kvm_regs) -> Result<(), VcpuError> {
        self.vm.set_regs(regs);
        Ok(())
    }

    fn sregs(&mut self) -> Result<kvm_sregs, VcpuError> {
        Ok(self.vm.sregs())
    }

    fn set_sregs(&mut self, sregs: &kvm_sregs) -> Result<(), VcpuError> {
        self.vm.set_sregs(sregs);
        Ok(())
    }

    fn offers_sregs2(&self) -> bool {
        true
    }

    fn sregs2(&mut self) -> Result<kvm_sregs2, VcpuError> {
        // It has no PAE paging, and so no PDPTRs.
        Ok(second_form(&self.vm.sregs(), None))
    }

    fn set_sregs2(&mut self, sregs: &kvm_sregs2) -> Result<(), VcpuError> {
        let interrupt = self.vm.queue.interrupt;
        self.vm.set_sregs(&first_form(sregs));
        self.vm.queue.interrupt = interrupt;
        Ok(())
    }

    fn debug_regs(&mut self) -> Result<kvm_debugregs, VcpuError> {
        Ok(self.vm.debug_regs())
    }

    fn set_debug_regs(&mut self, regs: &kvm_debugregs) -> Result<(), VcpuError> {
        self.vm.set_debug_regs(regs);
        Ok(())
    }

    fn msrs(&self, indices: &[u32]) -> Result<Vec<Msr>, VcpuError> {
        indices
            .iter()
            .map(|&index| match self.vm.msr(index) {
                Ok(value) => Ok(Msr { index, value }),
                Err(_) => Err(invalid("reading an MSR that the model does not have")),
            })
            .collect()
    }

    fn set_msrs(&mut self, msrs: &[Msr]) -> Result<(), VcpuError> {
        for msr in msrs {
            self.vm
                .set_msr(msr.index, msr.value)
                .map_err(|_| VcpuError::Msr { index: msr.index, value: msr.value })?;
        }
        Ok(())
    }

    fn xsave(&self) -> Result<Xsave, VcpuError> {
        Ok(Xsave(self.vm.xsave()))
    }

    fn set_xsave(&mut self, xsave: &Xsave) -> Result<(), VcpuError> {
        if self.vm.set_xsave(&xsave.0) { Ok(()) } else { Err(invalid("KVM_SET_XSAVE")) }
    }

    fn xcrs(&self) -> Result<kvm_xcrs, VcpuError> {
        let mut xcrs = kvm_xcrs { nr_xcrs: 1, ..Default::default() };
        xcrs.xcrs[0] = kvm_xcr { xcr: 0, reserved: 0, value: self.vm.xcr0() };
        Ok(xcrs)
    }

    fn set_xcrs(&mut self, xcrs: &kvm_xcrs) -> Result<(), VcpuError> {
        let count = xcrs.xcrs.len().min(usize::try_from(xcrs.nr_xcrs).unwrap_or(0));
        for xcr in xcrs.xcrs[..count].iter().filter(|xcr| xcr.xcr == 0) {
            self.vm.set_xcr0(xcr.value);
        }
        Ok(())
    }

    fn events(&mut self) -> Result<kvm_vcpu_events, VcpuError> {
        Ok(self.vm.events())
    }

    fn set_events(&mut self, events: &kvm_vcpu_events) -> Result<(), VcpuError> {
        self.vm.set_events(events).map_err(|_| invalid("KVM_SET_VCPU_EVENTS"))
    }

    fn mp_state(&self) -> Result<kvm_mp_state, VcpuError> {
        let mp_state = if self.vm.processor.halted { kvm_bindings::KVM_MP_STATE_HALTED } else { 0 };
        Ok(kvm_mp_state { mp_state })
    }

    fn set_mp_state(&mut self, state: kvm_mp_state) -> Result<(), VcpuError> {
        self.vm.processor.halted = state.mp_state == kvm_bindings::KVM_MP_STATE_HALTED;
        Ok(())
    }

    fn tsc_khz(&self) -> Result<Option<u32>, VcpuError> {
        // It counts instructions.
        Ok(None)
    }

    fn set_tsc_khz(&mut self, _: u32) -> Result<(), VcpuError> {
        Ok(())
    }

    fn cpuid(&self) -> Result<Vec<kvm_cpuid_entry2>, VcpuError> {
        Ok(self.vm.processor.cpuid.entries.iter().map(to_kvm).collect())
    }

    fn memory_size(&self) -> u64 {
        self.vm.memory.size()
    }

    fn read_memory(&self, address: u64, bytes: &mut [u8]) -> Result<(), VcpuError> {
        self.vm.memory.read(address, bytes).map_err(outside)
    }

    fn write_memory(&mut self, address: u64, bytes: &[u8]) -> Result<(), VcpuError> {
        self.vm.memory.write(address, bytes).map_err(outside)
    }

    fn save_memory(&self) -> Result<MemoryImage, VcpuError> {
        Ok(MemoryImage { pages: self.vm.memory.pages().to_vec() })
    }

    fn load_memory(&mut self, image: &MemoryImage) -> Result<(), VcpuError> {
        self.vm.replace_memory(Memory::from_pages(image.pages.clone()));
        Ok(())
    }

    fn delivery_accesses(&mut self) -> Option<&mut dyn DeliveryAccesses> {
        Some(self)
    }

    fn set_page_access(&mut self, address: u64, access: PageAccess) -> Result<(), VcpuError> {
        let refusal = match access {
            PageAccess::Open => {
                self.vm.open();
                return Ok(());
            }
            PageAccess::Blocked | PageAccess::Private => Refusal::Blocked,
            PageAccess::Userfault => Refusal::Userfault,
            PageAccess::Hole => Refusal::Hole,
            PageAccess::ReadOnly => Refusal::ReadOnly,
        };
        self.vm.refuse(address, refusal);
        Ok(())
    }

    fn evict(&mut self, address: u64) -> Result<(), VcpuError> {
        self.vm.evict(address);
        Ok(())
    }

    fn is_resident(&self, address: u64) -> Result<bool, VcpuError> {
        Ok(self.vm.is_resident(address))
    }

    fn dirty_ring(&mut self) -> Option<&mut dyn DirtyRing> {
        self.vm.dirty_ring().is_some().then_some(self)
    }
}

impl DirtyRing for ModelVcpu {
    fn harvest(&mut self, count: u32) -> Result<(), VcpuError> {
        self.vm.harvest_dirty_ring(count);
        Ok(())
    }

    fn restart_log(&mut self) -> Result<(), VcpuError> {
        self.vm.restart_dirty_log();
        Ok(())
    }

    fn holds(&self, address: u64) -> bool {
        self.vm.dirty_ring().is_some_and(|ring| ring.holds(address))
    }
}

/// The model's guest time is its count of exits, not the clock: each counts as much.
const EXIT: Duration = Duration::from_micros(1);

/// The exits after which `time` has passed.
fn exits(time: Duration) -> u32 {
    u32::try_from(time.as_nanos().div_ceil(EXIT.as_nanos())).unwrap_or(u32::MAX)
}

impl DeliveryAccesses for ModelVcpu {
    fn refuse(&mut self, n: u64) {
        self.vm.memory.refuse_access(Some(n));
    }
}

/// What KVM answers to arguments that make no sense.
fn invalid(call: &'static str) -> VcpuError {
    const EINVAL: i32 = 22;
    VcpuError::Call { call, errno: EINVAL, message: "Invalid argument".to_owned(), advice: "" }
}

fn outside(error: OutsideMemory) -> VcpuError {
    VcpuError::OutsideMemory { address: error.address, length: error.length, memory_size: error.size }
}

fn to_kvm(entry: &CpuidEntry) -> kvm_cpuid_entry2 {
    kvm_cpuid_entry2 {
        function: entry.leaf,
        index: entry.subleaf.unwrap_or(0),
        flags: if entry.subleaf.is_some() { KVM_CPUID_FLAG_SIGNIFCANT_INDEX } else { 0 },
        eax: entry.eax,
        ebx: entry.ebx,
        ecx: entry.ecx,
        edx: entry.edx,
        ..Default::default()
    }
}

fn from_kvm(entry: &kvm_cpuid_entry2) -> CpuidEntry {
    let by_index = entry.flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX != 0;
    CpuidEntry {
        leaf: entry.function,
        subleaf: by_index.then_some(entry.index),
        eax: entry.eax,
        ebx: entry.ebx,
        ecx: entry.ecx,
        edx: entry.edx,
    }
}
