//! Deliberate damage: images that lie, or that never end.
//!
//! The embedded images are patched: a judge whose literal is wrong, an act that raises nothing, an
//! act that loops for ever. Each must be caught, on the model and, where it is, on KVM.

use crate::binary::{Ran, embedded, file, finish, midflight, program, start};
use crate::marked::soon;
use crate::patched::with_code;
use crate::this_host;
use protocol::note::CaseNote;
use rustix::process::{Pid, Signal, kill_process};
use std::mem::offset_of;
use std::process::Child;

const CASE: &str = "pf/read-unmapped:idt:none";

/// The image `pf` with `code` in place of the act of `read-unmapped`, and nothing after it changed.
fn with_act(code: &[u8]) -> Option<Vec<u8>> {
    let act = 3;
    assert!(code.len() <= act, "the act has {act} bytes");
    let mut padded = code.to_vec();
    padded.resize(act, 0x90);
    with_code(&padded)
}

fn run_on(machine: &str, image: &str, more: &[&str]) -> Ran {
    midflight(&[&["run", CASE, "--machine", machine, "--image", image], more].concat())
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
    let image = file("wrong-expectation", &bytes);
    midflight(&["run", "pf/read-unmapped:fred:none", "--machine", "model", "--image", &image])
        .printed(1, &["SS expected 0x203000d00000010, got 0x203000e00000010"]);
}

#[test]
fn a_scenario_that_the_model_skips_fails() {
    let Some(mut bytes) = embedded("pf") else { return };
    let name: [u8; 32] = protocol::text::fixed("read-unmapped");
    let note = bytes.windows(name.len()).position(|window| window == name).unwrap();
    // CET, which the model does not have.
    bytes[note + offset_of!(CaseNote, needs)] |= 1 << 4;
    let image = file("needs-cet", &bytes);
    let sentence = "the model can do everything, and it skipped this: ";
    run_on("model", &image, &[]).printed(1, &[&format!("{sentence}needs cet"), "1 failed"]);
    for more in [&[][..], &["--migrate"]] {
        let two = ["compare", &image, "--case", "read-unmapped", "--machines", "model,model"];
        midflight(&[&two, more].concat()).printed(1, &[sentence]);
    }
}

#[test]
fn a_handler_that_never_runs_fails() {
    let Some(bytes) = with_act(&[]) else { return };
    let image = file("no-event", &bytes);
    for machine in this_host::machines() {
        run_on(machine, &image, &[]).printed(1, &["entries expected 0x1, got 0x0"]);
    }
}

#[test]
fn a_cut_that_did_not_happen_because_no_event_came_fails() {
    let Some(bytes) = with_act(&[]) else { return };
    let image = file("no-cut", &bytes);
    let id = "pf/read-unmapped:fred:block@frame:resume";
    let why = "the delivery was not cut: the case ended without meeting the stop";
    midflight(&["run", id, "--machine", "model", "--image", &image])
        .printed(1, &["entries expected 0x1, got 0x0", why]);
}

#[test]
fn a_guest_that_loops_for_ever_is_ended_with_its_address() {
    // jmp $
    let Some(bytes) = with_act(&[0xEB, 0xFE]) else { return };
    let image = file("endless", &bytes);
    for machine in this_host::machines() {
        run_on(machine, &image, &["--timeout", "0.5"])
            .printed(2, &["timeout: after 0.5 s the guest was still running", "pf.read-unmapped.act"]);
    }
}

#[test]
fn a_guest_that_loops_under_qemu_is_ended() {
    let Some(bytes) = with_act(&[0xEB, 0xFE]) else { return };
    let image = file("endless-qemu", &bytes);
    let arguments =
        ["run", "pf/read-unmapped:idt:cold", "--machine", "qemu", "--image", &image, "--timeout", "10"];
    // So much longer than QEMU takes to come to the act that a busy host does not matter.
    let ran = midflight(&arguments);
    if ran.stderr.contains("not in PATH") {
        return ran.refused("not in PATH");
    }
    ran.printed(2, &["timeout: after 10 s the guest was still running, at pf.read-unmapped.act (0x"]);
}

/// The fields of a process's stat after its name: the state, the parent's number, and so on.
fn stat(pid: u32) -> Vec<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after_name.split_whitespace().map(str::to_owned).collect()
}

/// The processes whose parent is `parent`.
fn children(parent: u32) -> Vec<u32> {
    let directories = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = directories.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| stat(*pid).get(1) == Some(&parent.to_string())).collect()
}

fn is_alive(pid: u32) -> bool {
    stat(pid).first().is_some_and(|state| state != "Z")
}

/// Starts a run of an endless guest on KVM and waits for the worker that has it.
fn endless_on_kvm(name: &str, timeout: &str) -> Option<(Child, u32)> {
    let bytes = with_act(&[0xEB, 0xFE])?;
    this_host::kvm()?;
    let image = file(name, &bytes);
    let arguments = ["run", CASE, "--machine", "kvm", "--timeout", timeout, "--image", &image];
    let child = start(program().args(arguments));
    // Nothing is stopped, so nothing is probed: the worker is the one that boots in some milliseconds, and then
    // does nothing but run the guest.
    let mut running = None;
    let runs = |worker: &u32| {
        let ticks = |index: usize| stat(*worker).get(index).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
        ticks(11) + ticks(12) >= 30
    };
    soon("no worker is running the guest", || {
        running = children(child.id()).into_iter().find(runs);
        running.is_some()
    });
    running.map(|worker| (child, worker))
}

#[test]
fn a_worker_that_hangs_is_killed_and_reported() {
    let Some((child, worker)) = endless_on_kvm("hung-worker", "5") else { return };
    kill_process(Pid::from_raw(worker as i32).unwrap(), Signal::STOP).unwrap();
    finish(child).printed(
        2,
        &["timeout: the worker process did not answer", "last seen armed at pf.read-unmapped.act"],
    );
    assert!(!is_alive(worker), "the worker is still there");
}

#[test]
fn no_worker_outlives_a_parent_that_is_killed() {
    let Some((mut child, worker)) = endless_on_kvm("orphan", "30") else { return };
    child.kill().unwrap();
    child.wait().unwrap();
    soon("the worker outlives its parent", || !is_alive(worker));
}
