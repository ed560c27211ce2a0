//! The hypervisor layer: events in flight, handled the way KVM handles them.
//!
//! One [`Vm`] is a processor, its memory and KVM's event queue, behind calls shaped like KVM's
//! ioctls. An exception is *queued* as pending, *injected* at the next entry, *requeued* when an
//! exit interrupts its delivery, *cancelled* when an entry is abandoned, and carried by
//! `kvm_vcpu_events` to another VM. At each of these places the proposals of the KVM mailing list
//! differ in what becomes of the event data: a [`Behaviour`] says how. Nothing below this module
//! knows of behaviours.
//!
//! | module | KVM's counterpart |
//! |---|---|
//! | [`queue`] | `struct kvm_queued_exception` and its neighbours in `kvm_vcpu_arch` |
//! | [`behaviour`] | the places where the proposals differ, and the proposals |
//! | [`inject`] | `kvm_check_and_inject_events`, `vmx_inject_exception`, `vmx_complete_interrupts`, `vmx_cancel_injection` |
//! | [`events`] | KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS |
//! | [`registers`] | the other GET and SET ioctls |
//! | [`run`] | KVM_RUN |
//! | [`second_stage`] | `kvm_mmu_page_fault`, memory slots, the dirty ring |
//! | [`story`] | nothing: what `midflight trace` prints |
//! | [`io`] | `complete_userspace_io` |

pub mod behaviour;
pub mod events;
pub mod inject;
pub mod io;
pub mod queue;
pub mod registers;
pub mod run;
pub mod second_stage;
pub mod story;
mod xsave;

use crate::cpu::cache::DecodeCache;
use crate::cpuid::CpuidTable;
use crate::memory::Memory;
use crate::processor::Processor;
pub use behaviour::Behaviour;
use queue::Queue;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

/// A virtual machine with one vCPU.
#[derive(Debug)]
pub struct Vm {
    /// The guest's processor.
    pub processor: Processor,
    /// Guest memory and its second stage.
    pub memory: Memory,
    /// Events in flight.
    pub queue: Queue,
    behaviour: &'static Behaviour,
    /// INJECTED_EVENT_DATA, which keeps its value from one injection to the next.
    injected_event_data: u64,
    /// The event data that an exception in the queue last had: the series' `event_data` of
    /// `struct kvm_queued_exception`.
    last_event_data: u64,
    /// What ORIGINAL_EVENT_DATA last held.
    last_original_data: u64,
    /// KVM_CAP_EXCEPTION_PAYLOAD.
    exception_payload: bool,
    /// `request_interrupt_window` of `struct kvm_run`.
    interrupt_window: bool,
    /// An exit for I/O that the next KVM_RUN completes.
    pending_io: Option<io::PendingIo>,
    deadline: Option<Instant>,
    exits: u64,
    /// The page that refuses the guest, and why.
    refused: Option<(u64, second_stage::Refusal)>,
    dirty_ring: Option<second_stage::DirtyRing>,
    decoded: Option<SharedDecoded>,
    story: Option<story::Story>,
    /// Since the story was begun.
    handler_entered: bool,
}

/// Decoded instructions that several VMs of one thread share: forks of one snapshot execute the same
/// pages, and a page is decoded once for all of them. A page that one of them writes is its own from
/// then on, so that nothing shared can be stale for another.
#[derive(Clone, Debug, Default)]
pub struct SharedDecoded(Rc<RefCell<DecodeCache>>);

impl Vm {
    /// Shares decoded instructions with other VMs.
    pub fn share_decoded(&mut self, decoded: &SharedDecoded) {
        self.decoded = Some(decoded.clone());
    }

    /// Takes the shared instructions for a run, or gives them back.
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
            exits: 0,
            refused: None,
            dirty_ring: None,
            decoded: None,
            story: None,
            handler_entered: false,
        }
    }

    /// From now on [`run`](Self::run) returns [`run::Return::Deadline`] once `at` has passed.
    pub fn set_deadline(&mut self, at: Instant) {
        self.deadline = Some(at);
    }

    /// How often the guest has been entered and left.
    pub fn exits(&self) -> u64 {
        self.exits
    }

    /// Replaces all of guest memory. Nothing refuses the guest any more, nothing is mapped yet, and a
    /// dirty ring starts empty.
    pub fn replace_memory(&mut self, memory: Memory) {
        self.memory = memory;
        self.memory.zap_all();
        self.refused = None;
        if self.dirty_ring.is_some() {
            self.log_dirty_pages();
        }
    }

    /// KVM_NMI: `process_nmi` lets one NMI wait behind one that is blocked or on its way, and else two.
    pub fn nmi(&mut self) {
        if !self.behaviour.takes_nmis {
            return;
        }
        let limit = if self.processor.nmi_blocking || self.queue.nmi_injected { 1 } else { 2 };
        self.queue.nmi_pending = (self.queue.nmi_pending + 1).min(limit);
    }

    /// KVM_INTERRUPT without an interrupt controller in the kernel: the next entry injects it, and
    /// whether the guest can take it is user space's to know.
    pub fn interrupt(&mut self, vector: u8) {
        if self.behaviour.takes_interrupts {
            self.queue.interrupt = Some(vector);
        }
    }

    /// From now on [`run`](Self::run) returns, or does not, [`run::Return::InterruptWindow`] as soon
    /// as the guest can take an interrupt.
    pub fn request_interrupt_window(&mut self, wanted: bool) {
        self.interrupt_window = wanted;
    }
}
