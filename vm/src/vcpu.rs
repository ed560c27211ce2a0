//! The KVM-shaped trait: one virtual machine with one vCPU, as KVM's uAPI shows it.
//!
//! Two implementations: real ioctls (the crate `kvm`) and the model's hypervisor layer. Everything above
//! it, stops, save and restore, devices, runs on both. The structures are those of `linux/kvm.h`, so
//! that whatever the uAPI can and cannot carry is the same question on both.

use crate::{Exit, GuestMemory, Registers, RunMode, VcpuError};
use std::time::{Duration, Instant};

/// A virtual machine with one vCPU.
///
/// # Errors
/// Every method returns [`VcpuError`] when its ioctl fails.
pub trait Vcpu: Registers + GuestMemory {
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
    /// KVM_INTERRUPT: the next entry injects it. Only directly after [`Exit::InterruptWindow`]; at any
    /// other time it takes the place of whatever is being injected.
    fn interrupt(&mut self, vector: u8) -> Result<(), VcpuError>;
    /// From now on [`run`](Self::run) returns [`Exit::InterruptWindow`] as soon as the guest can take
    /// an external interrupt, or no longer does: `request_interrupt_window`.
    fn request_interrupt_window(&mut self, wanted: bool);
}
