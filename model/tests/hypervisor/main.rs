//! The queue above the processor: what is intercepted, what goes first, and what the uAPI takes.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

#[path = "../guest/mod.rs"]
mod guest;

mod event_data;
mod intercepts;
mod io_breakpoints;
mod order;
mod second_stage;
mod uapi;

use guest::Guest;
use model::hypervisor::{Behaviour, Vm};
use std::time::{Duration, Instant};
use vm::{Exit, RunMode, Vcpu};

/// A VM that holds the guest.
fn vm(guest: Guest, behaviour: &'static Behaviour) -> Vm {
    let mut vm = Vm::new(0x20_0000, guest.cpu.cpuid.clone(), behaviour, true);
    vm.processor = guest.cpu;
    vm.memory = guest.memory;
    // Whatever is wrong, it ends.
    vm.set_deadline(Instant::now() + Duration::from_secs(10));
    vm
}

/// Runs to a handler's HLT.
fn run_to_halt(vm: &mut Vm) {
    assert_eq!(vm.run(RunMode::Normal), Ok(Exit::Halt));
}

/// The eight quadwords at the stack pointer.
fn top(vm: &Vm) -> [u64; 8] {
    std::array::from_fn(|n| {
        let mut bytes = [0; 8];
        vm.memory.read(vm.processor.gpr[4] + 8 * n as u64, &mut bytes).unwrap();
        u64::from_le_bytes(bytes)
    })
}
