//! INJECTED_EVENT_DATA keeps its value, and the processor pushes it for every event that is injected:
//! what each proposal writes there, and what remains where it writes nothing.

use super::{Guest, run_to_halt, top, vm};
use crate::guest::{CODE, DATA, NEXT, STACK};
use model::hypervisor::Vm;
use model::hypervisor::behaviour::by_name;
use vm::{Exit, RunMode, Vcpu};

/// The address of the page fault, and so its event data.
pub(super) const ADDRESS: u64 = DATA + 0x1000;
/// Event data of a single step.
const STEP: u64 = 0x4000;
/// A page of instructions that nothing has run yet, and a stack for them.
const SECOND: u64 = DATA + 0x2000;
pub(super) const SECOND_STACK: u64 = DATA + 0x5000;

/// A guest whose #PF was interrupted at the push, requeued, and delivered.
fn after_page_fault(behaviour: &str) -> Vm {
    let mut g = Guest::fred().with_bytes(&[0xA1, 0, 0x10, 0x19, 0, 0, 0, 0, 0]);
    g.map(NEXT, 6);
    stopped_once(g, behaviour, STACK)
}

/// The same, of a single step, which is intercepted and so injected from the first.
fn after_single_step(behaviour: &str) -> Vm {
    let mut g = Guest::fred().with_bytes(&[0x90]);
    g.cpu.rflags |= 0x100;
    stopped_once(g, behaviour, STACK)
}

fn stopped_once(g: Guest, behaviour: &str, stack: u64) -> Vm {
    let mut vm = vm(g, by_name(behaviour).unwrap());
    vm.memory.block(stack - 64);
    assert!(matches!(vm.run(RunMode::Normal), Ok(Exit::Fault { .. })), "{behaviour}");
    vm.memory.unblock(stack - 64);
    run_to_halt(&mut vm);
    vm
}

/// Leaves the handler and continues at SECOND, which holds `bytes`.
pub(super) fn go_on(vm: &mut Vm, bytes: &[u8]) {
    vm.memory.write(SECOND, bytes).unwrap();
    let cpu = &mut vm.processor;
    (cpu.rip, cpu.gpr[4], cpu.rflags, cpu.halted) = (SECOND, SECOND_STACK, 2, false);
    cpu.msrs.fred.config &= !3;
}

/// Event data of the frame at the stack pointer.
pub(super) fn event_data(vm: &Vm) -> u64 {
    top(vm)[6]
}

/// Delivers an interrupt, an NMI, and an INT n whose delivery is interrupted, each in a new
/// guest; returns their event data.
fn events_without_data(make: impl Fn() -> Vm) -> [u64; 3] {
    let mut interrupt = make();
    go_on(&mut interrupt, &[0x90, 0xF4]);
    interrupt.interrupt(0x40).unwrap();
    run_to_halt(&mut interrupt);
    assert_eq!(top(&interrupt)[5], 0x0200_0040_0000_0010);

    let mut nmi = make();
    go_on(&mut nmi, &[0x90, 0xF4]);
    nmi.nmi().unwrap();
    run_to_halt(&mut nmi);
    assert_eq!(top(&nmi)[5], 0x0202_0002_0004_0010);

    let mut int_n = make();
    go_on(&mut int_n, &[0xCD, 0x1F, 0xF4]);
    int_n.memory.block(SECOND_STACK - 64);
    assert!(matches!(int_n.run(RunMode::Normal), Ok(Exit::Fault { .. })));
    int_n.memory.unblock(SECOND_STACK - 64);
    run_to_halt(&mut int_n);
    assert_eq!(top(&int_n)[5], 0x2204_001F_0002_0010);

    [interrupt, nmi, int_n].map(|vm| event_data(&vm))
}

