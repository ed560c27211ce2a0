//! A run that is ended early: its results are reported, its exit code names the signal, and nothing of it is
//! left.

use crate::binary::{self, Ran, directory, embedded, file, finish, program};
use crate::fake_qemu;
use crate::fake_qemu::{Script, calls, path};
use crate::marked::{MARK, bounded, marked, soon};
use crate::{patched, this_host};
use rustix::io::ioctl_fionbio;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag::register_conditional_default;
use std::io::{BufRead, BufReader, PipeReader, Read, Write, pipe};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// A guest that loops for ever has this long, in seconds: more than a test has.
const FOR_EVER: &str = "5000";
/// One that ends, then one of the image in which it loops.
const ONE_AND_ONE: [&str; 2] = ["db/single-step:idt:none", ENDLESS];
const ENDLESS: &str = "pf/read-unmapped:idt:none";
const NO_KVM: [&str; 2] = ["--kvm", "/no/such/device"];

/// A child inherits the signals that are ignored, as a shell ignores SIGINT for what it runs in the
/// background, but not a handler.
pub(crate) static NO_SIGNAL_IS_IGNORED: LazyLock<()> = LazyLock::new(|| {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        register_conditional_default(signal, Arc::new(AtomicBool::new(true))).unwrap();
    }
});

