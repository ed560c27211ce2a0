//! KVM_RUN returns with an unexpected exit, or with the guest at an unexpected place.

use crate::faulty::Fault;
use crate::{EINVAL, ENOMEM, call, fails_with, run};
use kvm_bindings::kvm_vcpu_events;
use midflight::report::outcome::Outcome;
use midflight::report::words::reason;
use vm::{Exit, RunMode, Vcpu, VcpuError};

/// KVM_RUN ends so where an exception waits for its injection.
struct Ends(End);

type End = fn() -> Result<Exit, VcpuError>;

impl Fault for Ends {
    fn run(&self, vcpu: &mut dyn Vcpu, mode: RunMode) -> Result<Exit, VcpuError> {
        let waits = vcpu.events()?.exception.injected != 0;
        if waits && mode == RunMode::Normal { (self.0)() } else { vcpu.run(mode) }
    }
}

#[test]
fn a_refused_entry_fails_with_its_reason_and_what_was_set() {
    let ends = Ends(|| {
        let set = ["KVM_SET_REGS", "KVM_SET_VCPU_EVENTS"].map(str::to_owned).into();
        Ok(Exit::FailEntry { reason: 0x8000_0021, cpu: 3, set })
    });
    fails_with(
        run(ends, "db/single-step:fred:cancel:resume"),
        &[
            "KVM_EXIT_FAIL_ENTRY",
            "on CPU 3",
            "hardware_entry_failure_reason 0x80000021",
            "invalid guest state",
            "set before it: KVM_SET_REGS, KVM_SET_VCPU_EVENTS",
            "RFLAGS 0x102 (TF)",
            "#DB (1) pending=0 injected=1",
            "DR7 0x",
        ],
    );
}

#[test]
fn an_exit_that_nobody_waited_for_is_the_machine_s() {
    let id = "pf/read-unmapped:fred:cancel:resume";
    let failures: [(End, &str); 10] = [
        (|| Ok(Exit::Halt), "the guest came to a HLT"),
        (|| Ok(Exit::Mmio { address: 0xFEE0_0000, write: false }), "read from guest-physical 0xfee00000"),
        (|| Ok(Exit::Shutdown), "the guest was shut down"),
        (|| Ok(Exit::InterruptWindow), "KVM_EXIT_IRQ_WINDOW_OPEN"),
        (|| Ok(Exit::Fault { gpa: None }), "EFAULT"),
        (|| Ok(Exit::DirtyRingFull), "KVM_EXIT_DIRTY_RING_FULL"),
        (|| Ok(Exit::InternalError { suberror: 4, data: vec![7] }), "data [0x7]"),
        (|| Ok(Exit::Unknown { hardware_reason: 9 }), "KVM_EXIT_UNKNOWN"),
        (|| Ok(Exit::Other { reason: 24 }), "KVM_EXIT_SYSTEM_EVENT"),
        (|| Err(call("KVM_RUN", EINVAL)), "KVM_RUN failed"),
    ];
    for (ends, words) in failures {
        fails_with(run(Ends(ends), id), &[words]);
    }
    let errors: [(End, &str); 3] = [
        (|| Ok(Exit::Deadline), "timeout: after 10 s the guest was still running, at pf.read-unmapped.act"),
        (|| Ok(Exit::Interrupted), "midflight had sent no signal"),
        (|| Err(call("KVM_RUN", ENOMEM)), "KVM_RUN failed"),
    ];
    for (ends, words) in errors {
        let Some(report) = run(Ends(ends), id) else { return };
        assert_eq!(report.outcome, Outcome::Error, "{report:#?}");
        assert!(reason(&report).is_some_and(|reason| reason.contains(words)), "{report:#?}");
    }
}

/// An exception is injected without its error code: the frame is a quadword shorter.
struct ForgetsErrorCode;

impl Fault for ForgetsErrorCode {
    fn set_events(&self, vcpu: &mut dyn Vcpu, events: &kvm_vcpu_events) -> Result<(), VcpuError> {
        let mut events = *events;
        events.exception.has_error_code = 0;
        vcpu.set_events(&events)
    }
}

#[test]
fn a_frame_of_another_shape_fails() {
    let id = "pf/read-unmapped:idt:cancel:resume";
    fails_with(run(ForgetsErrorCode, id), &["vector 14 came inside an entry stub"]);
}
