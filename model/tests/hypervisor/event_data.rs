//! INJECTED_EVENT_DATA keeps its value, and the processor pushes it for every event that is injected:
//! what each proposal writes there, and what remains where it writes nothing.

use super::{go_on_at_push, named, page_fault, run_to_halt, single_step, stop_at_push, top};
use crate::guest::{CODE, DATA, NEXT, PF, PT, STACK, UD};
use model::hypervisor::Vm;
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
    stopped_once(named(page_fault(), behaviour))
}

/// The same, of a single step, which is intercepted and so injected from the first.
fn after_single_step(behaviour: &str) -> Vm {
    stopped_once(named(single_step(), behaviour))
}

fn stopped_once(mut vm: Vm) -> Vm {
    stop_at_push(&mut vm, STACK);
    go_on_at_push(&mut vm, STACK);
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

    let mut nmi = make();
    go_on(&mut nmi, &[0x90, 0xF4]);
    nmi.nmi().unwrap();
    run_to_halt(&mut nmi);

    let mut int_n = make();
    go_on(&mut int_n, &[0xCD, 0x1F, 0xF4]);
    stop_at_push(&mut int_n, SECOND_STACK);
    go_on_at_push(&mut int_n, SECOND_STACK);

    let frames = [interrupt, nmi, int_n].map(|vm| top(&vm));
    let slots = [0x0200_0040_0000_0010, 0x0202_0002_0004_0010, 0x2204_001F_0002_0010];
    assert_eq!(frames.map(|frame| frame[5]), slots);
    frames.map(|frame| frame[6])
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
    assert_eq!((top(&vm)[5], event_data(&vm)), (UD, STEP), "#UD");

    let mut vm = after_single_step(literal);
    go_on(&mut vm, &[0xA1, 0, 0x10, 0x19, 0, 0, 0, 0, 0]);
    vm.memory.write(PT + (NEXT >> 12) * 8, &6u64.to_le_bytes()).unwrap();
    stop_at_push(&mut vm, SECOND_STACK);
    go_on_at_push(&mut vm, SECOND_STACK);
    assert_eq!((top(&vm)[5], event_data(&vm)), (PF, STEP), "#PF");

    assert_eq!(events_without_data(|| after_single_step(literal)), [STEP; 3]);
}

/// The same without any stop: #DB, then #UD, both intercepted.
#[test]
fn payload_reuse_taken_literally_leaves_db_data_to_ud() {
    for (behaviour, left) in [("payload-reuse-literal", STEP), ("v9", STEP), ("payload-reuse", 0)] {
        let mut vm = named(single_step(), behaviour);
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
    let mut vm = named(single_step(), "payload-reuse-literal");
    stop_at_push(&mut vm, STACK);
    assert_eq!(vm.run(RunMode::SignalPending), Ok(Exit::Interrupted));
    assert_eq!(vm.queue.exception.unwrap().data, None);
    go_on_at_push(&mut vm, STACK);
    assert_eq!(event_data(&vm), STEP);
}
