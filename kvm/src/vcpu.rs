//! [`KvmVcpu`]: the KVM-shaped trait by real ioctls.

use super::error::{call, errno_of, refusal};
use super::exit::{self, InputArea};
use super::memory::GuestMemory;
use super::ring::Ring;
use super::signal::{self, Cut, Running};
use super::slots::Slots;
use super::sys;
use super::userfault::Userfault;
use kvm_bindings::{
    KVM_EXIT_UNKNOWN, KVM_MAX_CPUID_ENTRIES, Msrs, kvm_cpuid_entry2, kvm_debugregs, kvm_mp_state,
    kvm_msr_entry, kvm_regs, kvm_sregs, kvm_sregs2, kvm_vcpu_events, kvm_xcrs,
};
use kvm_ioctls::{VcpuFd, VmFd};
use std::time::{Duration, Instant};
use vm::{DirtyRing, Exit, MemoryImage, Msr, PageAccess, RunMode, Vcpu, VcpuError, Xsave};

/// Ioctls that not every KVM has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offered {
    /// KVM_GET_SREGS2 and KVM_SET_SREGS2.
    pub(super) sregs2: bool,
    /// KVM_GET_TSC_KHZ.
    pub(super) tsc_khz: bool,
}

/// A virtual machine with one vCPU on /dev/kvm.
#[derive(Debug)]
pub struct KvmVcpu {
    // The order is the order of dropping: KVM lets go of guest memory before it is unmapped, and the
    // mappings of the dirty ring and the page that is watched are their own.
    fd: VcpuFd,
    pub(super) vm: VmFd,
    pub(super) memory: GuestMemory,
    pub(super) slots: Slots,
    pub(super) ring: Option<Ring>,
    /// The page that does not allow the guest everything, and what it allows.
    pub(super) refused: Option<(u64, PageAccess)>,
    pub(super) userfault: Option<Userfault>,
    /// Bytes that KVM_GET_XSAVE2 writes; 0 where it does not exist.
    xsave_size: usize,
    offered: Offered,
    deadline: Option<Instant>,
    made: Instant,
    /// Where the answer to the IN of the last exit goes.
    input: Option<InputArea>,
    /// The ioctls that have set something since the last entry.
    set: Vec<&'static str>,
}

impl KvmVcpu {
    pub(super) fn new(
        fd: VcpuFd,
        vm: VmFd,
        memory: GuestMemory,
        slots: Slots,
        ring: Option<Ring>,
        xsave_size: usize,
        offered: Offered,
    ) -> Self {
        let (refused, userfault) = (None, None);
        Self {
            fd,
            vm,
            memory,
            slots,
            ring,
            refused,
            userfault,
            xsave_size,
            offered,
            deadline: None,
            made: Instant::now(),
            input: None,
            set: Vec::new(),
        }
    }

    /// [`enter`](Self::enter), with somebody who watches the page that is watched.
    fn enter_watched(&mut self) -> Result<Exit, VcpuError> {
        match self.userfault.take() {
            None => self.enter(),
            Some(userfault) => {
                let exit = userfault.run(signal::deadline_signal(), || self.enter());
                self.userfault = Some(userfault);
                exit?
            }
        }
    }

    /// KVM_RUN and what its result means.
    fn enter(&mut self) -> Result<Exit, VcpuError> {
        self.memory.entered();
        self.input = None;
        let set = std::mem::take(&mut self.set);
        // A failed KVM_RUN may leave the reason of an earlier exit.
        self.fd.get_kvm_run().exit_reason = KVM_EXIT_UNKNOWN;
        match sys::run(&self.fd) {
            Ok(()) => {
                let (exit, input) = exit::decode(self.fd.get_kvm_run(), self.vm.run_size());
                self.input = input;
                Ok(match exit {
                    Exit::FailEntry { reason, cpu, .. } => Exit::FailEntry { reason, cpu, set },
                    other => other,
                })
            }
            Err(errno) => {
                exit::decode_failure(self.fd.get_kvm_run(), errno).ok_or_else(|| errno_of("KVM_RUN", errno))
            }
        }
    }

