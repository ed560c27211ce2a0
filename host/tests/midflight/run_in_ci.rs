//! `run-in-ci`: what a CI keeps is there, however the run ended.

use crate::binary::{Ran, directory, embedded, file, files, run};
use crate::patched;
use std::path::Path;
use std::process::Command;

/// Runs it with words after the directory of results, and an environment.
fn run_in_ci(results: &Path, words: &[&str], environment: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/run-in-ci"));
    command.arg(results).args(words).env("MIDFLIGHT", env!("CARGO_BIN_EXE_midflight"));
    command.env_remove("FRED_SERIES").envs(environment.iter().copied());
    run(&mut command)
}

#[track_caller]
fn all_results_are_in(results: &Path) {
    let names: Vec<_> = files(results).iter().map(|file| file.file_name().unwrap().to_owned()).collect();
    let all = [
        "doctor.txt",
        "kernel.log",
        "report.html",
        "results.jsonl",
        "results.ktap",
        "results.xml",
        "run.txt",
    ];
    assert_eq!(names, all);
    for file in ["doctor.txt", "results.jsonl", "results.ktap", "results.xml", "run.txt"] {
        assert_ne!(std::fs::metadata(results.join(file)).unwrap().len(), 0, "{file} is empty");
    }
}

const WRONG: [&str; 3] =
    ["pf/read-unmapped:fred:block@frame:migrate", "--behaviour", "kernel-only-event-data"];

#[test]
fn a_red_run_leaves_every_report_and_its_exit_code() {
    let Some(_) = embedded("pf") else { return };
    let results = directory("run-in-ci-red");
    let ran = run_in_ci(&results, &WRONG, &[("FRED_SERIES", "v9")]);
    ran.printed(1, &["event data expected 0x8000001a58, got 0x0", "run-in-ci: midflight ended with 1"]);
    all_results_are_in(&results);
    let read = |name: &str| std::fs::read_to_string(results.join(name)).unwrap();
    assert!(read("results.jsonl").contains(r#""fred_series":"v9""#), "{}", read("results.jsonl"));
    assert!(read("results.ktap").contains("not ok 1"), "{}", read("results.ktap"));
    assert!(read("results.xml").contains("event data"), "{}", read("results.xml"));
    assert!(read("report.html").contains("kernel-only-event-data"), "there is no page of the results");
}

/// With a `lava-test-case` that prints what it gets.
#[test]
fn lava_gets_each_result_under_a_name_that_it_takes() {
    let place = directory("lava");
    let stub = place.join("lava-test-case");
    std::fs::write(&stub, "#!/bin/sh\necho \"$*\"\n").unwrap();
    std::fs::set_permissions(&stub, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let ktap = "KTAP version 1\n1..3\nok 1 kvm/pf/a:fred:block@frame:migrate+again=2\n# why\nnot ok 2 kvm/pf/a:idt:cold\n\
                ok 3 kvm/nm/a:fred:access@1,2:resume # SKIP needs fred\n# Totals: pass:1\n";
    std::fs::write(place.join("results.ktap"), ktap).unwrap();
    let path = format!("{}:{}", place.display(), std::env::var("PATH").unwrap());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/lava-results");
    let ran = run(Command::new(script).arg(place.join("results.ktap")).env("PATH", path));
    let reported = "kvm_pf_a_fred_block@frame_migrate+again=2 --result pass\nkvm_pf_a_idt_cold --result fail\n\
                    kvm_nm_a_fred_access@1_2_resume --result skip\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (0, reported), "{ran:?}");
}

#[test]
fn a_green_run_is_green() {
    let Some(_) = embedded("pf") else { return };
    let results = directory("run-in-ci-green");
    run_in_ci(&results, &["pf/read-unmapped:fred:cold", "--machine", "model"], &[]).printed(0, &["1 passed"]);
    all_results_are_in(&results);
}

#[test]
fn a_run_that_takes_too_long_is_red_and_leaves_what_it_had() {
    // A scenario that ends, and one that never does.
    let (Some(db), Some(endless)) = (embedded("db"), patched::with_code(&[0xEB, 0xFE, 0x90])) else { return };
    let [db, pf] = [("late-db", db), ("late-pf", endless)].map(|(name, image)| file(name, &image));
    let results = directory("run-in-ci-late");
    let run = ["db/single-step:fred:none", "pf/read-unmapped:fred:none", "--machine", "model"];
    let words = [&run[..], &["--image", &db, "--image", &pf, "--timeout", "5000"]].concat();
    let ran = run_in_ci(&results, &words, &[("RUN_SECONDS", "5")]);
    assert_eq!(ran.code, 124, "{ran:?}");
    all_results_are_in(&results);
}

#[test]
fn a_run_that_cannot_start_is_red() {
    let results = directory("run-in-ci-wrong");
    assert_eq!(run_in_ci(&results, &["--require", "colour"], &[]).code, 2);
    assert_eq!(
        run(&mut Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/run-in-ci"))).code,
        2
    );
}

/// Otherwise the job ends first, and what it uploads lacks the summaries and the page.
#[test]
fn the_jobs_that_use_it_wait_longer_than_it_runs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |name: &str| std::fs::read_to_string(root.join(name)).unwrap();
    let script = read("scripts/run-in-ci");
    let (_, rest) = script.split_once("${RUN_SECONDS:-").unwrap();
    let seconds: u64 = rest.split_once('}').unwrap().0.parse().unwrap();
    for workflow in ["ci.yml", "fred.yml"] {
        let text = read(&format!(".github/workflows/{workflow}"));
        let (job, _) = text.split_once("./run-in-ci ").unwrap();
        let (_, limit) = job.rsplit_once("timeout-minutes: ").unwrap();
        let minutes: u64 = limit.lines().next().unwrap().parse().unwrap();
        assert!(minutes * 60 >= seconds + 300, "{workflow}: {minutes} min for {seconds} s");
    }
}
