//! Reports in files: beside what the terminal shows, and on disk as results come.

use crate::binary::{self, directory, embedded, file, files, finish, midflight, program};
use crate::ended::NO_SIGNAL_IS_IGNORED;
use crate::marked::{MARK, bounded, marked, soon};
use crate::{patched, this_host};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::path::Path;
use std::process::{Child, Stdio};

const ENDS: &str = "db/single-step:idt:none";
const ENDLESS: &str = "pf/read-unmapped:idt:none";

fn objects(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_run_has_as_many_reports_as_are_asked_for() {
    let Some(_) = embedded("pf") else { return };
    let place = directory("report-files");
    let at = |name: &str| place.join(name).display().to_string();
    let run = ["run", "pf/read-unmapped:fred:*", "--behaviour", "kernel-only-event-data"];
    let to = |format: &str| ["--report".to_owned(), format!("{format}={}", at(format))];
    let reports: Vec<String> = ["json", "junit", "ktap", "tap", "human"].into_iter().flat_map(to).collect();
    let arguments: Vec<&str> = run.into_iter().chain(reports.iter().map(String::as_str)).collect();
    let ran = midflight(&arguments);
    assert_eq!(ran.code, 1, "{ran:?}");
    let lines = objects(&place.join("json"));
    let failed = lines.iter().filter(|line| line["outcome"] == "fail").count();
    assert!(failed > 0 && ran.stdout.contains(&format!(" {failed} failed, ")), "{ran:?}");
    let text = |name: &str| std::fs::read_to_string(place.join(name)).unwrap();
    assert!(text("junit").trim_end().ends_with("</testsuites>"));
    assert!(text("junit").contains(&format!("failures=\"{failed}\"")));
    assert_eq!(text("ktap").lines().filter(|line| line.starts_with("not ok ")).count(), failed);
    assert!(text("tap").starts_with("TAP version 14\n"));
    assert_eq!(text("human"), ran.stdout);
    assert_eq!(files(&place).len(), 5, "nothing else is left");
}

#[test]
fn a_report_that_cannot_be_written_is_an_error_before_anything_runs() {
    let Some(_) = embedded("pf") else { return };
    let run = ["run", "pf/read-unmapped:fred:cold", "--machine", "model", "--report"];
    for (report, why) in [
        ("json=/no/such/directory/x", "/no/such/directory/x: No such file"),
        ("json=/proc", "/proc: "),
        ("yaml=x", "there is no format `yaml`; there are human, ktap, tap, json, junit"),
        ("json", "a report is FORMAT=FILE"),
        ("json=", "a report is FORMAT=FILE"),
    ] {
        midflight(&[&run[..], &[report]].concat()).refused(why);
    }
}

/// A run of a scenario that ends and of one that never does, with reports in files.
fn begun(test: &str, machine: &str) -> Option<(Child, std::path::PathBuf)> {
    *NO_SIGNAL_IS_IGNORED;
    let endless = patched::with_code(&[0xEB, 0xFE, 0x90])?;
    let [db, pf] = [("db", embedded("db")?), ("pf", endless)]
        .map(|(name, image)| file(&format!("{test}-{name}"), &image));
    let place = directory(test);
    let mut command = program();
    command.args(["run", ENDS, ENDLESS, "--machine", machine, "--image", &db, "--image", &pf]);
    for format in ["json", "ktap", "junit"] {
        command.args(["--report", &format!("{format}={}", place.join(format).display())]);
    }
    command.args(["--timeout", "5000"]).env(MARK, test).stdin(Stdio::null());
    let child = bounded(binary::start(&mut command));
    let has =
        |format: &str| std::fs::read_to_string(place.join(format)).is_ok_and(|text| text.contains(ENDS));
    soon("the first result is not on disk", || ["json", "ktap", "junit"].into_iter().all(has));
    Some((child, place))
}

/// What was found before the end is in each report.
fn has_the_first_result(place: &Path) {
    let text = |name: &str| std::fs::read_to_string(place.join(name)).unwrap();
    assert_eq!(objects(&place.join("json"))[0]["id"], ENDS);
    assert!(text("ktap").lines().any(|line| line.starts_with("ok 1 ") && line.ends_with(ENDS)));
    let junit = text("junit");
    assert!(junit.trim_end().ends_with("</testsuites>") && junit.contains(ENDS), "{junit}");
    assert!(junit.contains("errors=\"1\""), "it is not green: {junit}");
}

#[test]
fn what_was_found_is_on_disk_whatever_ends_the_run() {
    for machine in this_host::machines() {
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::KILL, -1)] {
            let test = format!("on-disk-{machine}-{}", code + 1);
            let Some((child, place)) = begun(&test, machine) else { return };
            kill_process(Pid::from_child(&child), signal).unwrap();
            let ran = finish(child);
            assert_eq!(ran.code, code, "{ran:?}");
            has_the_first_result(&place);
            let last = objects(&place.join("json")).pop().unwrap();
            // Nothing could be written by one that is killed.
            assert_eq!(last["ended_by"].is_string(), signal != Signal::KILL, "{last}");
            soon("processes are left", || marked(&test).is_empty());
        }
    }
}

#[test]
fn a_worker_that_is_killed_is_an_error_of_its_scenario_and_the_run_goes_on() {
    if this_host::kvm().is_none() {
        return;
    }
    let Some((child, place)) = begun("worker-killed", "kvm") else { return };
    let workers = || marked("worker-killed").into_iter().filter(|pid| *pid != child.id());
    soon("no worker runs", || workers().count() > 0);
    for pid in workers() {
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        // One that has ended meanwhile needs no signal.
        let _ = kill_process(pid, Signal::KILL);
    }
    let ran = finish(child);
    assert_eq!(ran.code, 2, "{ran:?}");
    let lines = objects(&place.join("json"));
    let of = |id: &str| lines.iter().find(|line| line["id"] == id).unwrap();
    assert_eq!((&of(ENDS)["outcome"], &of(ENDLESS)["outcome"]), (&"pass".into(), &"error".into()));
    assert!(of(ENDLESS)["reason"].as_str().unwrap().contains("signal: 9"), "{}", of(ENDLESS));
    assert!(lines.last().unwrap()["ended_by"].is_null());
}

#[test]
fn the_scenarios_on_kvm_are_marked_in_the_kernel_s_log() {
    let (Some(_), Some(_)) = (embedded("pf"), this_host::kvm()) else { return };
    let log = file("marks.log", b"");
    let kmsg = format!("--kmsg={log}");
    let run = ["run", "pf/read-unmapped:idt:cold", "pf/read-unmapped:idt:none", kmsg.as_str()];
    let ran = midflight(&[&run[..], &["--jobs", "1"]].concat());
    assert_ne!(ran.code, 2, "{ran:?}");
    let marks = std::fs::read_to_string(&log).unwrap();
    let expected = "<6>midflight: pf/read-unmapped:idt:cold\n<6>midflight: pf/read-unmapped:idt:none\n";
    assert_eq!(marks, expected, "those on kvm, and no others");
    midflight(&["run", "pf", "--kmsg=/no/such/log"]).refused("--kmsg /no/such/log: No such file");
}
