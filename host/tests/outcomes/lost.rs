//! Events and writes that the machine loses: the probe finds nothing, and the scenarios fail.

use crate::faulty::Fault;
use crate::{fails_with, is_probed_whole, run};
use model::ModelMachine;
use vm::{DirtyRing, Exit, Machine, RunMode, Vcpu, VcpuError, VmConfig, VmKind};

/// The event that an abandoned entry was to inject is lost.
struct ForgetsCancelled;

impl Fault for ForgetsCancelled {
    fn run(&self, vcpu: &mut dyn Vcpu, mode: RunMode) -> Result<Exit, VcpuError> {
        let exit = vcpu.run(mode)?;
        if mode == RunMode::SignalPending {
            let mut events = vcpu.events()?;
            (events.exception.injected, events.exception.pending) = (0, 0);
            vcpu.set_events(&events)?;
        }
        Ok(exit)
    }
}

#[test]
fn an_event_that_is_lost_when_its_entry_is_abandoned_fails() {
    let words = ["the event that it was to inject is gone from the queue"];
    fails_with(run(ForgetsCancelled, "pf/read-unmapped:fred:cancel:resume"), &words);
}

/// KVM_NMI returns 0 and is forgotten.
struct LosesNmi;

impl Fault for LosesNmi {
    fn nmi(&self, _: &mut dyn Vcpu) -> Result<(), VcpuError> {
        Ok(())
    }
}

/// KVM_INTERRUPT returns 0 and is forgotten.
struct LosesInterrupt;

impl Fault for LosesInterrupt {
    fn interrupt(&self, _: &mut dyn Vcpu, _: u8) -> Result<(), VcpuError> {
        Ok(())
    }
}

/// No interrupt window is ever opened.
struct OpensNoWindow;

impl Fault for OpensNoWindow {
    fn request_interrupt_window(&self, _: &mut dyn Vcpu, _: bool) {}
}

/// Pages that the guest writes are never logged.
struct LogsNothing;

struct Empty;

impl DirtyRing for Empty {
    fn harvest(&mut self, _: u32) -> Result<(), VcpuError> {
        Ok(())
    }

    fn restart_log(&mut self) -> Result<(), VcpuError> {
        Ok(())
    }

    fn holds(&self, _: u64) -> bool {
        false
    }
}

impl Fault for LogsNothing {
    fn create(&self, model: &ModelMachine, config: &VmConfig) -> Result<Box<dyn Vcpu>, VcpuError> {
        model.create(&VmConfig { kind: VmKind::Plain, ..config.clone() })
    }

    fn dirty_ring<'v>(&self, _: &'v mut dyn Vcpu) -> Option<&'v mut dyn DirtyRing> {
        Some(Box::leak(Box::new(Empty)))
    }
}

#[test]
fn a_lost_nmi_fails_and_is_no_skip() {
    is_probed_whole(LosesNmi);
    // Nothing is delivered, so that nothing can be cut.
    fails_with(run(LosesNmi, "nmi/nmi:idt:block@frame:resume"), &["the case ended without meeting the stop"]);
    fails_with(run(LosesNmi, "nmi/after-pf:fred:block@frame:migrate"), &[]);
}

#[test]
fn a_lost_interrupt_fails_and_is_no_skip() {
    is_probed_whole(LosesInterrupt);
    is_probed_whole(OpensNoWindow);
    for id in ["nmi/interrupt:idt:block@frame:resume", "nmi/interrupt-after-pf:fred:block@frame:resume"] {
        fails_with(run(LosesInterrupt, id), &[]);
        fails_with(run(OpensNoWindow, id), &[]);
    }
}

#[test]
fn a_write_that_is_not_logged_fails_and_is_no_skip() {
    is_probed_whole(LogsNothing);
    let words = ["the guest wrote to the page 0x10000, and the dirty ring does not hold it"];
    fails_with(run(LogsNothing, "pf/read-unmapped:idt:ring:resume"), &words);
}
