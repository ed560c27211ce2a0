//! What goes first when several events wait.

use super::{Guest, run_to_halt, top, vm};
use crate::guest::CODE;
use model::hypervisor::behaviour::CORRECT;
use model::hypervisor::queue::QueuedException;
use vm::{Exit, Registers, RunMode, Vcpu};

/// `vmx_nmi_blocked`: neither after STI nor after MOV SS.
#[test]
fn an_nmi_waits_for_the_instruction_after_sti_or_mov_ss() {
    for (sti, mov_ss, rip) in [(false, false, CODE), (true, false, CODE + 1), (false, true, CODE + 1)] {
        let mut vm = vm(Guest::fred().with_bytes(&[0x90, 0x90]), &CORRECT);
        (vm.processor.sti_blocking, vm.processor.mov_ss_blocking) = (sti, mov_ss);
        vm.nmi().unwrap();
        run_to_halt(&mut vm);
        let frame = top(&vm);
        assert_eq!((frame[1], frame[5]), (rip, 0x0202_0002_0004_0010), "STI {sti}, MOV SS {mov_ss}");
    }
}

#[test]
fn an_nmi_waits_while_nmis_are_blocked() {
    let mut vm = vm(Guest::fred().with_bytes(&[0x90, 0x90]), &CORRECT);
    vm.processor.nmi_blocking = true;
    vm.nmi().unwrap();
    run_to_halt(&mut vm);
    assert_eq!((vm.processor.rip, vm.queue.nmi_pending), (CODE + 3, 1), "at the program's own HLT");
}

/// `kvm_check_and_inject_events`: a pending exception does not wait for an injected interrupt or NMI,
/// but replaces it.
#[test]
fn a_pending_exception_goes_before_an_interrupt_and_an_nmi() {
    for nmi in [false, true] {
        let mut vm = vm(Guest::fred().with_bytes(&[0x90]), &CORRECT);
        if nmi {
            vm.queue.nmi_injected = true;
        } else {
            vm.interrupt(0x40).unwrap();
        }
        vm.queue.exception = Some(QueuedException::pending(13, Some(0x18), None));
        run_to_halt(&mut vm);
        let frame = top(&vm);
        assert_eq!((frame[0], frame[1], frame[5]), (0x18, CODE, 0x0203_000D_0000_0010));
        assert_eq!((vm.queue.interrupt, vm.queue.nmi_injected), (None, false));
        assert_eq!(vm.processor.gpr[4], 0x18_0000 - 64, "one frame");
    }
}

/// A pending NMI waits for the first instruction of the exception's handler.
#[test]
fn a_waiting_nmi_comes_after_the_exception() {
    let mut vm = vm(Guest::fred().with_bytes(&[0x0F, 0x0B]), &CORRECT);
    vm.queue.exception = Some(QueuedException::pending(13, Some(0), None));
    vm.nmi().unwrap();
    run_to_halt(&mut vm);
    let frame = top(&vm);
    assert_eq!((frame[1], frame[5]), (0xA100, 0x0202_0002_0004_0010));
}

/// KVM_SET_SREGS queues the interrupt that its bitmap names. An empty bitmap cancels nothing.
#[test]
fn an_empty_interrupt_bitmap_leaves_the_queued_interrupt() {
    let mut vm = vm(Guest::fred().with_bytes(&[0x90]), &CORRECT);
    let mut sregs = vm.sregs().unwrap();
    assert_eq!(sregs.interrupt_bitmap, [0; 4]);
    vm.interrupt(0x40).unwrap();
    vm.set_sregs(&sregs).unwrap();
    assert_eq!(vm.queue.interrupt, Some(0x40));
    assert_eq!(vm.sregs().unwrap().interrupt_bitmap, [0, 1, 0, 0]);
    sregs.interrupt_bitmap = [0, 0, 1 << 63, 1];
    vm.set_sregs(&sregs).unwrap();
    assert_eq!(vm.queue.interrupt, Some(0xBF), "the lowest vector");
}

/// An entry that is cancelled has replaced the interrupt with the exception, as any entry does.
#[test]
fn a_cancelled_injection_keeps_the_exception() {
    let mut vm = vm(Guest::fred().with_bytes(&[0x90]), &CORRECT);
    vm.queue.exception = Some(QueuedException::pending(1, None, Some(0x4000)));
    assert_eq!(vm.run(RunMode::SignalPending), Ok(Exit::Interrupted));
    let events = vm.events().unwrap();
    assert_eq!((events.exception.injected, events.exception.pending, events.exception.nr), (1, 0, 1));
    run_to_halt(&mut vm);
    assert_eq!(top(&vm)[6], 0x4000);
}
