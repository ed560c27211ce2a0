//! Whose doing it is: what a machine does wrong is a failure, in words, and never an error or a skip.
//!
//! The model with one fault each time. Without embedded images there is nothing to run.
#![expect(clippy::unwrap_used, reason = "the helpers belong to tests, which may panic")]

mod exits;
mod faulty;
mod lost;
mod refused;

use faulty::{Fault, Faulty};
use midflight::engine::questions::{Question, probe};
use midflight::engine::runner::Runner;
use midflight::image::Image;
use midflight::images::EMBEDDED;
use midflight::migration::channel::migrate_in_memory;
use midflight::report::outcome::{Outcome, Report};
use midflight::report::words::reason;
use std::time::Duration;
use vm::Machine;
use vm::{PageAccess, Vcpu, VcpuError};

const EINVAL: i32 = 22;
const ENOMEM: i32 = 12;

fn run_on(machine: &dyn Machine, id: &str) -> Option<Report> {
    let scenario: midflight::scenario::Scenario = id.parse().unwrap();
    let Some((_, bytes)) = EMBEDDED.iter().find(|(name, _)| *name == scenario.image) else {
        eprintln!("skipped, nothing tested: this build carries no image {}", scenario.image);
        return None;
    };
    let image = Image::parse(&scenario.image, bytes).unwrap();
    let mut runner = Runner::new(machine, None, Duration::from_secs(10));
    runner.to_process =
        Some(Box::new(|guest, image, request| migrate_in_memory(machine, None, guest, image, request)));
    let report = runner.run(&image, &scenario);
    let reason = reason(&report).unwrap_or_default();
    for debug in ["Exit(", " { ", "Doorbell(", "Some(", "Ended("] {
        assert!(!reason.contains(debug), "{id}: Rust's own text in the reason: {reason}");
    }
    Some(report)
}

fn run<F: Fault + 'static>(fault: F, id: &str) -> Option<Report> {
    run_on(&Faulty::new(fault), id)
}

#[track_caller]
fn fails_with(report: Option<Report>, words: &[&str]) {
    let Some(report) = report else { return };
    assert_eq!(report.outcome, Outcome::Fail, "{report:#?}");
    let reason = reason(&report).unwrap_or_default();
    for word in words {
        assert!(reason.contains(word), "`{word}` is not in: {reason}");
    }
}

fn call(call: &'static str, errno: i32) -> VcpuError {
    VcpuError::Call { call, errno, message: "no".to_owned(), advice: "" }
}

/// The probe's result on a machine: everything works, even if injected events are lost.
#[track_caller]
fn is_probed_whole(fault: impl Fault + 'static) {
    let machine = Faulty::new(fault);
    for payload in [true, false] {
        for (question, support) in probe(&machine, payload, &Question::all(payload)).unwrap().0 {
            assert!(support.works(), "{question}: {support}");
        }
    }
}

/// A page that is to refuse the delivery does not.
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
    assert_eq!((reason(&report).as_deref(), report.cut), (Some(why), None));
}

/// No fault.
struct Sound;

impl Fault for Sound {}

#[test]
fn without_a_fault_everything_passes() {
    is_probed_whole(Sound);
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
