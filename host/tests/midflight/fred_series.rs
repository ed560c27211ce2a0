//! What kernels with the FRED series do, scenario by scenario: measured on Linux 7.2 with the series v9 in
//! an emulator with FRED and VMX, pinned on the model's behaviours.
//!
//! Without embedded images there is nothing to run.

use crate::binary::image;
use midflight::engine::runner::Runner;
use midflight::report::{Difference, Outcome, Report, reason};
use midflight::scenario::Scenario;
use model::ModelMachine;
use model::hypervisor::behaviour::by_name;
use protocol::field::Field;
use std::time::Duration;
use vm::Value;
use vm::state::Loss;

/// Runs a scenario with a behaviour.
fn run(behaviour: &str, id: &str) -> Option<Report> {
    let scenario: Scenario = id.parse().unwrap();
    let image = image(&scenario.image)?;
    let machine = ModelMachine::new(by_name(behaviour).unwrap());
    Some(Runner::new(&machine, None, Duration::from_secs(10)).run(&image, &scenario))
}

/// Every field that differed, or the reason where none did.
fn failure(report: &Report) -> String {
    if report.differences.is_empty() {
        return reason(report).unwrap_or_default();
    }
    let each = |d: &Difference| format!("{} expected {}, got {}", d.field, d.expected, d.got);
    report.differences.iter().map(each).collect::<Vec<_>>().join("; ")
}

/// Each scenario's failure, or none where it passes.
fn check(behaviour: &str, failures: &[(&str, &str)]) {
    for (id, expected) in failures {
        let Some(report) = run(behaviour, id) else { return };
        let outcome = if expected.is_empty() { Outcome::Pass } else { Outcome::Fail };
        assert_eq!((report.outcome, failure(&report).as_str()), (outcome, *expected), "{behaviour}: {id}");
    }
}

const STALE_ADDRESS: &str = "event data expected 0x0, got 0x8000001a58";
const STALE_STEP: &str = "event data expected 0x0, got 0x4000";

/// A fresh VM's own EPT violations requeue the first event's delivery, and the next one is left its data.
#[test]
fn v9_shows_stale_event_data_where_nobody_stops_anything() {
    check(
        "v9",
        &[
            ("leak/pf-then-ud:fred:none", STALE_ADDRESS),
            ("level/higher-in-handler:fred:none", STALE_ADDRESS),
            ("sti/pf-then-ud:fred:none", STALE_ADDRESS),
            ("leak/db-then-ud:fred:cold", STALE_STEP),
            // #GP is not intercepted, and INT n not interrupted: its stack was in use before.
            ("leak/pf-then-gp:fred:none", ""),
            ("leak/db-then-int-n:fred:none", ""),
        ],
    );
}

/// Nothing writes the field for an INT n that is injected again. Whether it is depends on its stack: a
/// change of memory slots takes all pages away, PROT_NONE and the dirty ring take the frame's.
#[test]
fn v9_leaves_the_last_exceptions_data_to_int_n() {
    check(
        "v9",
        &[
            ("leak/pf-then-int-n:fred:hole@frame:resume", STALE_ADDRESS),
            ("leak/pf-then-int-n:fred:read-only@frame:resume", STALE_ADDRESS),
            ("leak/db-then-int-n:fred:hole@pdpt:resume", STALE_STEP),
            ("leak/pf-then-int-n:fred:block@frame:resume", ""),
            ("leak/pf-then-int-n:fred:ring:resume", ""),
        ],
    );
}

/// `vmx_inject_nmi` and `vmx_inject_irq` write it neither.
#[test]
fn v9_leaves_the_last_exceptions_data_to_nmis_and_interrupts() {
    check(
        "v9",
        &[
            ("nmi/after-pf:fred:block@frame:resume", STALE_ADDRESS),
            ("nmi/interrupt-after-pf:fred:cancel:resume", STALE_ADDRESS),
            ("nmi/nmi:fred:block@frame:resume", ""),
        ],
    );
}

/// With the capability for it off, the nested bit does not migrate, and a second fault is a double one.
#[test]
fn v9_without_the_nested_flag_loses_the_nested_bit() {
    let id = "nested/ud-level1:fred:block@frame:migrate+disturb";
    let Some(report) = run("v9", id) else { return };
    assert_eq!(report.outcome, Outcome::Fail);
    assert_eq!(report.differences.len(), 1, "{}", failure(&report));
    let only = &report.differences[0];
    assert_eq!((only.field.of_judge(), &only.got), (Some(Field::EventData), &Value::Number(0)));
    assert!(!report.losses.contains(&Loss::NestedBit), "{:?}", report.losses);
    let Some(report) = run("v9-nested-off", id) else { return };
    let ss = report.differences.iter().find(|one| one.field.of_judge() == Some(Field::Ss)).unwrap();
    let numbers = |one: &Difference| [one.expected.clone(), one.got.clone()];
    assert_eq!(numbers(ss), [0x0603_000E_0000_0010, 0x0203_000E_0000_0010].map(Value::Number));
    assert!(report.losses.contains(&Loss::NestedBit), "{:?}", report.losses);

    let Some(report) = run("v9-nested-off", "nested/ring3-level1:fred:block@frame:migrate") else { return };
    let vector = report.differences.iter().find(|one| one.field.of_judge() == Some(Field::Vector)).unwrap();
    assert_eq!(numbers(vector), [0xE, 8].map(Value::Number));
}

/// `if (ex->has_payload)` before the write: a #DB that is injected again passes by accident.
#[test]
fn payload_reuse_taken_literally_leaves_the_previous_value() {
    check(
        "payload-reuse-literal",
        &[
            ("leak/db-then-ud:fred:cold", STALE_STEP),
            ("db/single-step:fred:block@frame:resume", ""),
            ("db/single-step:fred:cold", ""),
            ("pf/read-unmapped:fred:block@frame:resume", "event data expected 0x8000001a58, got 0x0"),
        ],
    );
}

/// Without the payload capability no kernel can be asked to carry event data; everything else it can.
#[test]
fn event_data_without_a_field_for_it_is_a_loss_and_no_failure() {
    let id = "pf/read-unmapped:fred:nopayload:block@frame:migrate";
    for behaviour in ["payload-reuse", "v9"] {
        let Some(report) = run(behaviour, id) else { return };
        assert_eq!(report.outcome, Outcome::Pass, "{behaviour}: {}", failure(&report));
        assert!(report.event_data_open);
        assert!(report.losses.contains(&Loss::EventDataWithoutField));
    }
    // A uAPI with a field of its own is held to it.
    let Some(report) = run("uapi-event-data", id) else { return };
    assert_eq!((report.outcome, report.event_data_open), (Outcome::Pass, false));
    // With the capability there is a field.
    let Some(report) = run("v9", "pf/read-unmapped:fred:block@frame:migrate") else { return };
    assert_eq!((report.outcome, report.event_data_open), (Outcome::Fail, false));
    let recovered = "event data expected 0x8000001a58, got 0x5a5adeadb000";
    check("recover-from-registers", &[(&format!("{id}+disturb"), recovered)]);
    let id = "pf/write-read-only:fred:nopayload:block@frame:migrate";
    check("error-code-lost", &[(id, "error code expected 0x3, got 0x0")]);
    check("rf-lost", &[("pf/insb-unmapped:fred:nopayload:io:migrate", "RFLAGS expected 0x10002, got 0x2")]);
}
