//! `midflight repro`: its directory repeats the scenario from another place.

use crate::binary::{directory, embedded, files, midflight, run};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// What the directory of a scenario has, and where it was moved to.
fn made(name: &str, arguments: &[&str]) -> Option<std::path::PathBuf> {
    embedded("pf")?;
    let place = directory(name);
    let (first, moved) = (place.join("made"), place.join("moved"));
    let ran = midflight(&[&["repro"], arguments, &["-o", first.to_str().unwrap()]].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert!(
        ran.stdout.contains("repro.sh, midflight, pf.elf, host.json, result.jsonl, report.html"),
        "{ran:?}"
    );
    assert_eq!(files(&place), std::slice::from_ref(&first), "nothing unfinished is left");
    std::fs::rename(&first, &moved).unwrap();
    Some(moved)
}

fn script(directory: &Path, arguments: &[&str]) -> crate::binary::Ran {
    // No PATH but the shell's own: the one program is enough.
    run(Command::new(directory.join("repro.sh")).args(arguments).env_remove("MIDFLIGHT").current_dir("/"))
}

#[test]
fn the_script_repeats_a_failure_elsewhere() {
    let id = "pf/read-unmapped:fred:block@frame:migrate";
    let Some(place) = made("repro-failure", &[id, "--behaviour", "kernel-only-event-data"]) else { return };
    let text = |name: &str| std::fs::read_to_string(place.join(name)).unwrap();
    let result: Value = serde_json::from_str(text("result.jsonl").lines().next().unwrap()).unwrap();
    assert_eq!((&result["id"], &result["outcome"]), (&Value::from(id), &Value::from("fail")));
    assert!(result["frames"][0].is_string());
    assert!(serde_json::from_str::<Value>(&text("host.json")).unwrap()["kernel"].is_string());
    assert!(
        text("trace.txt").contains("event data 0x0000000000000000 (linear address); expected 0x8000001a58")
    );
    assert!(text("report.html").starts_with("<!doctype html>"));
    assert!(text("README.txt").starts_with(id));
    let again = script(&place, &[]);
    again.printed(1, &["FAIL: pf/read-unmapped:fred:block@frame:migrate on model (kernel-only-event-data)"]);
    assert!(again.stdout.contains("event data expected 0x8000001a58, got 0x0"), "{again:?}");
    // Options are passed on, and one that names a machine takes the place of its own.
    script(&place, &["--machine", "model"]).printed(0, &["1 passed, 0 failed"]);
    script(&place, &["--machine=model"]).printed(0, &["1 passed, 0 failed"]);
    // The guest continues from its cut.
    let resumed = script(&place, &["resume"]);
    resumed.printed(1, &["event data expected 0x8000001a58, got 0x0"]);
}

#[test]
fn a_scenario_without_a_cut_has_no_guest_and_says_so() {
    let Some(place) = made("repro-cold", &["pf/read-unmapped:idt:cold", "--machine", "model"]) else {
        return;
    };
    assert!(!place.join("guest").exists());
    let said = std::fs::read_to_string(place.join("README.txt")).unwrap();
    assert!(said.contains("There is no guest: nothing stops its delivery"), "{said}");
    script(&place, &[]).printed(0, &["1 passed"]);
}

#[test]
fn what_is_there_is_left_alone() {
    let Some(_) = embedded("pf") else { return };
    let place = directory("repro-there");
    let there = place.to_str().unwrap();
    midflight(&["repro", "pf/read-unmapped:idt:cold", "-o", there]).refused("is there already");
    let new = place.join("new");
    let new = new.to_str().unwrap();
    midflight(&["repro", "pf/", "-o", new]).refused("repro repeats one");
    midflight(&["repro", "pf/read-unmapped:idt:cold", "--machine", "qemu", "-o", new])
        .refused("qemu takes none");
    assert_eq!(files(&place), [""; 0].map(std::path::PathBuf::from));
}