/// `vmx_inject_irq` and `vmx_inject_nmi` of the series write no event data. Its `vmx_inject_exception`
/// does, so that what is left is the last exception's.
#[test]
fn an_interrupt_an_nmi_and_int_n_carry_the_last_exceptions_data_under_v9() {
    for (behaviour, left) in [
        ("v9", ADDRESS),
        ("v9-nested-off", ADDRESS),
        ("stale-interrupt-data", ADDRESS),
        ("stale-event-data", 0),
        ("kernel-only-event-data", 0),
        ("payload-reuse", 0),
        ("uapi-event-data", 0),
    ] {
        assert_eq!(events_without_data(|| after_page_fault(behaviour)), [left; 3], "{behaviour}");
    }
}

/// An uninterrupted INT n is delivered by the processor, not injected.
#[test]
fn an_int_n_that_is_not_injected_has_no_event_data() {
    let mut vm = after_page_fault("v9");
    go_on(&mut vm, &[0xCD, 0x1F, 0xF4]);
    run_to_halt(&mut vm);
    assert_eq!((top(&vm)[5], event_data(&vm)), (0x2204_001F_0002_0010, 0));
}

/// `if (ex->has_payload)` before the write: an exception without a payload after the requeue is injected with
/// the field's old value, which is its own data by accident, or 0, or another event's.
#[test]
fn payload_reuse_taken_literally_writes_what_has_its_payload() {
    let literal = "payload-reuse-literal";
    assert_eq!(event_data(&after_single_step(literal)), STEP, "the field still holds it");
    assert_eq!(event_data(&after_page_fault(literal)), 0, "no exception before it");

    let mut vm = after_single_step(literal);
    go_on(&mut vm, &[0x0F, 0x0B]);
    run_to_halt(&mut vm);
    assert_eq!((top(&vm)[5], event_data(&vm)), (0x0203_0006_0000_0010, STEP), "#UD");

    let mut vm = after_single_step(literal);
    go_on(&mut vm, &[0xA1, 0, 0x10, 0x19, 0, 0, 0, 0, 0]);
    let entry = crate::guest::PT + (NEXT >> 12) * 8;
    vm.memory.write(entry, &6u64.to_le_bytes()).unwrap();
    vm.memory.block(SECOND_STACK - 64);
    assert!(matches!(vm.run(RunMode::Normal), Ok(Exit::Fault { .. })));
    vm.memory.unblock(SECOND_STACK - 64);
    run_to_halt(&mut vm);
    assert_eq!((top(&vm)[5], event_data(&vm)), (0x0203_000E_0000_0010, STEP), "#PF");

    assert_eq!(events_without_data(|| after_single_step(literal)), [STEP; 3]);
}

/// The same without any stop: #DB, then #UD, both intercepted.
#[test]
fn payload_reuse_taken_literally_leaves_db_data_to_ud() {
    for (behaviour, left) in [("payload-reuse-literal", STEP), ("v9", STEP), ("payload-reuse", 0)] {
        let mut g = Guest::fred().with_bytes(&[0x90]);
        g.cpu.rflags |= 0x100;
        let mut vm = vm(g, by_name(behaviour).unwrap());
        run_to_halt(&mut vm);
        assert_eq!((top(&vm)[1], event_data(&vm)), (CODE + 1, STEP), "{behaviour}");
        go_on(&mut vm, &[0x0F, 0x0B]);
        run_to_halt(&mut vm);
        assert_eq!(event_data(&vm), left, "{behaviour}");
    }
}

/// A cancelled injection consumes the payload as well. The VMCS field still holds the right value.
#[test]
fn payload_reuse_taken_literally_survives_a_cancelled_injection_by_accident() {
    let mut g = Guest::fred().with_bytes(&[0x90]);
    g.cpu.rflags |= 0x100;
    let mut vm = vm(g, by_name("payload-reuse-literal").unwrap());
    vm.memory.block(STACK - 64);
    assert!(matches!(vm.run(RunMode::Normal), Ok(Exit::Fault { .. })));
    assert_eq!(vm.run(RunMode::SignalPending), Ok(Exit::Interrupted));
    assert_eq!(vm.queue.exception.unwrap().data, None);
    vm.memory.unblock(STACK - 64);
    run_to_halt(&mut vm);
    assert_eq!(event_data(&vm), STEP);
}
