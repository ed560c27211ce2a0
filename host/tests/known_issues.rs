//! What known-issues.toml predicts for hardware that nobody here has, against the model that plays it.

use midflight::facts::HostFacts;
use midflight::images::{self, ImagesError};
use midflight::known::{BUILT_IN, KnownIssues, failure_text};
use midflight::machine::model::ModelMachine;
use midflight::result::Outcome;
use midflight::run::one::Runner;
use midflight::scenario::{self, Delivery};
use model::hypervisor::behaviour::by_name;
use std::time::Duration;

/// Each entry for the series v9 is exactly what the behaviour `v9` does, and an entry that does not
/// show there is a failure as everywhere.
#[test]
fn what_is_predicted_for_the_fred_series_is_what_its_behaviour_does() {
    let images = match images::load(&[]) {
        Err(ImagesError::None) => return,
        images => images.unwrap(),
    };
    let known = KnownIssues::parse(BUILT_IN).unwrap();
    let mut facts = HostFacts {
        kvm_module: "kvm kvm_intel".to_owned(),
        vendor: "GenuineIntel".to_owned(),
        kvm_fred: true,
        ..HostFacts::default()
    };
    let unstated = facts.clone();
    facts.state("fred_series=v9").unwrap();
    let machine = ModelMachine::new(by_name("v9").unwrap());
    let mut runner = Runner::new(&machine, None, Duration::from_secs(10));
    let mut explained = 0;
    for image in &images {
        for scenario in scenario::all(image).iter().filter(|one| one.delivery == Delivery::Fred) {
            let mut report = runner.run(image, scenario);
            // As if KVM had done it.
            "kvm".clone_into(&mut report.machine);
            let before = report.clone();
            known.apply(&mut report, &facts);
            assert!(report.reason.iter().all(|why| !why.contains("did not show")), "{report:#?}");
            explained += usize::from(report.outcome == Outcome::Known);
            // Not predicted: see the comment in the list.
            let elsewhere = ["nested", "nmi"].contains(&image.name.as_str()) || report.stop == "io";
            let failure = failure_text(&before);
            assert!(report.outcome != Outcome::Fail || elsewhere, "{}: {failure}", report.id);

            let mut report = before.clone();
            known.apply(&mut report, &unstated);
            assert_eq!(report, before, "nothing holds unless it is stated");
            // Another failure of the same scenario is not excused.
            if let Some(first) = report.differences.first_mut() {
                first.got.push('1');
                known.apply(&mut report, &facts);
                assert_ne!(report.outcome, Outcome::Known, "{}", report.id);
            }
        }
    }
    assert!(explained > 200, "{explained}");
}
