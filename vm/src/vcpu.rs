//! The KVM-shaped trait: one virtual machine with one vCPU, as KVM's uAPI shows it.
//!
//! Two implementations: real ioctls (the crate `kvm`) and the model's hypervisor layer. Everything above
//! it, stops, save and restore, devices, runs on both. The structures are those of `linux/kvm.h`, so
//! that whatever the uAPI can and cannot carry is the same question on both.

use crate::blame::Refusal;
use kvm_bindings::{
    kvm_cpuid_entry2, kvm_debugregs, kvm_mp_state, kvm_regs, kvm_sregs, kvm_sregs2, kvm_vcpu_events, kvm_xcrs,
};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// One MSR and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Msr {
    /// Number.
    pub index: u32,
    /// Value.
    pub value: u64,
}

/// An XSAVE area in KVM's (standard, uncompacted) format: 4096 bytes or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Xsave(pub Vec<u8>);

/// What a new virtual machine is made of.
#[derive(Clone, Debug)]
pub struct VmConfig {
    /// Guest memory from guest-physical 0 on, in bytes; a multiple of 4096.
    pub memory_size: u64,
    /// What the guest's CPUID returns.
    pub cpuid: Vec<kvm_cpuid_entry2>,
    /// Whether KVM_CAP_EXCEPTION_PAYLOAD is enabled.
    pub exception_payload: bool,
    /// What else its memory can do.
    pub kind: VmKind,
}

/// What a virtual machine's memory can do beyond holding bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum VmKind {
    /// Nothing.
    #[default]
    Plain,
    /// Pages that the guest writes are logged in a dirty ring: KVM_CAP_DIRTY_LOG_RING.
    DirtyRing,
    /// Pages have the private attribute: KVM_X86_SW_PROTECTED_VM, KVM_CAP_MEMORY_ATTRIBUTES.
    Protected,
}

/// How KVM_RUN is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunMode {
    /// Run until something happens.
    Normal,
    /// `immediate_exit = 1`: finish a pending I/O or MMIO exit, then return [`Exit::Interrupted`]
    /// without entering the guest.
    ImmediateExit,
    /// A signal is pending, unblocked only inside KVM_RUN (KVM_SET_SIGNAL_MASK): the entry is
    /// prepared, injection included, then cancelled, and KVM_RUN returns [`Exit::Interrupted`].
    SignalPending,
    /// Run, and a signal comes after this time of [`Vcpu::clock`]: KVM_RUN then returns
    /// [`Exit::Interrupted`] from wherever it is.
    SignalAfter(Duration),
}

/// Why KVM_RUN returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// OUT or OUTS.
    IoOut {
        /// Port.
        port: u16,
        /// Bytes of one item: 1, 2 or 4.
        size: u8,
        /// The items, one behind the other.
        data: Vec<u8>,
    },
    /// IN or INS: answer with [`Vcpu::set_io_data`] before the next run.
    IoIn {
        /// Port.
        port: u16,
        /// Bytes of one item: 1, 2 or 4.
        size: u8,
        /// How many items.
        count: u32,
    },
    /// An access to guest-physical memory that is not there.
    Mmio {
        /// Guest-physical address.
        address: u64,
        /// Whether it is a write.
        write: bool,
    },
    /// The guest can take an external interrupt: see [`Vcpu::request_interrupt_window`].
    InterruptWindow,
    /// HLT.
    Halt,
    /// Triple fault.
    Shutdown,
    /// EINTR: a signal or `immediate_exit`.
    Interrupted,
    /// The deadline of [`Vcpu::set_deadline`] has passed.
    Deadline,
    /// EFAULT: a guest access, or a delivery, met host memory that refuses it. `gpa` is known where
    /// the kernel reports KVM_EXIT_MEMORY_FAULT.
    Fault {
        /// Guest-physical address.
        gpa: Option<u64>,
    },
    /// KVM_EXIT_DIRTY_RING_FULL: the guest is not entered before the dirty ring has room again.
    DirtyRingFull,
    /// KVM_EXIT_INTERNAL_ERROR.
    InternalError {
        /// `suberror`: 1 is an emulation failure, 3 a failed event delivery.
        suberror: u32,
        /// What the kernel says about it.
        data: Vec<u64>,
    },
    /// The model met an instruction it does not know.
    UnknownInstruction {
        /// The instruction's text.
        text: String,
        /// Its address.
        rip: u64,
    },
    /// KVM_EXIT_FAIL_ENTRY: the processor refused the entry.
    FailEntry {
        /// `hardware_entry_failure_reason`: see [`crate::explain::entry_failure`].
        reason: u64,
        /// The host's processor that refused it.
        cpu: u32,
        /// The ioctls that set something since the last entry, oldest first.
        set: Vec<&'static str>,
    },
    /// KVM_EXIT_UNKNOWN: an exit of the processor's that KVM does not handle.
    Unknown {
        /// `hardware_exit_reason`.
        hardware_reason: u64,
    },
    /// Any other KVM_EXIT_*.
    Other {
        /// `exit_reason`.
        reason: u32,
    },
}

