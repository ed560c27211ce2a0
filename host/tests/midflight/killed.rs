//! midflight, killed at random moments: nothing of it may be left. A few times here, and often in `make soak`.

use crate::binary::{directory, files, program};
use crate::marked::{MARK, marked, number, soon};
use fastrand::Rng;
use midflight::machines::qemu::{Accelerator, Qemu, TRY};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

/// Command lines that are killed: all that start other processes or leave the machine that they began on.
const ON_KVM: [&[&str]; 2] = [
    // Probes in a worker, then has a worker for each processor.
    &["run", "*:idt:*", "--machine", "kvm", "--repeat", "10"],
    &["run", "pf/*:idt:storm:migrate", "--machine", "kvm", "--storm-cuts", "100000"],
];
/// The same where a QEMU is driven: guests come to other QEMUs, from files, and on KVM from QEMU to QEMU.
const IN_QEMU: [(Accelerator, &[&str]); 2] = [
    (Accelerator::Tcg, &["run", "*:idt:none", "--machine", "qemu", "--accel", "tcg", "--repeat", "10"]),
    (
        Accelerator::Kvm,
        &["run", "*:idt:cancel:migrate-process", "--machine", "qemu", "--accel", "kvm", "--repeat", "10"],
    ),
];
/// How long each lasts at least.
const LASTS: Duration = Duration::from_secs(2);

fn start(victim: &[&str], directory: &Path, mark: &str) -> Child {
    let mut command = program();
    command.args(victim).current_dir(directory).env("TMPDIR", directory);
    command.env(MARK, mark).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// The command lines for the accelerators that QEMU runs guests on here.
fn in_qemu() -> Vec<&'static [&'static str]> {
    let works = |accelerator| {
        let qemu = Qemu { accelerators: vec![accelerator], ..Qemu::default() };
        qemu.tried(TRY).is_ok()
    };
    IN_QEMU.iter().filter(|(accelerator, _)| works(*accelerator)).map(|(_, victim)| *victim).collect()
}

#[test]
fn nothing_is_left_of_a_driver_of_qemu_that_is_killed() {
    kill(&in_qemu(), number("MIDFLIGHT_KILLS", 6));
}

#[test]
#[ignore = "takes minutes: `make soak`"]
fn nothing_is_left_of_a_driver_that_is_killed() {
    let mut victims = in_qemu();
    victims.extend(ON_KVM.iter().filter(|_| Path::new(kvm::DEVICE).exists()));
    kill(&victims, number("MIDFLIGHT_KILLS", 100));
}

/// Kills one of the command lines at a time, and looks for what it has left.
fn kill(victims: &[&[&str]], kills: u64) {
    let seed = number("MIDFLIGHT_KILL_SEED", 1);
    eprintln!("MIDFLIGHT_KILL_SEED={seed} MIDFLIGHT_KILLS={kills}");
    if victims.is_empty() {
        eprintln!("skipped, nothing tested: there is neither KVM nor QEMU here");
        return;
    }
    let mut random = Rng::with_seed(seed);
    let directory = directory(&format!("killed-{kills}"));
    let (mut running, mut with_children) = (0, 0);
    for kill in 0..kills {
        let victim = victims[random.usize(..victims.len())];
        let after = Duration::from_micros(random.u64(..LASTS.as_micros() as u64));
        let mark = format!("killed-{}-{kills}-{kill}", std::process::id());
        let mut child = start(victim, &directory, &mark);
        let leader = child.id();
        // A busy host may need the whole time for the start; every second is killed after that.
        if kill % 2 == 0 {
            soon("it has no child", || marked(&mark).len() > 1);
        }
        std::thread::sleep(after);
        running += u64::from(child.try_wait().unwrap().is_none());
        with_children += u64::from(marked(&mark).len() > 1);
        child.kill().unwrap();
        child.wait().unwrap();
        soon(&format!("kill {kill} after {after:?} left processes"), || marked(&mark).is_empty());
        assert_eq!(files(&directory), Vec::<PathBuf>::new(), "kill {kill} after {after:?} left files");
        let of_leader = |path: &PathBuf| path.to_string_lossy().contains(&format!("midflight-{leader}"));
        let outside: Vec<_> = files(&std::env::temp_dir()).into_iter().filter(of_leader).collect();
        assert!(outside.is_empty(), "kill {kill} after {after:?} left {outside:?}");
        let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
        let ours = directory.to_string_lossy();
        assert!(!sockets.contains(ours.as_ref()), "kill {kill} after {after:?} left a socket");
    }
    eprintln!("{kills} kills: {running} of a running driver, {with_children} of one with children");
    assert!(running * 10 >= kills * 9 && with_children * 2 >= kills, "the kills came too late or too early");
}
