//! Deliberate damage: images that lie, or that never end.
//!
//! The embedded images are patched: a judge whose literal is wrong, an act that raises nothing, an
//! act that loops for ever. Each must be caught, on the model and, where it is, on KVM.

use crate::binary::{Ran, embedded, file, finish, midflight};
use crate::patched::with_code;
use protocol::note::CaseNote;
use std::mem::offset_of;
use std::process::{Command, Stdio};

const CASE: &str = "pf/read-unmapped:idt:none";

/// The image `pf` with `code` in place of the act of `read-unmapped`, and nothing after it changed.
fn with_act(code: &[u8]) -> Option<Vec<u8>> {
    let act = 3;
    assert!(code.len() <= act, "the act has {act} bytes");
    let mut padded = code.to_vec();
    padded.resize(act, 0x90);
    with_code(&padded)
}

fn run_on(machine: &str, image: &std::path::Path, more: &[&str]) -> Ran {
    let image = image.to_str().unwrap();
    let mut arguments = vec!["run", CASE, "--machine", machine, "--image", image];
    arguments.extend(more);
    midflight(&arguments)
}

fn have_kvm() -> bool {
    let have = !midflight(&["run", CASE, "--machine", "kvm"]).stderr.contains("open /dev/kvm failed");
    if !have {
        eprintln!("skipped on KVM, nothing tested there: there is none here");
    }
    have
}

fn machines() -> Vec<&'static str> {
    if have_kvm() { vec!["model", "kvm"] } else { vec!["model"] }
}

#[test]
fn a_wrong_expectation_fails_with_expected_and_got() {
    let Some(mut bytes) = embedded("pf") else { return };
    // The literal that `read-unmapped` expects of the FRED frame's SS slot.
    let literal = 0x0203_000E_0000_0010u64.to_le_bytes();
    let places: Vec<usize> = (0..bytes.len() - 8).filter(|at| bytes[*at..*at + 8] == literal).collect();
    assert!(!places.is_empty(), "the expectation is no literal of the image");
    for at in places {
        bytes[at + 4] = 0x0D;
    }
    let image = file("wrong-expectation", &bytes).to_str().unwrap().to_owned();
    let ran = midflight(&["run", "pf/read-unmapped:fred:none", "--machine", "model", "--image", &image]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let line = "SS expected 0x203000d00000010, got 0x203000e00000010";
    assert!(ran.stdout.contains(line), "{ran:?}");
}

#[test]
fn a_scenario_that_the_model_skips_fails() {
    let Some(mut bytes) = embedded("pf") else { return };
    let name: [u8; 32] = protocol::text::fixed("read-unmapped");
    let note = bytes.windows(name.len()).position(|window| window == name).unwrap();
    // CET, which the model does not have.
    bytes[note + offset_of!(CaseNote, needs)] |= 1 << 4;
    let image = file("needs-cet", &bytes);
    let ran = run_on("model", &image, &[]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let sentence = "the model can do everything, and it skipped this: ";
    let whole = format!("{sentence}needs cet");
    assert!(ran.stdout.contains(&whole) && ran.stdout.contains("1 failed"), "{ran:?}");
    let image = image.to_str().unwrap();
    for more in [&[][..], &["--migrate"]] {
        let two = ["compare", image, "--case", "read-unmapped", "--machines", "model,model"];
        let ran = midflight(&[&two, more].concat());
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.stdout.contains(sentence), "{ran:?}");
    }
}

#[test]
fn a_handler_that_never_runs_fails() {
    let Some(bytes) = with_act(&[]) else { return };
    let image = file("no-event", &bytes);
    for machine in machines() {
        let ran = run_on(machine, &image, &[]);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.stdout.contains("entries expected 0x1, got 0x0"), "{ran:?}");
    }
}

