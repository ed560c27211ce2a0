//! What `run` writes for programs, and of scenarios that run more than once.

use crate::binary::{embedded, midflight};
use crate::this_host;
use serde_json::Value;

#[test]
fn json_is_one_object_per_scenario_and_one_more() {
    let Some(_) = embedded("pf") else { return };
    let arguments = ["--machine", "model", "--format", "json", "--frames"];
    let ran = midflight(&[&["run", "pf/read-unmapped:fred:*"][..], &arguments].concat());
    let (scenarios, summary) = ran.objects(0);
    let listed = midflight(&["list", "pf/read-unmapped:fred:*"]);
    // As they end, whichever was begun first.
    let mut ids: Vec<&str> = scenarios.iter().map(|object| object["id"].as_str().unwrap()).collect();
    let mut all: Vec<&str> = listed.stdout.lines().collect();
    ids.sort_unstable();
    all.sort_unstable();
    assert_eq!(ids, all);
    assert!(summary["ended_by"].is_null() && summary["not_run"] == 0, "{summary}");
    const KEYS: &str = "id image case machine delivery payload behaviour stop action outcome reason cut \
                        expected got duration_us frames";
    for object in &scenarios {
        for key in KEYS.split(' ') {
            assert!(object.get(key).is_some(), "{key} is missing in {object}");
        }
    }
    let with = |stop: &str| scenarios.iter().find(|object| object["stop"] == stop).unwrap();
    let cut = with("block@frame");
    assert_eq!(cut["cut"], "queue");
    assert_eq!(with("cancel")["cut"], "synthetic");
    assert!(with("cold")["cut"].is_null());
    let frame: Vec<&str> = cut["frames"][0].as_str().unwrap().split(' ').collect();
    assert_eq!(frame[..4], ["FRAME", "pf/read-unmapped", "0", "fred"]);
    assert_eq!(frame.len(), 15);
    assert_eq!(frame[9], "0203000e00000010");
    assert_eq!(summary["totals"]["pass"], scenarios.len());
    assert!(summary["host"]["kernel"].is_string());
}

/// So that the page made of it shows what was expected and what came, field by field.
#[test]
fn a_failure_has_its_frames_unasked_and_people_are_spared_them() {
    let Some(_) = embedded("pf") else { return };
    let at = |action| format!("pf/read-unmapped:fred:block@frame:{action}");
    let [resume, migrate, process] = ["resume", "migrate", "migrate-process"].map(at);
    let run = ["run", &resume, &migrate, &process, "--machine", "model"];
    let run = [&run[..], &["--behaviour", "kernel-only-event-data"]].concat();
    let (reports, _) = midflight(&[&run[..], &["--format", "json"]].concat()).objects(1);
    let frames = |report: &Value| (report["outcome"].clone(), report["frames"][0].is_string());
    let mut seen: Vec<_> =
        reports.iter().map(frames).map(|(outcome, has)| (outcome.to_string(), has)).collect();
    seen.sort();
    assert_eq!(
        seen,
        [("\"fail\"", true), ("\"fail\"", true), ("\"pass\"", false)].map(|(o, h)| (o.to_owned(), h))
    );
    let ran = midflight(&run);
    assert!(ran.code == 1 && !ran.stdout.contains("FRAME"), "{ran:?}");
    assert!(midflight(&[&run[..], &["--frames"]].concat()).stdout.contains("FRAME pf/read-unmapped"));
}

#[test]
fn a_repeated_scenario_is_one_report_with_the_cuts_of_all_runs() {
    let Some(_) = embedded("pf") else { return };
    let id = "pf/read-unmapped:fred:block@frame:resume";
    let arguments = ["run", id, "--machine", "model", "--repeat", "5", "--format", "json"];
    let (reports, summary) = midflight(&arguments).objects(0);
    let [report] = &reports[..] else { panic!("{reports:?}") };
    for (key, number) in [("runs", 5), ("runs_alike", 5), ("cuts", 5)] {
        assert_eq!(report[key], number, "{key}");
    }
    assert_eq!((&summary["totals"]["pass"], &summary["totals"]["cuts"]), (&Value::from(1), &Value::from(5)));
    let ran = midflight(&["run", id, "--behaviour", "kernel-only-event-data", "--repeat", "2"]);
    assert_eq!(ran.code, 0, "it survives without migration: {ran:?}");
    let id = id.replace("resume", "migrate");
    let ran = midflight(&["run", &id, "--behaviour", "kernel-only-event-data", "--repeat", "3"]);
    assert!(ran.code == 1 && ran.stdout.contains("in 3 of 3 runs"), "{ran:?}");
    midflight(&["run", &id, "--repeat", "0"]).refused("--repeat");
}

#[test]
fn a_storm_lasts_as_long_as_asked() {
    let (Some(_), Some(_)) = (embedded("pf"), this_host::kvm()) else { return };
    let storm = ["run", "pf/read-unmapped:idt:storm:migrate", "--machine", "kvm", "--format", "json"];
    let few = midflight(&[&storm[..], &["--storm-cuts", "1000000", "--storm-seconds", "0.3"]].concat());
    let signals = "signals ended KVM_RUN before the handler, ";
    few.printed(2, &["1000000 were required; ", signals, "the last found it at "]);
    let ran = midflight(&[&storm[..], &["--storm-cuts", "2", "--storm-seconds", "9.5"]].concat());
    let (reports, _) = ran.objects(ran.code);
    assert!(ran.code != 0 || reports[0]["cuts"] == 2, "{ran:?}");
    let late = [&storm[..], &["--storm-seconds", "10", "--timeout", "10"]].concat();
    midflight(&late).refused("--storm-seconds must be less than --timeout");
}

#[test]
fn junit_is_written() {
    let Some(_) = embedded("pf") else { return };
    let ran = midflight(&["run", "pf/read-unmapped:fred:*", "--machine", "model", "--format", "junit"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.starts_with("<?xml") && ran.stdout.contains("failures=\"0\""), "{ran:?}");
}
