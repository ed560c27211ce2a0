//! A software machine: an x86-64 processor with FRED, exact in how it delivers events.
//!
//! | module | holds |
//! |---|---|
//! | [`memory`] | guest-physical memory and the second stage that can refuse an access |
//! | [`event`] | events as VM entries and exits carry them |
//! | [`processor`] | the processor's state, [`processor::Processor::enter`], entries and exits |
//! | [`cpuid`] | what the processor says it is |
//! | [`msr`] | RDMSR and WRMSR |
//! | [`xstate`] | extended state |
//!
//! An instruction that the model does not know ends an entry with its text and address; it never
//! computes a wrong result in silence.

#![forbid(unsafe_code)]

mod cpu;
pub mod cpuid;
mod debug;
mod delivery;
pub mod event;
mod exit;
pub mod hypervisor;
pub mod memory;
mod mmu;
pub mod msr;
pub mod processor;
mod segment;
mod state;
mod stop;
pub mod xstate;

pub use hypervisor::machine::ModelMachine;