#[test]
fn a_cut_that_did_not_happen_because_no_event_came_fails() {
    let Some(bytes) = with_act(&[]) else { return };
    let image = file("no-cut", &bytes).to_str().unwrap().to_owned();
    let id = "pf/read-unmapped:fred:block@frame:resume";
    let ran = midflight(&["run", id, "--machine", "model", "--image", &image]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("entries expected 0x1, got 0x0"), "{ran:?}");
    let why = "the delivery was not cut: the case ended without meeting the stop";
    assert!(ran.stdout.contains(why), "{ran:?}");
}

#[test]
fn a_guest_that_loops_for_ever_is_ended_with_its_address() {
    // jmp $
    let Some(bytes) = with_act(&[0xEB, 0xFE]) else { return };
    let image = file("endless", &bytes);
    for machine in machines() {
        let ran = run_on(machine, &image, &["--timeout", "0.5"]);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.stdout.contains("timeout: after 0.5 s the guest was still running"), "{ran:?}");
        assert!(ran.stdout.contains("pf.read-unmapped.act"), "{ran:?}");
    }
}

#[test]
fn a_guest_that_loops_under_qemu_is_ended() {
    let Some(bytes) = with_act(&[0xEB, 0xFE]) else { return };
    let image = file("endless-qemu", &bytes).to_str().unwrap().to_owned();
    let arguments =
        ["run", "pf/read-unmapped:idt:cold", "--machine", "qemu", "--image", &image, "--timeout", "1"];
    let ran = midflight(&arguments);
    assert_eq!(ran.code, 2, "{ran:?}");
    if ran.stderr.contains("not in PATH") {
        eprintln!("skipped, nothing tested: there is no QEMU here");
    } else {
        assert!(ran.stdout.contains("timeout: the image did not end in time"), "{ran:?}");
        assert!(ran.stdout.contains("the guest was at pf.read-unmapped.act (0x"), "{ran:?}");
    }
}

/// The processes whose parent is `parent`.
fn children(parent: u32) -> Vec<u32> {
    let directories = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = directories.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // pid (name) state ppid …
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        after_name.split_whitespace().nth(1) == Some(&parent.to_string())
    })
    .collect()
}

fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

fn signal(name: &str, pid: u32) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

/// Starts a run of an endless guest on KVM and waits for the worker that has it.
fn endless_on_kvm(name: &str, timeout: &str) -> Option<(std::process::Child, u32)> {
    let bytes = with_act(&[0xEB, 0xFE])?;
    if !have_kvm() {
        return None;
    }
    let image = file(name, &bytes);
    let mut child = Command::new(env!("CARGO_BIN_EXE_midflight"))
        .args(["run", CASE, "--machine", "kvm", "--timeout", timeout, "--image"])
        .arg(&image)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Nothing is stopped, so nothing is probed: the worker is the one that boots in some milliseconds, and then
    // does nothing but run the guest.
    for _ in 0..1000 {
        for worker in children(child.id()) {
            let stat = std::fs::read_to_string(format!("/proc/{worker}/stat")).unwrap_or_default();
            let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, r)| r).split_whitespace().collect();
            let ticks = |index: usize| fields.get(index).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
            if ticks(11) + ticks(12) >= 30 {
                return Some((child, worker));
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    child.kill().unwrap();
    panic!("no worker is running the guest: {:?}", finish(child));
}

#[test]
fn a_worker_that_hangs_is_killed_and_reported() {
    let Some((child, worker)) = endless_on_kvm("hung-worker", "5") else { return };
    signal("-STOP", worker);
    let ran = finish(child);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stdout.contains("timeout: the worker process did not answer"), "{ran:?}");
    assert!(ran.stdout.contains("last seen armed at pf.read-unmapped.act"), "{ran:?}");
    assert!(!is_alive(worker), "the worker is still there");
}

#[test]
fn no_worker_outlives_a_parent_that_is_killed() {
    let Some((mut child, worker)) = endless_on_kvm("orphan", "30") else { return };
    child.kill().unwrap();
    child.wait().unwrap();
    for _ in 0..500 {
        if !is_alive(worker) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("the worker outlives its parent");
}