fn start(mark: &str, path: Option<&Path>, arguments: &[&str]) -> Child {
    *NO_SIGNAL_IS_IGNORED;
    let mut command = program();
    command.args(arguments).env(MARK, mark).stdin(Stdio::null());
    if let Some(path) = path {
        command.env("PATH", path);
    }
    bounded(binary::start(&mut command))
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn nothing_is_left(mark: &str) {
    soon(&format!("processes are left: {:?}", marked(mark)), || marked(mark).is_empty());
}

fn mark(test: &str) -> String {
    format!("{test}-{}", std::process::id())
}

/// Image files: `db` as it is, and `pf` in which the act of `read-unmapped` loops.
fn images(name: &str) -> Option<[String; 2]> {
    let endless = patched::with_code(&[0xEB, 0xFE, 0x90])?;
    Some([file(&format!("{name}-db"), &embedded("db")?), file(&format!("{name}-pf"), &endless)])
}

/// Ends a run on all machines while QEMU, the last of them, hangs with its first image.
fn ended_under_qemu(test: &str, with: Signal, arguments: &[&str]) -> Ran {
    let directory = directory(test);
    let path = path(&directory, Script::HANGS_WITH_AN_IMAGE);
    let mark = mark(test);
    let run = ["run", "pf/*:idt:cold", "db/*:idt:cold", "--timeout", FOR_EVER];
    let child = start(&mark, Some(Path::new(&path)), &[&run[..], &NO_KVM, arguments].concat());
    soon("QEMU is not given an image", || calls(&directory).contains("delivery=idt"));
    signal(&child, with);
    let ran = finish(child);
    nothing_is_left(&mark);
    assert!(!ran.stderr.contains("panicked"), "{ran:?}");
    ran
}

#[test]
fn a_signal_ends_a_run_with_the_summary_of_what_was_done() {
    let Some(_) = embedded("pf") else { return };
    let ran = ended_under_qemu("ended-human", Signal::INT, &[]);
    ran.printed(130, &[" on kvm: open /no/such/device failed: "]);
    let table = ran.stdout.split_once("model (payload-reuse) ").map_or("", |(_, table)| table);
    assert!(table.starts_with("idt ") && table.contains(" passed, 0 failed, "), "{ran:?}");
    assert!(ran.stdout.contains("SIGINT ended the run: ") && !ran.stdout.contains("ERROR"), "{ran:?}");
}

#[test]
fn json_has_every_scenario_that_ended_and_says_how_many_did_not() {
    let Some(_) = embedded("pf") else { return };
    let ran = ended_under_qemu("ended-json", Signal::TERM, &["--format", "json"]);
    let (scenarios, summary) = ran.objects(143);
    let of = |machine: &str| scenarios.iter().filter(|object| object["machine"] == machine).count();
    assert!(of("model") > 10 && of("kvm") == of("model") && of("qemu") == 0, "{ran:?}");
    // Those of QEMU, and of a Bochs that this host may have.
    let not_run = summary["not_run"].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap();
    assert!(not_run == of("model") || not_run == 2 * of("model"), "{summary}");
    assert_eq!(summary["ended_by"], "SIGTERM");
    assert_eq!(summary["totals"]["pass"], of("model"));
    let emulator = summary["host"]["emulator"].as_str().unwrap_or_default();
    assert!(emulator.starts_with(&format!("{}, accelerator tcg, ", fake_qemu::VERSION)), "{emulator}");
}

#[test]
fn junit_is_whole_after_a_signal_and_not_green() {
    let Some(_) = embedded("pf") else { return };
    let ran = ended_under_qemu("ended-junit", Signal::HUP, &["--format", "junit"]);
    assert_eq!(ran.code, 129, "{ran:?}");
    assert!(ran.stdout.starts_with("<?xml") && ran.stdout.trim_end().ends_with("</testsuites>"), "{ran:?}");
    assert!(ran.stdout.contains("name=\"pf/read-unmapped:idt:cold\""), "{ran:?}");
    assert!(ran.stdout.contains("SIGHUP ended the run") && ran.stdout.contains("errors=\"1\""), "{ran:?}");
}

/// Reads what a child prints until a line contains `text`; gives what came, and the rest to read.
fn until(child: &mut Child, text: &str) -> (String, impl Read + use<>) {
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut came = String::new();
    while !came.contains(text) {
        assert!(output.read_line(&mut came).unwrap() > 0, "it ended without {text}: {came}");
    }
    (came, output)
}

/// Starts what never ends by itself, waits for what it says of the scenario that has ended, tells it to
/// end, and gives the exit code and all that it printed.
fn ended_in_a_pool(test: &str, machine: &str, arguments: &[&str], first: &str) -> Option<(i32, String)> {
    let [db, pf] = images(test)?;
    let mark = mark(test);
    let run = ["run", "--machine", machine, "--image", &db, "--image", &pf, "--timeout", FOR_EVER];
    let mut child = start(&mark, None, &[&run[..], arguments].concat());
    let (mut said, mut rest) = until(&mut child, first);
    assert!(child.try_wait().unwrap().is_none(), "it is said before the run has ended: {said}");
    signal(&child, Signal::INT);
    rest.read_to_string(&mut said).unwrap();
    let code = child.wait().unwrap().code();
    nothing_is_left(&mark);
    Some((code.unwrap_or(-1), said))
}

#[test]
fn a_result_is_told_at_once_and_nobody_waits_for_a_guest_that_hangs() {
    for machine in this_host::machines() {
        let test = format!("ended-{machine}");
        let json = [&ONE_AND_ONE[..], &["--format", "json"]].concat();
        let json = ended_in_a_pool(&test, machine, &json, "db/single-step");
        let Some((code, said)) = json else { return };
        assert_eq!((code, said.lines().count()), (130, 2), "{said}");
        let summary: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
        assert_eq!((&summary["ended_by"], &summary["not_run"]), (&"SIGINT".into(), &1.into()), "{said}");
    }
    let id = "db/single-step:fred:block@frame:migrate";
    let wrong = [id, ENDLESS, "--behaviour", "kernel-only-event-data"];
    let Some((code, said)) = ended_in_a_pool("ended-people", "model", &wrong, "again:") else { return };
    assert_eq!(code, 130, "{said}");
    assert!(said.starts_with(&format!("FAIL: {id} on model")), "{said}");
    assert!(said.contains("\n0 passed, 1 failed"), "{said}");
    assert!(said.contains("SIGINT ended the run: 1 scenarios"), "{said}");
}

/// A run whose output nobody reads, into a pipe that is full: whatever it says, it waits in a write. It watches for
/// signals.
fn with_a_full_pipe(test: &str) -> Option<(Child, String, PipeReader)> {
    let [db, pf] = images(test)?;
    let mark = mark(test);
    let (output, mut input) = pipe().unwrap();
    ioctl_fionbio(&input, true).unwrap();
    // Whole pages: to one that has room a short line would be added.
    while input.write(&[b'\n'; 4096]).is_ok() {}
    ioctl_fionbio(&input, false).unwrap();
    let mut command = program();
    command.args(["run", "--machine", "model", "--image", &db, "--image", &pf, "--format", "json", "db/*"]);
    command.env(MARK, &mark).stdin(Stdio::null()).stdout(input);
    *NO_SIGNAL_IS_IGNORED;
    let child = bounded(command.spawn().unwrap());
    let status = format!("/proc/{}/status", child.id());
    let watches = || {
        let status = std::fs::read_to_string(&status).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
        [SIGINT, SIGTERM, SIGHUP].iter().all(|signal| caught & 1 << (signal - 1) != 0)
    };
    soon("it does not watch for signals", watches);
    Some((child, mark, output))
}

#[test]
fn a_second_signal_ends_at_once() {
    let Some((mut child, mark, _output)) = with_a_full_pipe("ended-twice") else { return };
    signal(&child, Signal::INT);
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "the first one is for who has something left to say");
    soon("a second signal ends nothing", || {
        signal(&child, Signal::TERM);
        child.try_wait().unwrap().is_some()
    });
    assert_eq!(child.wait().unwrap().code(), Some(143));
    nothing_is_left(&mark);
}

