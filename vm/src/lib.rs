//! A virtual machine as this project sees it: one VM with one vCPU, as KVM's uAPI shows it.
//!
//! Everything that stops a guest, saves it, restores it or compares it is written once, above the two
//! traits of this crate. The crate `kvm` implements them by ioctls, the model by its hypervisor layer,
//! with the same structures of `linux/kvm.h`: what the uAPI cannot carry is lost on both.
//!
//! | module | holds |
//! |---|---|
//! | [`vcpu`] | the traits, what goes in and what comes out |
//! | [`machine`] | what makes virtual machines |
//! | [`state`] | save, restore, compare, and what the uAPI loses |
//! | [`overlay`] | fields of `kvm_vcpu_events` that no released kernel has |
//! | [`queue`], [`explain`] | the event queue, and what KVM did, in words |
//! | [`blame`] | whose doing a refused call, or an exit that nobody waited for, is |
//! | [`difference`] | a field that is not as it was expected |
//!
//! It knows neither images nor scenarios nor how a VM is made. Begin at [`Vcpu`].
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
pub mod difference;
pub mod explain;
pub mod machine;
pub mod overlay;
pub mod queue;
pub mod state;
pub mod vcpu;

pub use blame::Blame;
pub use difference::{Difference, Value};
pub use machine::Machine;
pub use queue::Queue;
pub use vcpu::*;
