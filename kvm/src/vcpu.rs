//! [`KvmVcpu`]: KVM_RUN.

use super::closing::Ended;
use super::error::{call, errno_of, refusal};
use super::exit::{self, InputArea};
use super::mappings::Mappings;
use super::ring::Ring;
use super::signal::{self, Cut, Running};
use super::slots::Slots;
use super::sys;
use super::userfault::Userfault;
use kvm_bindings::KVM_EXIT_UNKNOWN;
use kvm_ioctls::{VcpuFd, VmFd};
use std::mem::ManuallyDrop;
use std::time::{Duration, Instant};
use vm::{Exit, PageAccess, RunMode, Vcpu, VcpuError};

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
    // These three are closed together, by `Ended`. The mappings of the dirty ring and of the watched page are
    // independent of them.
    pub(super) fd: ManuallyDrop<VcpuFd>,
    pub(super) vm: ManuallyDrop<VmFd>,
    pub(super) memory: ManuallyDrop<Mappings>,
    pub(super) slots: Slots,
    pub(super) ring: Option<Ring>,
    /// The page whose access is restricted, and what it allows.
    pub(super) refused: Option<(u64, PageAccess)>,
    pub(super) userfault: Option<Userfault>,
    /// Bytes that KVM_GET_XSAVE2 writes; 0 where it does not exist.
    pub(super) xsave_size: usize,
    pub(super) offered: Offered,
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
        memory: Mappings,
        slots: Slots,
        ring: Option<Ring>,
        xsave_size: usize,
        offered: Offered,
    ) -> Self {
        let (refused, userfault) = (None, None);
        Self {
            fd: ManuallyDrop::new(fd),
            vm: ManuallyDrop::new(vm),
            memory: ManuallyDrop::new(memory),
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

    /// [`enter`](Self::enter), with a watcher thread where a page is watched.
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
        match sys::run(&*self.fd) {
            Ok(()) => {
                let (exit, input) = exit::decode(self.fd.get_kvm_run(), self.vm.run_size());
                self.input = input;
                Ok(match exit {
                    Exit::FailEntry { reason, cpu, .. } => {
                        Exit::FailEntry { reason, cpu, set: set.into_iter().map(str::to_owned).collect() }
                    }
                    other => other,
                })
            }
            Err(errno) => {
                exit::decode_failure(self.fd.get_kvm_run(), errno).ok_or_else(|| errno_of("KVM_RUN", errno))
            }
        }
    }

    /// Notes that `call` has set something, for a refused entry to say.
    pub(super) fn note(&mut self, call: &'static str) {
        if !self.set.contains(&call) {
            self.set.push(call);
        }
    }

    /// Without a LAPIC in the kernel KVM_RUN sets CR8 from `struct kvm_run`, and leaves it there.
    pub(super) fn keep_cr8(&mut self, value: u64) {
        self.fd.get_kvm_run().cr8 = value;
    }

    /// [`enter`](Self::enter) with the cut signal pending and unblocked inside KVM_RUN.
    fn enter_with_signal(&mut self) -> Result<Exit, VcpuError> {
        let cut = Cut::raise()?;
        sys::set_signal_mask(&*self.fd, Some(Cut::mask_inside_run()?))?;
        let exit = self.enter();
        drop(cut);
        sys::set_signal_mask(&*self.fd, None)?;
        exit
    }
}

impl Drop for KvmVcpu {
    fn drop(&mut self) {
        // SAFETY: each is taken once, here, and nothing uses this value afterwards.
        let (vcpu, vm, memory) = unsafe {
            (
                ManuallyDrop::take(&mut self.fd),
                ManuallyDrop::take(&mut self.vm),
                ManuallyDrop::take(&mut self.memory),
            )
        };
        Ended { _vcpu: vcpu, _vm: vm, _memory: memory }.close();
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
        sys::interrupt(&*self.fd, vector)
    }

    fn request_interrupt_window(&mut self, wanted: bool) {
        self.fd.get_kvm_run().request_interrupt_window = u8::from(wanted);
    }
}
