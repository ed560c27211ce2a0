use super::*;
use crate::kernel_log::{KernelSaid, KernelWarning};
use crate::report::known::JudgedWarnings;
use crate::report::{Begun, Cause, Cited, Early, Field};

fn report(id: &str, machine: &str, outcome: Outcome) -> Report {
    Report::new(&id.parse().unwrap(), machine, None).concluded(outcome, None)
}

/// Everything that a summary can hold: more failures and more issues than have a place of their own.
fn reports() -> Vec<Report> {
    let failed = |number: usize| {
        let mut report = report(&format!("pf/case-{number}:idt:cold"), "kvm", Outcome::Fail);
        let (expected, got) = (vm::Value::Number(0x10), vm::Value::Number(number as u64));
        report.differences = vec![crate::report::Difference {
            field: Field::judged(protocol::field::Field::Rip, Some(0)),
            expected,
            got,
        }];
        report.again = Some(format!("midflight run pf/case-{number}:idt:cold --machine kvm"));
        report
    };
    let known = |number: usize| {
        let mut report = report(&format!("db/case-{number}:idt:cold"), "kvm", Outcome::Known);
        report.known = Some(Cited {
            series: None,
            name: format!("issue-{}", number % 30),
            reason: "it does what it should not do, ".repeat(1 + number % 5),
            reference: "somewhere".to_owned(),
        });
        report
    };
    let skipped = |place: &str| {
        let id = format!("pf/x:idt:block@{place}:migrate").parse().unwrap();
        Report::lacking(&id, "kvm", None, format!("block@{place} does not work on this kvm: it hangs"))
    };
    let passed = ["pf/x:fred:cold", "pf/x:idt:cold"].map(|id| report(id, "model", Outcome::Pass));
    let skipped = ["frame", "pt", "idt"].map(skipped);
    (0..23).map(failed).chain((0..47).map(known)).chain(skipped).chain(passed).collect()
}

fn said(verbosity: Verbosity, reports: &[Report]) -> String {
    let text = "WARNING: CPU: 0".to_owned();
    let warnings = vec![KernelWarning { text, during: vec!["pf/x:idt:cold".to_owned()] }];
    let said = KernelSaid { warnings, unwatched: None };
    let kernel = JudgedWarnings { said, known: vec!["ring: full (here): WARNING: CPU: 1".to_owned()] };
    let host = HostFacts::default();
    let early = Some(Early { cause: Cause::MaxFail, not_run: 5 });
    let begun = Begun::now(80, verbosity);
    let mut text = Vec::new();
    summary(&mut text, &Ended { begun: &begun, reports, host: &host, kernel: &kernel, early }).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn the_end_says_what_failed_what_is_known_and_what_was_skipped() {
    insta::assert_snapshot!(said(Verbosity::Normal, &reports()));
}

#[test]
fn the_end_has_everything_where_it_is_asked_for() {
    insta::assert_snapshot!(said(Verbosity::Verbose, &reports()));
}

#[test]
fn the_only_result_is_not_repeated_but_where_it_was_not_written() {
    let only = [report("pf/x:idt:cold", "kvm", Outcome::Fail)];
    assert!(!said(Verbosity::Normal, &only).contains("FAIL"));
    assert!(said(Verbosity::Quiet, &only).contains("FAIL: pf/x:idt:cold on kvm"));
}

#[test]
fn a_run_without_failures_fits_a_screen() {
    let reports: Vec<Report> =
        reports().into_iter().filter(|report| report.outcome != Outcome::Fail).collect();
    assert!(said(Verbosity::Normal, &reports).lines().count() <= 60);
}

#[test]
fn what_fred_without_a_kvm_is_worth() {
    let report = |machine: &str, outcome, printed| {
        let report = Report::new(&"pf/x:fred:cold".parse().unwrap(), machine, None);
        Report { printed, ..report.concluded(outcome, None) }
    };
    let mut host = HostFacts::default();
    host.add_emulator("Bochs 9 (a_lake)");
    let said = |reports: &[Report]| fred_without_kvm(reports, &host).unwrap_or_default();
    let model = report("model", Outcome::Pass, 0);
    let only =
        "FRED ran on the model only (KVM here offers no FRED): these results test the tests, not your KVM.";
    assert_eq!(said(std::slice::from_ref(&model)), only);
    assert_eq!(said(&[model.clone(), report("bochs", Outcome::Skip, 0)]), only);
    let bochs = [model.clone(), report("bochs", Outcome::Pass, 3), report("bochs", Outcome::Known, 2)];
    assert_eq!(
        said(&bochs),
        "FRED ran on the model and on Bochs 9 (a_lake) (cold controls; KVM here offers no FRED): an independent \
         implementation agrees on 3 of 5 frames."
    );
    assert!(said(&bochs[1..]).starts_with("FRED ran on Bochs 9 (a_lake) (cold controls;"));
    assert_eq!(said(&[model, report("kvm", Outcome::Fail, 0)]), "");
    assert_eq!(said(&[report("qemu", Outcome::Skip, 0)]), "");
}
