//! KVM_RUN: how it is entered, and why it returned.

use serde::{Deserialize, Serialize};
use std::time::Duration;

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
    /// Run, and a signal comes after this time of [`Vcpu::clock`](crate::Vcpu::clock): KVM_RUN then returns
    /// [`Exit::Interrupted`] wherever the guest is.
    SignalAfter(Duration),
}

/// Why KVM_RUN returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Exit {
    /// OUT or OUTS.
    IoOut {
        /// Port.
        port: u16,
        /// Bytes of one item: 1, 2 or 4.
        size: u8,
        /// The items, one after the other.
        data: Vec<u8>,
    },
    /// IN or INS: answer with [`Vcpu::set_io_data`](crate::Vcpu::set_io_data) before the next run.
    IoIn {
        /// Port.
        port: u16,
        /// Bytes of one item: 1, 2 or 4.
        size: u8,
        /// How many items.
        count: u32,
    },
    /// An access to a guest-physical address without memory.
    Mmio {
        /// Guest-physical address.
        address: u64,
        /// Whether it is a write.
        write: bool,
    },
    /// The guest can take an external interrupt: see [`Vcpu::request_interrupt_window`](crate::Vcpu::request_interrupt_window).
    InterruptWindow,
    /// HLT.
    Halt,
    /// Triple fault.
    Shutdown,
    /// EINTR: a signal or `immediate_exit`.
    Interrupted,
    /// The deadline of [`Vcpu::set_deadline`](crate::Vcpu::set_deadline) has passed.
    Deadline,
    /// EFAULT: the host's memory refused a guest access or an access of a delivery. `gpa` is known where
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
        /// The kernel's data about it.
        #[serde(default)]
        data: Vec<u64>,
    },
    /// The model met an instruction it does not know.
    UnknownInstruction {
        /// The instruction's text.
        text: String,
        /// Its address.
        #[serde(default)]
        rip: u64,
    },
    /// KVM_EXIT_FAIL_ENTRY: the processor refused the entry.
    FailEntry {
        /// `hardware_entry_failure_reason`: see [`crate::explain::entry_failure`].
        reason: u64,
        /// The host's processor that refused it.
        #[serde(default)]
        cpu: u32,
        /// The ioctls that set something since the last entry, oldest first.
        #[serde(default)]
        set: Vec<String>,
    },
    /// KVM_EXIT_UNKNOWN: a VM exit that KVM does not handle.
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