/// What guest memory at a guest-physical page allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageAccess {
    /// Everything.
    Open,
    /// Nothing: PROT_NONE on the host's mapping. KVM_RUN returns [`Exit::Fault`].
    Blocked,
    /// Nothing before somebody provides the page: userfaultfd. Whoever watches it signals the vCPU,
    /// so that KVM_RUN returns [`Exit::Interrupted`].
    Userfault,
    /// There is no memory slot. A delivery that meets it ends in [`Exit::InternalError`], on KVMs
    /// that stop there at all.
    Hole,
    /// The memory slot is read-only. A delivery that writes there ends as in [`Hole`](Self::Hole).
    ReadOnly,
    /// The page has the private attribute and no private memory: [`Exit::Fault`], always with
    /// KVM_EXIT_MEMORY_FAULT. For a [`VmKind::Protected`].
    Private,
}

/// An ioctl, or its counterpart in the model, refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VcpuError {
    /// A system call or ioctl failed.
    #[error("{call} failed: {message} (errno {errno}){advice}")]
    Call {
        /// The ioctl's or system call's name.
        call: &'static str,
        /// errno.
        errno: i32,
        /// Its text.
        message: String,
        /// What to do about it, with a leading separator, or nothing.
        advice: &'static str,
    },
    /// The device behind the machine cannot be opened.
    #[error("open {device} failed: {message} (errno {errno}){advice}")]
    Open {
        /// Its file.
        device: String,
        /// errno.
        errno: i32,
        /// Its text.
        message: String,
        /// What to do about it, with a leading separator, or nothing.
        advice: String,
    },
    /// A guest-physical range is not in guest memory.
    #[error(
        "guest-physical {address:#x}..+{length:#x} is outside the guest's {memory_size:#x} bytes of memory"
    )]
    OutsideMemory {
        /// Start of the range.
        address: u64,
        /// Its length in bytes.
        length: u64,
        /// Size of guest memory in bytes.
        memory_size: u64,
    },
    /// KVM_SET_MSRS stopped half-way.
    #[error("MSR {index:#x} cannot be set to {value:#x} on this machine")]
    Msr {
        /// The MSR refused.
        index: u32,
        /// The value refused.
        value: u64,
    },
    /// KVM_SET_* refused what KVM_GET_* had given, or that with one thing changed.
    #[error(transparent)]
    Refused(#[from] Box<Refusal>),
}

