//! Whose doing it is: what a machine does wrong is a failure, in words, and never an error or a skip.
//!
//! The model with one fault each time. Without embedded images there is nothing to run.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers belong to tests, which may panic")]

mod faulty;

use faulty::{Fault, Faulty};
use kvm_bindings::{kvm_sregs, kvm_sregs2, kvm_vcpu_events};
use midflight::engine::questions::{Question, probe};
use midflight::engine::runner::Runner;
use midflight::image::Image;
use midflight::images;
use midflight::migration::channel::migrate_in_memory;
use midflight::report::outcome::{Outcome, Report};
use model::ModelMachine;
use std::time::Duration;
use vm::Machine;
use vm::{DirtyRing, Exit, Msr, PageAccess, RunMode, Vcpu, VcpuError, VmConfig, VmKind};

const EINVAL: i32 = 22;
const ENOMEM: i32 = 12;

fn images() -> Vec<Image> {
    match images::load(&[]) {
        Ok(images) => images,
        Err(images::ImagesError::None) => {
            eprintln!("skipped, nothing tested: this build carries no images");
            Vec::new()
        }
        Err(error) => panic!("{error}"),
    }
}

fn run_on(machine: &dyn Machine, id: &str) -> Option<Report> {
    let images = images();
    if images.is_empty() {
        return None;
    }
    let scenario: midflight::scenario::Scenario = id.parse().unwrap();
    let image = images.iter().find(|image| image.name == scenario.image).unwrap();
    let mut runner = Runner::new(machine, None, Duration::from_secs(10));
    runner.to_process =
        Some(Box::new(|guest, image, asked| migrate_in_memory(machine, None, guest, image, asked)));
    let report = runner.run(image, &scenario);
    let reason = report.reason.clone().unwrap_or_default();
    for debug in ["Exit(", " { ", "Doorbell(", "Some(", "Ended("] {
        assert!(!reason.contains(debug), "{id}: Rust's own text in the reason: {reason}");
    }
    Some(report)
}

fn run<F: Fault + Clone + 'static>(fault: F, id: &str) -> Option<Report> {
    run_on(&Faulty::new(fault), id)
}

#[track_caller]
fn fails_with(report: Option<Report>, words: &[&str]) {
    let Some(report) = report else { return };
    assert_eq!(report.outcome, Outcome::Fail, "{report:#?}");
    let reason = report.reason.clone().unwrap_or_default();
    for word in words {
        assert!(reason.contains(word), "`{word}` is not in: {reason}");
    }
}

fn call(call: &'static str, errno: i32) -> VcpuError {
    VcpuError::Call { call, errno, message: "no".to_owned(), advice: "" }
}

/// KVM_RUN ends so where an exception waits for its injection.
#[derive(Clone)]
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
        let set = vec!["KVM_SET_REGS", "KVM_SET_VCPU_EVENTS"];
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
        assert!(report.reason.as_ref().is_some_and(|reason| reason.contains(words)), "{report:#?}");
    }
}

/// KVM_SET_VCPU_EVENTS knows no interrupt shadow, which KVM_GET_VCPU_EVENTS gives.
#[derive(Clone)]
struct RefusesShadow;

impl Fault for RefusesShadow {
    fn set_events(&self, vcpu: &mut dyn Vcpu, events: &kvm_vcpu_events) -> Result<(), VcpuError> {
        if events.interrupt.shadow != 0 {
            return Err(call("KVM_SET_VCPU_EVENTS", EINVAL));
        }
        vcpu.set_events(events)
    }
}

#[test]
fn a_state_that_is_refused_names_the_field_wherever_it_is_restored() {
    for action in ["migrate", "migrate-process", "migrate-process+again=2"] {
        fails_with(
            run(RefusesShadow, &format!("sti/pf:fred:block@frame:{action}")),
            &["KVM_SET_VCPU_EVENTS refuses interrupt shadow 0x2 where it accepts 0x0"],
        );
    }
}

/// KVM_SET_SREGS2 knows no FRED, or KVM_SET_MSRS no IA32_FRED_CONFIG.
#[derive(Clone)]
struct RefusesFred {
    cr4: bool,
}

impl Fault for RefusesFred {
    fn set_sregs2(&self, vcpu: &mut dyn Vcpu, sregs: &kvm_sregs2) -> Result<(), VcpuError> {
        if self.cr4 && sregs.cr4 >> 32 != 0 {
            return Err(call("KVM_SET_SREGS2", EINVAL));
        }
        vcpu.set_sregs2(sregs)
    }

    fn set_msrs(&self, vcpu: &mut dyn Vcpu, msrs: &[Msr]) -> Result<(), VcpuError> {
        match msrs.iter().find(|msr| msr.index == 0x1D4 && msr.value != 0) {
            Some(Msr { index, value }) if !self.cr4 => Err(VcpuError::Msr { index: *index, value: *value }),
            _ => vcpu.set_msrs(msrs),
        }
    }
}

