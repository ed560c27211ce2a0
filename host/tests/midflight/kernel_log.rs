//! A kernel that warns while midflight runs.

use crate::binary::{Ran, embedded, file, finish, midflight, program, start};
use crate::{patched, this_host};
use std::io::{BufRead, BufReader, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const FILTER: &str = "pf/*:fred:*";
const SAVED: &str = "pf/read-unmapped:fred:block@frame:migrate-process";
const WARNING: &str = "WARNING: midflight test";

/// Runs scenarios that pass while `record` is written into `log` again and again.
fn warned(log: &str, record: &str, arguments: &[&str]) -> Ran {
    let run = ["run", FILTER, "--machine", "model", "--kernel-log", log];
    let child = start(program().args(run).args(arguments));
    let mut file = std::fs::OpenOptions::new().append(true).open(log).unwrap();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                file.write_all(record.as_bytes()).unwrap();
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let ran = finish(child);
        ended.store(true, Ordering::Relaxed);
        ran
    })
}

#[test]
fn a_kernel_warning_is_shown_and_fails_a_green_run() {
    let Some(_) = embedded("pf") else { return };
    let log = file("kernel.log", b"4,1,1,-;BUG: this was before the run\n");
    let record = format!("4,2,2,-;{WARNING}\n");
    let ran = warned(&log, &record, &[]);
    ran.printed(1, &["KERNEL: this host's kernel warned during the run", &format!("\n    {WARNING}\n")]);
    assert!(!ran.stderr.contains("panicked"), "{ran:?}");
    assert!(ran.stdout.contains(" 0 failed") && !ran.stdout.contains("before the run"), "{ran:?}");

    let ran = warned(&log, &record, &["--format", "json"]);
    let (_, summary) = ran.objects(1);
    assert_eq!(summary["kernel_warnings"][0], WARNING);
    assert!(summary["kernel_unwatched"].is_null());
    let ran = warned(&log, &record, &["--format", "junit"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("failures=\"1\"") && ran.stdout.contains(WARNING), "{ran:?}");

    let ran = warned(&log, "6,2,2,-;kvm: all is well\n", &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(!ran.stdout.contains("KERNEL"), "{ran:?}");
}

/// A guest that never ends: whoever waits is told where it is, and what the kernel says meanwhile is of its scenario.
#[test]
fn a_warning_and_a_slow_guest_are_told_with_their_scenario() {
    let Some(endless) = patched::with_code(&[0xEB, 0xFE, 0x90]) else { return };
    let (log, image) = (file("kernel-during.log", b""), file("kernel-during-pf", &endless));
    let id = "pf/read-unmapped:idt:none";
    let on_kvm = this_host::kvm().is_some();
    let machine = if on_kvm { "kvm" } else { "model" };
    let run = ["run", id, "--machine", machine, "--image", &image, "--timeout", "7", "--kernel-log", &log];
    let mut child = start(program().args(run).args(["--report", &format!("json={log}.json")]));
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.starts_with(&format!("midflight: {id} has been running for ")), "{line}");
    assert!(line.contains(" s; its guest was last seen ") && line.contains("pf.read-unmapped"), "{line}");
    std::fs::OpenOptions::new().append(true).open(&log).unwrap().write_all(b"4,1,1,-;BUG: now\n").unwrap();
    let ran = finish(child);
    assert_eq!(ran.code, 2, "it never ends: {ran:?}");
    let report = std::fs::read_to_string(format!("{log}.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(report.lines().last().unwrap()).unwrap();
    assert_eq!(summary["kernel_warnings"], serde_json::json!(["BUG: now"]));
    if on_kvm {
        assert_eq!(summary["kernel_warnings_during"], serde_json::json!([[id]]));
        let during = format!("    BUG: now\n    it came while {id} ran\n");
        assert!(ran.stdout.contains(&during), "{ran:?}");
    }
}

#[test]
fn a_log_that_was_named_and_cannot_be_read_is_an_error() {
    for (log, why) in [("/no/such/log", "No such file"), ("/proc", "irectory")] {
        for arguments in [["run", FILTER], ["save", SAVED], ["resume", "no-such-guest"]] {
            let ran = midflight(&[&arguments[..], &["--machine", "model", "--kernel-log", log]].concat());
            assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
            assert!(ran.stderr.starts_with(&format!("midflight: --kernel-log {log}: ")), "{ran:?}");
            assert!(ran.stderr.contains(why) && ran.stderr.lines().count() == 1, "{ran:?}");
        }
    }
}

/// Every run on this machine at the same time fails by it, so it runs when it is asked for: `make soak`.
#[test]
#[ignore = "writes a warning to the log of this machine's kernel, and only root can"]
fn a_warning_in_the_log_of_this_kernel_is_shown() {
    warned(midflight::kernel_log::DEVICE, "<4>WARNING: midflight test", &[])
        .printed(1, &[&format!("\n    {WARNING}\n")]);
}
