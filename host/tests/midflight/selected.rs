//! Options of a run about what runs, how many at a time, and when it ends.

use crate::binary::{embedded, file, midflight};
use crate::this_host;

const FREDS: [&str; 4] = ["run", "pf/*:fred:*", "--machine", "model"];
const WRONG: [&str; 4] = ["run", "pf/*:fred:*", "--behaviour", "kernel-only-event-data"];

fn ids(arguments: &[&str]) -> Vec<String> {
    let ran = midflight(&[arguments, &["--list"]].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn what_is_excluded_does_not_run() {
    let Some(_) = embedded("pf") else { return };
    let all = ids(&FREDS);
    let rest = ids(&[&FREDS[..], &["--exclude", "cold", "--exclude", "pf/*:migrate"]].concat());
    let kept = |id: &&String| !id.ends_with(":cold") && !id.ends_with(":migrate");
    assert_eq!(rest, all.iter().filter(kept).cloned().collect::<Vec<_>>());
    assert!(!rest.is_empty() && rest.len() < all.len());
    let wrong = [&FREDS[..], &["--exclude", "no-such-thing"]].concat();
    midflight(&wrong).refused("--exclude no-such-thing: no scenario that was selected matches it");
    assert_eq!(ids(&[&wrong[..], &["--allow-empty"]].concat()), all);
    midflight(&[&FREDS[..], &["--exclude", ":"]].concat()).refused("names nothing");
    assert_eq!(midflight(&["list", "pf", "--exclude", "*:idt:*"]).stdout.lines().count(), all.len());
}

#[test]
fn the_parts_are_the_whole_and_the_same_each_time() {
    let Some(_) = embedded("pf") else { return };
    let part = |k: usize| ids(&[&FREDS[..], &["--partition", &format!("{k}/3")]].concat());
    let parts: Vec<String> = (1..=3).flat_map(part).collect();
    let (mut sorted, mut all) = (parts.clone(), ids(&FREDS));
    sorted.sort_unstable();
    all.sort_unstable();
    assert_eq!(sorted, all);
    assert_eq!(part(2), part(2));
    // A part does not depend on what else is selected.
    let fewer = ids(&["run", "pf/read-unmapped:fred:*", "--machine", "model", "--partition", "2/3"]);
    assert!(!fewer.is_empty() && fewer.iter().all(|id| part(2).contains(id)), "{fewer:?}");
}

#[test]
fn a_run_ends_after_as_many_failures_as_may_be() {
    let Some(_) = embedded("pf") else { return };
    for (option, most) in [(&["--fail-fast"][..], 1), (&["--max-fail", "3"], 3)] {
        let ran = midflight(&[&WRONG[..], option, &["--format", "json"]].concat());
        let (reports, summary) = ran.objects(1);
        let failed = reports.iter().filter(|report| report["outcome"] == "fail").count();
        assert_eq!((failed, &summary["ended_by"]), (most, &"max-fail".into()), "{ran:?}");
        let not_run = summary["not_run"].as_u64().unwrap() as usize;
        assert_eq!(reports.len() + not_run, ids(&WRONG).len());
        assert!(not_run > 0);
    }
    let ran = midflight(&[&WRONG[..], &["--fail-fast"]].concat());
    ran.printed(1, &["--max-fail ended the run: ", " scenarios did not run"]);
    midflight(&[&WRONG[..], &["--max-fail", "0"]].concat()).refused("--max-fail");
    midflight(&[&WRONG[..], &["--max-fail", "2", "--fail-fast"]].concat()).refused("cannot be used with");
    // One that is never reached changes nothing.
    let ran = midflight(&[&FREDS[..], &["--fail-fast", "--format", "json"]].concat());
    assert!(ran.objects(0).1["ended_by"].is_null());
}

#[test]
fn what_failed_runs_again_and_nothing_else() {
    let Some(_) = embedded("pf") else { return };
    let wrong = midflight(&[&WRONG[..], &["--format", "json"]].concat());
    let (reports, _) = wrong.objects(1);
    let mut failed: Vec<&str> = reports
        .iter()
        .filter(|report| report["outcome"] == "fail")
        .map(|report| report["id"].as_str().unwrap())
        .collect();
    failed.sort_unstable();
    // Of a run that was killed the last line is not whole.
    let report = file("failed.jsonl", format!("{}{{\"id\":\"pf/", wrong.stdout).as_bytes());
    let again = ["run", "--behaviour", "kernel-only-event-data", "--rerun-failed", &report];
    let (reports, _) = midflight(&[&again[..], &["--format", "json"]].concat()).objects(1);
    let mut ran: Vec<&str> = reports.iter().map(|report| report["id"].as_str().unwrap()).collect();
    ran.sort_unstable();
    assert_eq!(ran, failed);
    let (reports, _) =
        midflight(&[&again[..], &["pf/read-unmapped", "--format", "json"]].concat()).objects(1);
    assert!(!reports.is_empty() && reports.iter().all(|report| report["case"] == "read-unmapped"));

    // They failed on the model: on no other machine do they run.
    let other = midflight(&["run", "--machine", "qemu", "--rerun-failed", &report]);
    assert!(other.code == 0 && other.stdout.contains("nothing tested"), "{other:?}");
    let none = file("nothing-failed.jsonl", b"{\"totals\":{}}\n");
    let ran = midflight(&["run", "--rerun-failed", &none]);
    assert!(ran.code == 0 && ran.stdout.contains("nothing tested"), "{ran:?}");
    let text = file("no-report.txt", b"FAIL: something\n");
    midflight(&["run", "--rerun-failed", &text]).refused("line 1 is not of a report");
    midflight(&["run", "--rerun-failed", "/no/such/file"]).refused("/no/such/file");
    let gone = b"{\"id\":\"pf/no-such-case:idt:cold\",\"machine\":\"kvm\",\"outcome\":\"fail\"}\n";
    midflight(&["run", "--rerun-failed", &file("gone.jsonl", gone)])
        .refused("no scenario matches `pf/no-such-case:idt:cold`");
}

#[test]
fn a_seed_is_in_the_ids_of_storms() {
    let Some(_) = embedded("pf") else { return };
    let storms = ids(&["run", "pf/read-unmapped:idt:storm:migrate", "--seed", "7"]);
    assert_eq!(storms, ["pf/read-unmapped:idt:storm=7:migrate"]);
    let others = ids(&["run", "pf/read-unmapped:idt:cold", "--seed", "7"]);
    assert_eq!(others, ["pf/read-unmapped:idt:cold"]);
}

#[test]
fn any_number_of_jobs_gives_the_same_results() {
    let Some(_) = embedded("pf") else { return };
    for machine in this_host::machines() {
        let of = |jobs: &str| {
            let run = ["run", "pf/read-unmapped:idt:*", "--exclude", "*:storm:*", "--machine", machine];
            let ran = midflight(&[&run[..], &["--jobs", jobs, "--format", "json"]].concat());
            let (mut reports, _) = ran.objects(0);
            reports.sort_by_key(|report| report["id"].to_string());
            reports.iter().map(|report| (report["id"].clone(), report["outcome"].clone())).collect::<Vec<_>>()
        };
        assert_eq!(of("1"), of("5"));
    }
    midflight(&[&FREDS[..], &["--jobs", "0"]].concat()).refused("--jobs");
}

#[test]
fn a_list_in_json_has_what_an_id_consists_of() {
    let Some(_) = embedded("pf") else { return };
    let listed = midflight(&["list", "pf/read-unmapped:fred:*", "--format", "json"]);
    let objects: Vec<serde_json::Value> =
        listed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: Vec<&str> = objects.iter().map(|object| object["id"].as_str().unwrap()).collect();
    assert_eq!(ids, midflight(&["list", "pf/read-unmapped:fred:*"]).stdout.lines().collect::<Vec<_>>());
    let cut =
        objects.iter().find(|object| object["id"] == "pf/read-unmapped:fred:block@frame:migrate").unwrap();
    for (member, value) in [
        ("image", "pf"),
        ("case", "read-unmapped"),
        ("delivery", "fred"),
        ("stop", "block@frame"),
        ("action", "migrate"),
    ] {
        assert_eq!(cut[member], value);
    }
    assert_eq!(cut["needs"][0], "fred");
    for object in &objects {
        let without = object["id"].as_str().unwrap().contains(":nopayload:");
        assert_eq!(object["payload"], !without, "{object}");
    }
    assert!(cut["rule"].as_str().unwrap().len() > 10);
    let run = midflight(&["run", "pf/read-unmapped:fred:*", "--list", "--format", "json"]);
    assert_eq!(run.stdout, listed.stdout);
    midflight(&["run", "pf", "--list", "--format", "junit"]).refused("--list prints ids");
}