/// A virtual machine with one vCPU.
///
/// # Errors
/// Every method returns [`VcpuError`] when the ioctl behind it fails.
pub trait Vcpu {
    /// Enters the guest: KVM_RUN.
    fn run(&mut self, mode: RunMode) -> Result<Exit, VcpuError>;
    /// From now on [`run`](Self::run) returns [`Exit::Deadline`] once `at` has passed.
    fn set_deadline(&mut self, at: Instant);
    /// The time by which [`RunMode::SignalAfter`] counts, from some moment on: the host's monotonic
    /// clock; on the model a microsecond for each exit of the guest.
    fn clock(&self) -> Duration;
    /// The items that answer an [`Exit::IoIn`], `size * count` bytes.
    fn set_io_data(&mut self, data: &[u8]) -> Result<(), VcpuError>;

    /// KVM_NMI: the guest takes it as soon as NMIs are not blocked.
    fn nmi(&mut self) -> Result<(), VcpuError>;
    /// KVM_INTERRUPT: the next entry injects it. Only right behind [`Exit::InterruptWindow`]; at any
    /// other time it takes the place of whatever is being injected.
    fn interrupt(&mut self, vector: u8) -> Result<(), VcpuError>;
    /// From now on [`run`](Self::run) returns [`Exit::InterruptWindow`] as soon as the guest can take
    /// an external interrupt, or no longer does: `request_interrupt_window`.
    fn request_interrupt_window(&mut self, wanted: bool);

    /// KVM_GET_REGS.
    fn regs(&self) -> Result<kvm_regs, VcpuError>;
    /// KVM_SET_REGS. Clears a *pending* exception.
    fn set_regs(&mut self, regs: &kvm_regs) -> Result<(), VcpuError>;
    /// KVM_GET_SREGS. Delivers a pending payload early where the capability is off.
    fn sregs(&mut self) -> Result<kvm_sregs, VcpuError>;
    /// KVM_SET_SREGS.
    fn set_sregs(&mut self, sregs: &kvm_sregs) -> Result<(), VcpuError>;
    /// Whether KVM_GET_SREGS2 and KVM_SET_SREGS2 exist: KVM_CAP_SREGS2.
    fn offers_sregs2(&self) -> bool;
    /// KVM_GET_SREGS2. Delivers a pending payload early where the capability is off.
    fn sregs2(&mut self) -> Result<kvm_sregs2, VcpuError>;
    /// KVM_SET_SREGS2. Leaves an interrupt that waits for injection alone.
    fn set_sregs2(&mut self, sregs: &kvm_sregs2) -> Result<(), VcpuError>;
    /// KVM_GET_DEBUGREGS. Delivers a pending payload early where the capability is off.
    fn debug_regs(&mut self) -> Result<kvm_debugregs, VcpuError>;
    /// KVM_SET_DEBUGREGS.
    fn set_debug_regs(&mut self, regs: &kvm_debugregs) -> Result<(), VcpuError>;
    /// KVM_GET_MSRS for `indices`, in their order.
    fn msrs(&self, indices: &[u32]) -> Result<Vec<Msr>, VcpuError>;
    /// KVM_SET_MSRS, in order.
    fn set_msrs(&mut self, msrs: &[Msr]) -> Result<(), VcpuError>;
    /// KVM_GET_XSAVE2, or KVM_GET_XSAVE where it does not exist.
    fn xsave(&self) -> Result<Xsave, VcpuError>;
    /// KVM_SET_XSAVE.
    fn set_xsave(&mut self, xsave: &Xsave) -> Result<(), VcpuError>;
    /// KVM_GET_XCRS.
    fn xcrs(&self) -> Result<kvm_xcrs, VcpuError>;
    /// KVM_SET_XCRS.
    fn set_xcrs(&mut self, xcrs: &kvm_xcrs) -> Result<(), VcpuError>;
    /// KVM_GET_VCPU_EVENTS. Delivers a pending payload early where the capability is off.
    fn events(&mut self) -> Result<kvm_vcpu_events, VcpuError>;
    /// KVM_SET_VCPU_EVENTS.
    fn set_events(&mut self, events: &kvm_vcpu_events) -> Result<(), VcpuError>;
    /// KVM_GET_MP_STATE.
    fn mp_state(&self) -> Result<kvm_mp_state, VcpuError>;
    /// KVM_SET_MP_STATE.
    fn set_mp_state(&mut self, state: kvm_mp_state) -> Result<(), VcpuError>;