    /// Notes that `call` has set something, for a refused entry to say.
    fn note(&mut self, call: &'static str) {
        if !self.set.contains(&call) {
            self.set.push(call);
        }
    }

    /// Without a LAPIC in the kernel KVM_RUN sets CR8 from `struct kvm_run`, and leaves it there.
    fn keep_cr8(&mut self, value: u64) {
        self.fd.get_kvm_run().cr8 = value;
    }

    /// [`enter`](Self::enter) with the cut signal pending and unblocked inside KVM_RUN.
    fn enter_with_signal(&mut self) -> Result<Exit, VcpuError> {
        let cut = Cut::raise()?;
        sys::set_signal_mask(&self.fd, Some(Cut::mask_inside_run()?))?;
        let exit = self.enter();
        drop(cut);
        sys::set_signal_mask(&self.fd, None)?;
        exit
    }
}

impl Vcpu for KvmVcpu {
    fn run(&mut self, mode: RunMode) -> Result<Exit, VcpuError> {
        let immediate_exit = &raw mut self.fd.get_kvm_run().immediate_exit;
        let signal_at = match mode {
            RunMode::SignalAfter(time) => Some(Instant::now() + time),
            _ => None,
        };
        let until = self.deadline.into_iter().chain(signal_at).min();
        let (_running, passed) = Running::new(immediate_exit, until)?;
        match mode {
            RunMode::ImmediateExit => {
                self.fd.set_kvm_immediate_exit(1);
                self.enter()
            }
            RunMode::SignalPending => self.enter_with_signal(),
            RunMode::Normal | RunMode::SignalAfter(_) => {
                let exit = if passed { Exit::Interrupted } else { self.enter_watched()? };
                let late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
                Ok(if exit == Exit::Interrupted && late { Exit::Deadline } else { exit })
            }
        }
    }

    fn set_deadline(&mut self, at: Instant) {
        self.deadline = Some(at);
    }

    fn clock(&self) -> Duration {
        self.made.elapsed()
    }

    fn set_io_data(&mut self, data: &[u8]) -> Result<(), VcpuError> {
        let Some(area) = self.input.filter(|area| area.length == data.len()) else {
            let wanted = self.input.map_or(0, |area| area.length);
            return Err(refusal(
                "answering an IN",
                format!("{} bytes were given where the guest waits for {wanted}", data.len()),
            ));
        };
        let run = std::ptr::from_mut(self.fd.get_kvm_run()).cast::<u8>();
        // SAFETY: the area was checked to be inside the kvm_run mapping when the exit was decoded.
        unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), run.add(area.offset), area.length) };
        Ok(())
    }

    fn nmi(&mut self) -> Result<(), VcpuError> {
        self.note("KVM_NMI");
        self.fd.nmi().map_err(|e| call("KVM_NMI", e))
    }

    fn interrupt(&mut self, vector: u8) -> Result<(), VcpuError> {
        self.note("KVM_INTERRUPT");
        sys::interrupt(&self.fd, vector)
    }

    fn request_interrupt_window(&mut self, wanted: bool) {
        self.fd.get_kvm_run().request_interrupt_window = u8::from(wanted);
    }

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
        sys::get_sregs2(&self.fd)
    }

    fn set_sregs2(&mut self, sregs: &kvm_sregs2) -> Result<(), VcpuError> {
        self.note("KVM_SET_SREGS2");
        sys::set_sregs2(&self.fd, sregs)?;
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
        sys::get_xsave(&self.fd, self.xsave_size).map(Xsave)
    }

    fn set_xsave(&mut self, xsave: &Xsave) -> Result<(), VcpuError> {
        self.note("KVM_SET_XSAVE");
        sys::set_xsave(&self.fd, &xsave.0, self.xsave_size)
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
        // Kernels before 6.3 leave the number of entries as it was asked for: what is behind the last
        // one is zeros, which no entry is.
        while entries.last().is_some_and(|entry| *entry == kvm_cpuid_entry2::default()) {
            entries.pop();
        }
        Ok(entries)
    }

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
        self.change_page_access(address, access)
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

fn too_many(call: &'static str, count: usize) -> VcpuError {
    refusal(call, format!("{count} MSRs are too many for one call"))
}
