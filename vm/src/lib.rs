//! A virtual machine as this project sees it: one VM with one vCPU, as KVM's uAPI shows it.
//!
//! Everything that stops a guest, saves it, restores it or compares it is written once, above the two
//! traits of this crate. The crate `kvm` implements them by ioctls, the model by its hypervisor layer,
//! with the same structures of `linux/kvm.h`: what the uAPI cannot carry is lost on both.
//!
//! | module | holds |
//! |---|---|
//! | [`vcpu`] | [`Vcpu`]: a virtual machine that can be run |
//! | [`registers`] | [`Registers`]: what KVM_GET_* and KVM_SET_* carry |
//! | [`memory`] | [`GuestMemory`], [`PageAccess`], the dirty ring |
//! | [`msr`] | the one table of MSRs |
//! | [`exit`] | [`RunMode`] and [`Exit`]: how KVM_RUN is entered, and why it returned |
//! | [`machine`] | [`Machine`]: what creates virtual machines, and their configuration |
//! | [`mod@cpuid`] | what a guest's CPUID answers |
//! | [`error`], [`refusal`], [`blame`] | why a call failed, which field was the cause, and who is to blame |
//! | [`state`] | save, restore, compare, and what the uAPI loses |
//! | [`overlay`] | fields of `kvm_vcpu_events` that no released kernel has |
//! | [`explain`] | the event queue, and what KVM did, in words |
//! | [`difference`] | a field that differs from what was expected |
//!
//! It knows neither images nor scenarios, and creates no VM. Begin at [`Vcpu`].
//!
//! ```
//! use vm::{Exit, RunMode, Vcpu, VcpuError};
//!
//! /// Runs a guest until it halts.
//! fn run_until_halt(guest: &mut dyn Vcpu) -> Result<(), VcpuError> {
//!     while guest.run(RunMode::Normal)? != Exit::Halt {}
//!     Ok(())
//! }
//! ```

#![forbid(unsafe_code)]

pub mod blame;
pub mod cpuid;
pub mod difference;
pub mod error;
pub mod exit;
pub mod explain;
pub mod machine;
pub mod memory;
pub mod msr;
pub mod overlay;
pub mod refusal;
pub mod registers;
pub mod state;
pub mod vcpu;

pub use blame::Blame;
pub use difference::{Difference, Value};
pub use error::VcpuError;
pub use exit::{Exit, RunMode};
pub use machine::{Machine, VmConfig, VmKind};
pub use memory::{DeliveryAccesses, DirtyRing, GuestMemory, MemoryImage, PAGE, PageAccess};
pub use registers::{Msr, Registers, Xsave};
pub use vcpu::Vcpu;
