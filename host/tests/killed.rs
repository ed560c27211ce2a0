//! midflight, killed at random moments: nothing of it may be left. `make soak` runs this.
#![expect(clippy::unwrap_used, reason = "the helpers belong to tests, which may panic")]

use fastrand::Rng;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A command line that is killed, and how long it lasts at least.
struct Victim {
    arguments: &'static [&'static str],
    lasts: Duration,
}

/// All that start other processes or leave the machine that they began on.
const VICTIMS: [Victim; 2] = [
    // Asks QEMU for its version, probes in a worker, then has a worker for each processor.
    Victim {
        arguments: &["run", "*:idt:*", "--machine", "kvm", "--repeat", "10"],
        lasts: Duration::from_millis(2000),
    },
    Victim {
        arguments: &["run", "pf/*:idt:storm:migrate", "--machine", "kvm", "--storm-cuts", "100000"],
        lasts: Duration::from_millis(2000),
    },
];

/// How long the kernel may take to end the children of a killed process.
const PATIENCE: Duration = Duration::from_secs(20);

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// The live processes of a process group, by `/proc/*/stat`: pid (name) state ppid pgrp …
fn group(leader: u32) -> Vec<u32> {
    let directories = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = directories.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, f)| f).split_whitespace().collect();
        let is_zombie = fields.first() == Some(&"Z");
        fields.get(2) == Some(&leader.to_string().as_str()) && !is_zombie
    })
    .collect()
}

/// Everything below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

fn start(victim: &Victim, directory: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_midflight"));
    command.args(victim.arguments).current_dir(directory).env("TMPDIR", directory);
    // A group of its own: whatever belongs to it and is alive afterwards is left over.
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
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
        let mut child = start(victim, &directory);
        let leader = child.id();
        std::thread::sleep(after);
        running += u64::from(child.try_wait().unwrap().is_none());
        with_children += u64::from(group(leader).len() > 1);
        child.kill().unwrap();
        child.wait().unwrap();
        let late = Instant::now() + PATIENCE;
        while !group(leader).is_empty() {
            let left = group(leader);
            let line =
                |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let lines: Vec<String> = left.iter().map(line).collect();
            assert!(Instant::now() < late, "kill {kill} after {after:?} left processes {left:?}: {lines:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
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
