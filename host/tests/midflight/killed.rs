//! midflight, killed at random moments: nothing of it may be left. `make soak` runs this.

use crate::binary::{directory, files, program};
use crate::marked::{MARK, marked, number, soon};
use fastrand::Rng;
use midflight::machines::qemu::{Qemu, TRY};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

/// Command lines that are killed: all that start other processes or leave the machine that they began on.
const ON_KVM: [&[&str]; 2] = [
    // Probes in a worker, then has a worker for each processor.
    &["run", "*:idt:*", "--machine", "kvm", "--repeat", "10"],
    &["run", "pf/*:idt:storm:migrate", "--machine", "kvm", "--storm-cuts", "100000"],
];
/// The same where a QEMU is driven: it migrates guests to other QEMUs.
const IN_QEMU: [&[&str]; 1] =
    [&["run", "*:idt:none", "--machine", "qemu", "--accel", "tcg", "--repeat", "10"]];
/// How long each lasts at least.
const LASTS: Duration = Duration::from_secs(2);

fn start(victim: &[&str], directory: &Path, mark: &str) -> Child {
    let mut command = program();
    command.args(victim).current_dir(directory).env("TMPDIR", directory);
    command.env(MARK, mark).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

#[test]
#[ignore = "takes minutes: `make soak`"]
fn nothing_is_left_of_a_driver_that_is_killed() {
    let seed = number("MIDFLIGHT_KILL_SEED", 1);
    let kills = number("MIDFLIGHT_KILLS", 100);
    println!("MIDFLIGHT_KILL_SEED={seed} MIDFLIGHT_KILLS={kills}");
    let mut victims = Vec::new();
    victims.extend(ON_KVM.iter().filter(|_| Path::new(kvm::DEVICE).exists()));
    victims.extend(IN_QEMU.iter().filter(|_| Qemu::default().tried(TRY).is_ok()));
    if victims.is_empty() {
        println!("skipped, nothing tested: there is neither KVM nor QEMU here");
        return;
    }
    let mut random = Rng::with_seed(seed);
    let directory = directory("killed");
    let (mut running, mut with_children) = (0, 0);
    for kill in 0..kills {
        let victim = victims[random.usize(..victims.len())];
        let after = Duration::from_micros(random.u64(..LASTS.as_micros() as u64));
        let mark = format!("killed-{}-{kill}", std::process::id());
        let mut child = start(victim, &directory, &mark);
        let leader = child.id();
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
    println!("{kills} kills: {running} of a running driver, {with_children} of one with children");
    assert!(running * 10 >= kills * 9 && with_children * 2 >= kills, "the kills came too late or too early");
}
