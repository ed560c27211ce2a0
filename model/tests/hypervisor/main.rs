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

use guest::{Guest, NEXT};
use model::hypervisor::behaviour::by_name;
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

/// A guest that reads a page that is not present.
fn page_fault() -> Guest {
    Guest::fred().with_bytes(&[0xA1, 0, 0x10, 0x19, 0, 0, 0, 0, 0]).without(NEXT)
}

/// A guest that steps over a NOP.
fn single_step() -> Guest {
    Guest::fred().with_bytes(&[0x90]).stepping()
}

/// A VM that holds the guest, with the behaviour of a name.
fn named(guest: Guest, behaviour: &str) -> Vm {
    vm(guest, by_name(behaviour).unwrap())
}

/// Stops a delivery at the push of its frame to `stack`.
fn stop_at_push(vm: &mut Vm, stack: u64) {
    vm.memory.block(stack - 64);
    assert!(matches!(vm.run(RunMode::Normal), Ok(Exit::Fault { .. })));
}

/// Lets the delivery that was stopped there go on, to its handler's HLT.
fn go_on_at_push(vm: &mut Vm, stack: u64) {
    vm.memory.unblock(stack - 64);
    run_to_halt(vm);
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
