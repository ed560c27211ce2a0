//! midflight, killed at random moments: nothing of it may be left. `make soak` runs this.

use crate::marked::{MARK, marked, soon};
use fastrand::Rng;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A command line that is killed, and how long it lasts at least.
struct Victim {
    arguments: &'static [&'static str],
    lasts: Duration,
}

/// All that start other processes or leave the machine that they began on.
const VICTIMS: [Victim; 2] = [
    // Probes in a worker, then has a worker for each processor.
    Victim {
        arguments: &["run", "*:idt:*", "--machine", "kvm", "--repeat", "10"],
        lasts: Duration::from_millis(2000),
    },
    Victim {
        arguments: &["run", "pf/*:idt:storm:migrate", "--machine", "kvm", "--storm-cuts", "100000"],
        lasts: Duration::from_millis(2000),
    },
];

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// Everything below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

fn start(victim: &Victim, directory: &Path, mark: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_midflight"));
    command.args(victim.arguments).current_dir(directory).env("TMPDIR", directory);
    command.env(MARK, mark).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

#[test]
#[ignore = "takes minutes: `make soak`"]
fn nothing_is_left_of_a_driver_that_is_killed() {
    let seed = number("MIDFLIGHT_KILL_SEED", 1);
    let kills = number("MIDFLIGHT_KILLS", 100);
    println!("MIDFLIGHT_KILL_SEED={seed} MIDFLIGHT_KILLS={kills}");
    if !Path::new(kvm::DEVICE).exists() {
        println!("skipped, nothing tested: there is no KVM here");
        return;
    }
    let mut random = Rng::with_seed(seed);
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("killed");
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    let (mut running, mut with_children) = (0, 0);
    for kill in 0..kills {
        let victim = &VICTIMS[random.usize(..VICTIMS.len())];
        let after = Duration::from_micros(random.u64(..victim.lasts.as_micros() as u64));
        let mark = format!("{}-{kill}", std::process::id());
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
