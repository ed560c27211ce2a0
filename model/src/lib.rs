//! A software machine: an x86-64 processor with FRED, exact in how it delivers events, under a hypervisor
//! layer that handles events in flight the way KVM does, or wrongly on purpose.
//!
//! It is a [`vm::Machine`], and knows neither images nor scenarios nor how a stop is used. An instruction that
//! it does not know ends a run with its text and address: there is never a silent wrong result.
//! Begin at [`ModelMachine`]; the processor alone is [`processor::Processor`].
//!
//! ```
//! use model::{ModelMachine, hypervisor::behaviour::CORRECT};
//! use vm::{Exit, Machine, RunMode, VmConfig, VmKind};
//!
//! # fn main() -> Result<(), vm::VcpuError> {
//! let machine = ModelMachine::new(&CORRECT);
//! let cpuid = machine.cpuid().to_vec();
//! let config = VmConfig { memory_size: 0x2000, cpuid, exception_payload: true, kind: VmKind::Plain };
//! let mut guest = machine.create(&config)?;
//! // HLT, where a fresh processor begins once CS is at 0.
//! let (mut sregs, regs) = (guest.sregs()?, guest.regs()?);
//! sregs.cs.base = 0x1000_u64.wrapping_sub(regs.rip);
//! guest.set_sregs(&sregs)?;
//! guest.write_memory(0x1000, &[0xF4])?;
//! assert_eq!(guest.run(RunMode::Normal)?, Exit::Halt);
//! # Ok(())
//! # }
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`hypervisor`] | KVM's treatment of events in flight, and its [`behaviours`](hypervisor::behaviour) |
//! | [`processor`] | the processor's state, [`processor::Processor::enter`], entries and exits |
//! | [`event`] | events as VM entries and exits carry them |
//! | [`memory`] | guest-physical memory and the second-stage page tables, which can refuse an access |
//! | [`cpuid`] | what the processor says it is |
//! | [`msr`] | RDMSR and WRMSR |
//! | [`xstate`] | extended state |

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