/// As timeout(1) does: to the process, and to its group at once.
#[test]
fn a_signal_that_is_sent_twice_is_one() {
    let Some((mut child, mark, mut output)) = with_a_full_pipe("ended-both") else { return };
    for _ in 0..3 {
        signal(&child, Signal::TERM);
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut said = String::new();
    output.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    let summary: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(summary["ended_by"], "SIGTERM", "{summary}");
    nothing_is_left(&mark);
}

#[test]
fn a_run_that_was_started_to_ignore_a_signal_ignores_it() {
    let Some([db, pf]) = images("ended-ignored") else { return };
    let mark = mark("ended-ignored");
    let mut command = Command::new("/bin/sh");
    let run = ["run", "--machine", "model", "--image", &db, "--image", &pf, "--timeout", FOR_EVER];
    command.args(["-c", "trap '' HUP INT; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_midflight")]);
    command.args(run).args(ONE_AND_ONE).args(["--format", "json"]).env(MARK, &mark);
    let mut child = bounded(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap());
    let (mut said, mut rest) = until(&mut child, "db/single-step");
    signal(&child, Signal::HUP);
    signal(&child, Signal::INT);
    signal(&child, Signal::TERM);
    rest.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143), "{said}");
    assert!(said.contains("\"ended_by\":\"SIGTERM\""), "{said}");
    nothing_is_left(&mark);
}

#[test]
fn other_commands_end_with_the_signals_exit_code_and_leave_no_process() {
    let Some([_, pf]) = images("ended-others") else { return };
    let image = ["--image", pf.as_str()];
    let endless = ["--timeout", FOR_EVER];
    let mutants = [&["mutants"][..], &image, &endless].concat();
    let migrating = ["compare", "--machines", "model,model", "--migrate", "--case", "read-unmapped"];
    let migrating = [&migrating[..], &image, &endless].concat();
    for (number, arguments) in [mutants, migrating].iter().enumerate() {
        let mark = mark(&format!("ended-others-{number}"));
        let child = start(&mark, None, arguments);
        // The handlers are there before the guests' threads are.
        soon("it has no threads", || {
            std::fs::read_dir(format!("/proc/{}/task", child.id())).is_ok_and(|tasks| tasks.count() > 1)
        });
        signal(&child, Signal::TERM);
        let ran = finish(child);
        assert_eq!(ran.code, 143, "{arguments:?}: {ran:?}");
        nothing_is_left(&mark);
    }
}
