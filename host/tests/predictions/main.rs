//! predictions.toml against the model's behaviours, which predict.
//!
//! The list is written by the model: `make predictions.toml`. What this test adds is that it is up to
//! date, exact, and excuses nothing.
#![expect(clippy::unwrap_used, reason = "the helpers belong to tests, which may panic")]

mod causes;
mod write;

use midflight::engine::runner::Runner;
use midflight::images::{self, ImagesError};
use midflight::report::facts::HostFacts;
use midflight::report::known::KnownIssues;
use midflight::report::outcome::{Outcome, Report};
use midflight::scenario::{self, DeliveryMode, Migration, Plan, Scenario};
use model::ModelMachine;
use model::hypervisor::behaviour::by_name;
use protocol::need::Needs;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use vm::Value;

/// The series that are predicted: each is a behaviour of the model, and a value of the host fact
/// `fred_series`.
const SERIES: [&str; 1] = ["v9"];

/// What the emulator lacked in which kernels with a series were measured (docs/fred-series.md).
const LACKED: Needs = Needs::XFD.union(Needs::AMX);

/// The images that there were when a kernel with the series was measured.
const MEASURED: [&str; 14] = [
    "db", "gp", "leak", "level", "msrs", "nested", "nm", "nmi", "pf", "soft", "step", "sti", "syscall", "ud",
];

/// Cases in which something else differed there as well: no IA32_DEBUGCTL, or the single step of KVM's
/// instruction emulator.
const UNLIKE: [&str; 4] =
    ["msrs/debugctl:fred", "step/branch:fred", "step/over-outsb:fred", "step/rep-insb:fred"];

/// Set, this test writes the list.
const WRITE: &str = "MIDFLIGHT_WRITE_PREDICTIONS";

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../predictions.toml")
}

#[test]
fn the_committed_predictions_are_those_of_the_behaviours() {
    let images = match images::load(&[]) {
        Err(ImagesError::None) => return,
        images => images.unwrap(),
    };
    let mut text = write::HEAD.to_owned();
    let mut all = Vec::new();
    for series in SERIES {
        let machine = ModelMachine::new(by_name(series).unwrap());
        let mut runner = Runner::new(&machine, None, Duration::from_secs(60));
        let mut reports = Vec::new();
        let mut unmeasured = BTreeSet::from(UNLIKE.map(str::to_owned));
        for image in &images {
            let ran = MEASURED.contains(&image.name.as_str());
            let lacking = image.cases.iter().filter(|case| !ran || case.needs.intersects(LACKED));
            unmeasured.extend(lacking.map(|case| format!("{}/{}:fred", image.name, case.name)));
            let fred = |scenario: &Scenario| scenario.delivery == DeliveryMode::Fred;
            for scenario in scenario::all(image).into_iter().filter(fred) {
                let report = runner.run(image, &migrated_here(&scenario));
                // As if KVM had done it.
                reports.push(Report { scenario, machine: "kvm".to_owned(), ..report });
            }
        }
        text += &write::predictions(series, &reports, &unmeasured);
        all.push((series, reports));
    }
    for (series, reports) in &all {
        exact(&text, series, reports);
    }
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(committed(), &text).unwrap();
    }
    let same = std::fs::read_to_string(committed()).unwrap() == text;
    assert!(same, "the model's behaviours do otherwise: write the list anew with `make predictions.toml`");
}

/// `migrate-process` carries what `migrate` carries: the same uAPI, the same calls.
fn migrated_here(scenario: &Scenario) -> Scenario {
    let mut here = scenario.clone();
    if let Plan::Cut(_, action) = &mut here.plan {
        action.migrate = action.migrate.map(|_| Migration::Here);
    }
    here
}

/// A failure that may be predicted is, no pass is, and nothing is excused.
fn exact(text: &str, series: &str, reports: &[Report]) {
    let predictions = KnownIssues::parse_predictions("predictions.toml", text).unwrap();
    let known = KnownIssues { predictions, ..KnownIssues::default() };
    let unstated =
        HostFacts { kvm_module: "kvm kvm_intel".to_owned(), kvm_fred: true, ..HostFacts::default() };
    let mut facts = unstated.clone();
    facts.state(&format!("fred_series={series}")).unwrap();
    let mut predicted = 0;
    for report in reports {
        let judged = |report: &Report, facts| {
            let mut judged = report.clone();
            known.apply(&mut judged, facts);
            assert_eq!(judged.outcome, report.outcome, "a prediction excuses nothing");
            judged.predicted.is_some()
        };
        let expected = report.outcome == Outcome::Fail && causes::may_be_predicted(report);
        assert_eq!(judged(report, &facts), expected, "{report:#?}");
        assert!(!judged(report, &unstated), "nothing holds unless it is stated");
        predicted += usize::from(expected);
        // Another failure of the same scenario is not the predicted one.
        let mut other = report.clone();
        if let Some(first) = other.differences.first_mut() {
            first.got = Value::Number(0xDEAD_BEEF);
            assert!(!judged(&other, &facts), "{}", other.scenario);
        }
    }
    assert!(predicted > 200, "{series}: {predicted}");
}
