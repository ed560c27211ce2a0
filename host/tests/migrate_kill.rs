//! Either side of a migration, or the keeper of its socket's file, is killed at a random moment:
//! afterwards there is no process, no socket and no file of theirs, and who lives on ends by itself.
//!
//! MIDFLIGHT_KILLS is how many are killed, MIDFLIGHT_KILL_SEED where the moments come from.
#![expect(clippy::unwrap_used, reason = "the helpers belong to tests, which may panic")]

mod marked;
mod this_host;

use marked::{MARK, marked, soon};
use midflight::images::EMBEDDED;
use std::fs::{create_dir_all, read, read_dir, read_to_string, remove_file};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ON_MODEL: &str = "pf/read-unmapped:fred:block@frame:migrate-process";
const ON_KVM: &str = "pf/read-unmapped:idt:cancel:migrate-process";
/// A kill comes this long after the sender's start, in microseconds: both sides are mostly done in less
/// than the most.
const MOMENT: std::ops::Range<u64> = 0..200_000;

/// Who is killed.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Listener,
    Sender,
    Keeper,
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn keepers(mark: &str) -> Vec<u32> {
    let is_keeper = |pid: &u32| {
        let line = read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).nth(1) == Some(b"keeper")
    };
    marked(mark).into_iter().filter(is_keeper).collect()
}

/// Whether there was anybody to kill.
fn kill_if_alive(pid: u32) -> bool {
    let alive = read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    // SAFETY: kill touches no memory of this process. The process is a child that has not been reaped,
    // or a keeper, which was there a moment ago.
    unsafe { libc::kill(i32::try_from(pid).unwrap(), libc::SIGKILL) };
    alive
}

fn start(mark: &str, directory: &Path, arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_midflight"));
    command.arg("migrate").args(arguments).env(MARK, mark).env("TMPDIR", directory);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// An empty directory of a test's own.
fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    create_dir_all(&path).unwrap();
    for file in read_dir(&path).unwrap() {
        remove_file(file.unwrap().path()).unwrap();
    }
    path
}

#[test]
fn who_is_killed_leaves_nothing() {
    if !EMBEDDED.iter().any(|(name, _)| *name == "pf") {
        return eprintln!("skipped, nothing tested: this build carries no image pf");
    }
    let mut machines = vec![("model", ON_MODEL)];
    if this_host::kvm().is_some() {
        machines.push(("kvm", ON_KVM));
    }
    let (kills, seed) = (number("MIDFLIGHT_KILLS", 24), number("MIDFLIGHT_KILL_SEED", 1));
    let mut random = fastrand::Rng::with_seed(seed);
    let directory = directory("migrate-kill");
    let socket = directory.join("socket");
    let address = format!("unix:{}", socket.display());
    let (mut met, mut finished) = ([0; 3], 0);
    for kill in 0..kills {
        let victim = [Victim::Listener, Victim::Sender, Victim::Keeper][random.usize(0..3)];
        let (machine, id) = machines[random.usize(0..machines.len())];
        let moment = Duration::from_micros(random.u64(MOMENT));
        let this = format!("kill {kill} of seed {seed}: {victim:?} on {machine} after {moment:?}");
        let mark = format!("{}-{kill}", std::process::id());
        let common = ["--machine", machine, "--timeout", "5"];
        let mut listener =
            start(&mark, &directory, &[&["--listen", &address, "--wait", "2"], common.as_slice()].concat());
        // A quarter of the moments are those of a listener that is being set up.
        if random.u8(0..4) > 0 {
            let soon_enough = Instant::now() + Duration::from_secs(5);
            while !socket.exists() && listener.try_wait().unwrap().is_none() && Instant::now() < soon_enough {
                std::thread::yield_now();
            }
        }
        let mut send = || start(&mark, &directory, &[&[id, "--to", &address], common.as_slice()].concat());
        // A keeper is there until somebody connects.
        let alone = matches!(victim, Victim::Keeper) && random.bool();
        let mut sender = (!alone).then(&mut send);
        std::thread::sleep(if alone { moment / 4 } else { moment });
        let pids = match (victim, &sender) {
            (Victim::Listener, _) => vec![listener.id()],
            (Victim::Sender, sender) => sender.iter().map(Child::id).collect(),
            (Victim::Keeper, _) => keepers(&mark),
        };
        for pid in pids {
            met[victim as usize] += u32::from(kill_if_alive(pid));
        }
        let mut sender = sender.take().unwrap_or_else(send);
        for child in [&mut listener, &mut sender] {
            let mut status = None;
            soon(&format!("{this}: {} does not end", child.id()), || {
                status = child.try_wait().unwrap();
                status.is_some()
            });
            finished += u32::from(status.is_some_and(|status| status.success()));
        }
        soon(&format!("{this}: processes are left: {:?}", marked(&mark)), || marked(&mark).is_empty());
        let left: Vec<_> = read_dir(&directory).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(left.is_empty(), "{this}: files are left: {left:?}");
        let sockets = read_to_string("/proc/net/unix").unwrap();
        assert!(!sockets.contains(directory.to_str().unwrap()), "{this}: a socket is left");
    }
    eprintln!(
        "{kills} kills of seed {seed}: {} listeners, {} senders, {} keepers were alive; {finished} sides finished",
        met[0], met[1], met[2]
    );
    // Moments at which nobody is alive prove nothing.
    if kills >= 24 && met.contains(&0) {
        panic!("the moments are wrong: of {kills} kills, {met:?} met a listener, a sender, a keeper alive");
    }
}

#[test]
fn a_listener_that_is_asked_to_end_leaves_nothing() {
    let directory = directory("migrate-signals");
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGKILL] {
        let mark = format!("{}-signal-{signal}", std::process::id());
        let socket = directory.join(format!("socket-{signal}"));
        let address = format!("unix:{}", socket.display());
        let mut listener = start(&mark, &directory, &["--listen", &address, "--machine", "model"]);
        soon("no socket", || socket.exists());
        // SAFETY: kill touches no memory of this process; the child has not been reaped.
        unsafe { libc::kill(i32::try_from(listener.id()).unwrap(), signal) };
        listener.wait().unwrap();
        soon("processes are left", || marked(&mark).is_empty());
        assert!(!socket.exists(), "signal {signal} leaves the socket's file");
    }
}
