//! The hypervisor layer: events in flight, handled the way KVM handles them.
//!
//! One [`Vm`] is a processor, its memory and KVM's event queue: a [`vm::Vcpu`]. An exception is *queued* as
//! pending, *injected* at the next entry, *requeued* when an exit interrupts its delivery, *cancelled* when
//! the entry does not take place, and carried by `kvm_vcpu_events` to another VM. At each of these places the proposals of the KVM mailing list
//! treat the event data differently: a [`Behaviour`] says how. Nothing below this module
//! knows behaviours.
//!
//! | module | KVM's counterpart |
//! |---|---|
//! | [`machine`] | /dev/kvm |
//! | [`queue`] | `struct kvm_queued_exception` and the other queues in `kvm_vcpu_arch` |
//! | [`behaviour`] | the places where the proposals differ, and the proposals |
//! | [`inject`] | `kvm_check_and_inject_events`, `vmx_inject_exception`, `vmx_complete_interrupts`, `vmx_cancel_injection` |
//! | [`events`] | KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS |
//! | [`registers`] | the other GET and SET ioctls |
//! | [`run`] | KVM_RUN |
//! | [`clock`] | the host's clock |
//! | [`second_stage`] | `kvm_mmu_page_fault`, memory slots, the dirty ring |
//! | [`trace`], `tracepoints` | nothing: what `midflight trace` prints |
//! | [`io`] | `complete_userspace_io` |

pub mod behaviour;
pub mod clock;
pub mod events;
pub mod inject;
pub mod io;
pub mod machine;
pub mod queue;
pub mod registers;
pub mod run;
pub mod second_stage;
pub mod trace;
mod tracepoints;
mod xsave;

use crate::cpu::cache::DecodeCache;
use crate::cpuid::CpuidTable;
use crate::memory::Memory;
use crate::processor::Processor;
pub use behaviour::Behaviour;
use queue::Queue;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;
use vm::{PageAccess, VcpuError};

/// A virtual machine with one vCPU.
#[derive(Debug)]
pub struct Vm {
    /// The guest's processor.
    pub processor: Processor,
    /// Guest memory and its second-stage page tables.
    pub memory: Memory,
    /// Events in flight.
    pub queue: Queue,
    behaviour: &'static Behaviour,
    /// INJECTED_EVENT_DATA, which keeps its value from one injection to the next.
    injected_event_data: u64,
    /// The event data that an exception in the queue last had: the series' `event_data` of
    /// `struct kvm_queued_exception`.
    last_event_data: u64,
    /// The last value of ORIGINAL_EVENT_DATA.
    last_original_data: u64,
    /// KVM_CAP_EXCEPTION_PAYLOAD.
    exception_payload: bool,
    /// `request_interrupt_window` of `struct kvm_run`.
    interrupt_window: bool,
    /// An exit for I/O that the next KVM_RUN completes.
    pending_io: Option<PendingIo>,
    deadline: Option<Instant>,
    clock: clock::Clock,
    /// The page whose access is restricted, and what it allows.
    refused: Option<(u64, PageAccess)>,
    /// The dirty ring: pages that the guest has written, oldest first.
    dirty_log: Option<VecDeque<u64>>,
    decoded: Option<SharedDecoded>,
    trace: Option<trace::Trace>,
    /// Since the trace began.
    handler_entered: bool,
}

/// An I/O instruction that user space has been asked to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingIo {
    /// Port.
    pub port: u16,
    /// Bytes of one item: 1, 2 or 4.
    pub size: u8,
    /// IN or INS.
    pub input: bool,
    /// INS or OUTS.
    pub string: bool,
    /// With a REP prefix.
    pub rep: bool,
    /// Length of the instruction in bytes.
    pub length: u8,
    /// What an IN or INS reads, filled in by user space; all ones until then.
    pub data: Vec<u8>,
}

/// Decoded instructions that several VMs of one thread share: forks of one snapshot execute the same
/// pages, and a page is decoded once for all of them. A page that one of them writes is no longer
/// shared, so nothing shared can be stale for another.
#[derive(Clone, Debug, Default)]
pub struct SharedDecoded(Rc<RefCell<DecodeCache>>);

impl Vm {
    /// Shares decoded instructions with other VMs.
    pub fn share_decoded(&mut self, decoded: &SharedDecoded) {
        self.decoded = Some(decoded.clone());
    }

    /// Exchanges the processor's decoded instructions with the shared ones, before and after a run.
    fn swap_decoded(&mut self) {
        if let Some(SharedDecoded(shared)) = &self.decoded {
            std::mem::swap(&mut self.processor.cache, &mut shared.borrow_mut());
        }
    }
    /// A VM with `memory_size` bytes of memory and a processor in its reset state.
    pub fn new(
        memory_size: u64,
        cpuid: CpuidTable,
        behaviour: &'static Behaviour,
        exception_payload: bool,
    ) -> Self {
        let mut memory = Memory::new(memory_size);
        memory.zap_all();
        Self {
            processor: Processor::new(cpuid),
            memory,
            queue: Queue::default(),
            behaviour,
            injected_event_data: 0,
            last_event_data: 0,
            last_original_data: 0,
            exception_payload,
            interrupt_window: false,
            pending_io: None,
            deadline: None,
            clock: clock::Clock::default(),
            refused: None,
            dirty_log: None,
            decoded: None,
            trace: None,
            handler_entered: false,
        }
    }
}

/// KVM's answer to invalid arguments.
fn invalid(call: &'static str) -> VcpuError {
    const EINVAL: i32 = 22;
    VcpuError::Call { call, errno: EINVAL, message: "Invalid argument".to_owned(), advice: "" }
}