#[test]
fn a_register_that_is_refused_is_named_with_both_values() {
    let id = "pf/read-unmapped:fred:none";
    fails_with(
        run(RefusesFred { cr4: true }, id),
        &["KVM_SET_SREGS2 refuses CR4 0x1", "where it accepts 0x0"],
    );
    let words = ["KVM_SET_MSRS refuses IA32_FRED_CONFIG 0x", "where it accepts 0x0"];
    fails_with(run(RefusesFred { cr4: false }, id), &words);
}

/// CR4.FRED reads 0 although CPUID offers FRED.
#[derive(Clone)]
struct DropsFred;

impl Fault for DropsFred {
    fn sregs(&self, vcpu: &mut dyn Vcpu) -> Result<kvm_sregs, VcpuError> {
        let mut sregs = vcpu.sregs()?;
        sregs.cr4 &= 0xFFFF_FFFF;
        Ok(sregs)
    }
}

#[test]
fn fred_that_is_offered_and_cannot_be_switched_on_fails() {
    let words = ["CPUID offers FRED", "CR4.FRED reads 0"];
    fails_with(run(DropsFred, "pf/read-unmapped:fred:cold"), &words);
    fails_with(run(DropsFred, "pf/read-unmapped:fred:block@frame:resume"), &words);
}

/// An exception is injected without its error code: the frame is a quadword shorter.
#[derive(Clone)]
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

/// The event that an abandoned entry was to inject is lost.
#[derive(Clone)]
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
#[derive(Clone)]
struct LosesNmi;

impl Fault for LosesNmi {
    fn nmi(&self, _: &mut dyn Vcpu) -> Result<(), VcpuError> {
        Ok(())
    }
}

/// KVM_INTERRUPT returns 0 and is forgotten.
#[derive(Clone)]
struct LosesInterrupt;

impl Fault for LosesInterrupt {
    fn interrupt(&self, _: &mut dyn Vcpu, _: u8) -> Result<(), VcpuError> {
        Ok(())
    }
}

/// No interrupt window is ever opened.
#[derive(Clone)]
struct OpensNoWindow;

impl Fault for OpensNoWindow {
    fn request_interrupt_window(&self, _: &mut dyn Vcpu, _: bool) {}
}

/// Pages that the guest writes are never logged.
#[derive(Clone)]
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

/// What the probe says of a machine: everything works, whatever becomes of what is injected.
#[track_caller]
fn is_probed_whole<F: Fault + Clone + 'static>(fault: &F) {
    for payload in [true, false] {
        for (question, support) in
            probe(&Faulty::new(fault.clone()), payload, &Question::all(payload)).unwrap().0
        {
            assert!(support.works(), "{question}: {support}");
        }
    }
}

#[test]
fn a_lost_nmi_fails_and_is_no_skip() {
    is_probed_whole(&LosesNmi);
    // Nothing is delivered, so that nothing can be cut.
    fails_with(run(LosesNmi, "nmi/nmi:idt:block@frame:resume"), &["the case ended without meeting the stop"]);
    fails_with(run(LosesNmi, "nmi/after-pf:fred:block@frame:migrate"), &[]);
}

#[test]
fn a_lost_interrupt_fails_and_is_no_skip() {
    is_probed_whole(&LosesInterrupt);
    is_probed_whole(&OpensNoWindow);
    for id in ["nmi/interrupt:idt:block@frame:resume", "nmi/interrupt-after-pf:fred:block@frame:resume"] {
        fails_with(run(LosesInterrupt, id), &[]);
        fails_with(run(OpensNoWindow, id), &[]);
    }
}

#[test]
fn a_write_that_is_not_logged_fails_and_is_no_skip() {
    is_probed_whole(&LogsNothing);
    let words = ["the guest wrote to the page 0x10000, and the dirty ring does not hold it"];
    fails_with(run(LogsNothing, "pf/read-unmapped:idt:ring:resume"), &words);
}

/// A page that is to refuse the delivery does not.
#[derive(Clone)]
struct RefusesNothing;

impl Fault for RefusesNothing {
    fn set_page_access(&self, _: &mut dyn Vcpu, _: u64, _: PageAccess) -> Result<(), VcpuError> {
        Ok(())
    }
}

#[test]
fn a_cut_that_did_not_happen_is_an_error_and_no_pass() {
    let Some(report) = run(RefusesNothing, "pf/read-unmapped:fred:block@frame:resume") else { return };
    assert_eq!(report.outcome, Outcome::Error, "{report:#?}");
    let why = "the delivery was not cut: the case ended without meeting the stop";
    assert_eq!((report.reason.as_deref(), report.cut), (Some(why), None));
}

/// No fault.
#[derive(Clone)]
struct Sound;

impl Fault for Sound {}

#[test]
fn without_a_fault_everything_passes() {
    is_probed_whole(&Sound);
    for id in [
        "sti/pf:fred:block@frame:migrate-process+again=2",
        "nmi/after-pf:fred:block@frame:migrate",
        "pf/read-unmapped:idt:ring:resume",
        "pf/read-unmapped:idt:cancel:resume",
    ] {
        let Some(report) = run(Sound, id) else { return };
        assert_eq!(report.outcome, Outcome::Pass, "{report:#?}");
    }
}