    /// KVM_GET_TSC_KHZ: the rate of the guest's TSC in kHz; `None` where the machine has no such rate.
    fn tsc_khz(&self) -> Result<Option<u32>, VcpuError>;
    /// KVM_SET_TSC_KHZ.
    fn set_tsc_khz(&mut self, rate: u32) -> Result<(), VcpuError>;
    /// KVM_GET_CPUID2.
    fn cpuid(&self) -> Result<Vec<kvm_cpuid_entry2>, VcpuError>;

    /// Size of guest memory in bytes.
    fn memory_size(&self) -> u64;
    /// Copies guest-physical memory at `address` out, whatever the guest is allowed.
    fn read_memory(&self, address: u64, bytes: &mut [u8]) -> Result<(), VcpuError>;
    /// Copies `bytes` into guest-physical memory at `address`, whatever the guest is allowed.
    fn write_memory(&mut self, address: u64, bytes: &[u8]) -> Result<(), VcpuError>;
    /// All of guest memory, for [`load_memory`](Self::load_memory); cheap where pages can be shared.
    fn save_memory(&self) -> Result<MemoryImage, VcpuError>;
    /// Replaces all of guest memory.
    fn load_memory(&mut self, image: &MemoryImage) -> Result<(), VcpuError>;
    /// The memory accesses of event deliveries, where the machine can count and refuse each: no KVM
    /// can, the model does.
    fn delivery_accesses(&mut self) -> Option<&mut dyn DeliveryAccesses> {
        None
    }
    /// Changes what the page at guest-physical `address` (a multiple of 4096) allows the guest. At
    /// most one page at a time allows less than everything.
    fn set_page_access(&mut self, address: u64, access: PageAccess) -> Result<(), VcpuError>;
    /// Takes the page at guest-physical `address` away from the guest's mapping, contents kept: the
    /// next guest access leaves the guest, and the kernel maps the page again by itself
    /// (MADV_DONTNEED).
    fn evict(&mut self, address: u64) -> Result<(), VcpuError>;
    /// Whether the page at guest-physical `address` is in the guest's mapping: after an
    /// [`evict`](Self::evict), whether the guest has met its absence since.
    fn is_resident(&self, address: u64) -> Result<bool, VcpuError>;
    /// The dirty ring of a [`VmKind::DirtyRing`].
    fn dirty_ring(&mut self) -> Option<&mut dyn DirtyRing> {
        None
    }
}

/// The ring in which the guest's writes are logged, a page at a time.
///
/// # Errors
/// Every method returns [`VcpuError`] when the ioctl behind it fails.
pub trait DirtyRing {
    /// Takes the oldest `count` pages out, or all that there are, and logs the next write to each of
    /// them again: KVM_RESET_DIRTY_RINGS.
    fn harvest(&mut self, count: u32) -> Result<(), VcpuError>;
    /// Logs the next write to every page again without taking anything out.
    fn restart_log(&mut self) -> Result<(), VcpuError>;
    /// Whether the page at guest-physical `address` is in the ring.
    fn holds(&self, address: u64) -> bool;
}

/// The memory accesses of event deliveries: page-walk reads, accessed and dirty updates, descriptor
/// and TSS reads, frame stores.
pub trait DeliveryAccesses {
    /// Refuses the `n`-th access (from 0) of the next delivery, once.
    fn refuse(&mut self, n: u64);
}

/// Guest memory as pages that several snapshots and machines can share. `None` is a page of zeros.
#[derive(Clone, Debug, Default)]
pub struct MemoryImage {
    /// Page `n` is guest-physical `n * 4096`.
    pub pages: Vec<Option<std::sync::Arc<[u8; PAGE]>>>,
}

/// Size of a page in bytes.
pub const PAGE: usize = 4096;
