//! midflight, killed at random moments of its run: nothing of it may be left. Drivers of QEMU are killed in each run of
//! the tests, those of /dev/kvm in `make soak`.
//!
//! MIDFLIGHT_KILLS is how many are killed, MIDFLIGHT_KILL_SEED where the moments come from. As many drivers as there are
//! processors run at once. How long one lasts is measured first, and again whenever one has ended before its moment: such
//! a moment is drawn again, so that each kill meets a driver that runs.

use crate::binary::{directory, files, program};
use crate::held::Held;
use crate::marked::{MARK, marked, number, soon};
use fastrand::Rng;
use midflight::machines::qemu::{Accelerator, Qemu, TRY};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// What is killed: a command line.
type Victim = &'static [&'static str];

/// All that start other processes or leave the machine that they began on.
const ON_KVM: [Victim; 2] = [
    // Probes in a worker, then has a worker for each processor.
    &["run", "pf/*:idt:*", "--machine", "kvm"],
    &["run", "ud/*:idt:storm:migrate", "--machine", "kvm", "--storm-cuts", "1000", "--storm-seconds", "1"],
];
/// The same where a QEMU is driven: guests come to other QEMUs, from files, and on KVM from QEMU to QEMU.
const IN_QEMU: [(Accelerator, Victim); 2] = [
    (Accelerator::Tcg, &["run", "ud/*:idt:none", "--machine", "qemu", "--accel", "tcg"]),
    (Accelerator::Kvm, &["run", "ud/*:idt:cancel:migrate-process", "--machine", "qemu", "--accel", "kvm"]),
];
/// How often a moment is drawn for one kill.
const DRAWN: u32 = 20;

/// The command lines for the accelerators that QEMU runs guests on here.
fn in_qemu() -> Vec<Victim> {
    let works = |accelerator| {
        let qemu = Qemu { accelerators: vec![accelerator], ..Qemu::default() };
        qemu.tried(TRY).is_ok()
    };
    IN_QEMU.iter().filter(|(accelerator, _)| works(*accelerator)).map(|(_, victim)| *victim).collect()
}

#[test]
fn nothing_is_left_of_a_driver_of_qemu_that_is_killed() {
    kill("killed-qemu", &in_qemu(), number("MIDFLIGHT_KILLS", 50));
}

#[test]
#[ignore = "takes minutes: `make soak`"]
fn nothing_is_left_of_a_driver_that_is_killed() {
    let mut victims = in_qemu();
    victims.extend(ON_KVM.iter().filter(|_| Path::new(kvm::DEVICE).exists()));
    kill("killed-all", &victims, number("MIDFLIGHT_KILLS", 100));
}

/// Kills drivers, several at once, and looks each time for what is left of one.
fn kill(test: &str, victims: &[Victim], kills: u64) {
    let seed = number("MIDFLIGHT_KILL_SEED", 1);
    eprintln!("MIDFLIGHT_KILL_SEED={seed} MIDFLIGHT_KILLS={kills}");
    if victims.is_empty() {
        eprintln!("skipped, nothing tested: there is neither KVM nor QEMU here");
        return;
    }
    let lanes = std::thread::available_parallelism().unwrap().get();
    let met: Vec<Met> = std::thread::scope(|scope| {
        let start = |lane: usize| {
            let mut drivers = Lane::new(directory(&format!("{test}-{lane}")), victims);
            scope.spawn(move || {
                // While the others run theirs: so it is when they are killed.
                (0..victims.len()).for_each(|victim| drivers.measure(victim));
                (lane as u64..kills).step_by(lanes).for_each(|kill| drivers.kill(seed, kill));
                eprintln!("{}: they last {:?}", drivers.directory.display(), drivers.lasts);
                drivers.met
            })
        };
        let started: Vec<_> = (0..lanes).map(start).collect();
        started.into_iter().map(|lane| lane.join().unwrap()).collect()
    });
    let sum = |of: fn(&Met) -> u64| met.iter().map(of).sum::<u64>();
    let (killed, with_children) = (sum(|met| met.running), sum(|met| met.with_children));
    let (sockets, memory) = (sum(|met| met.sockets), sum(|met| met.memory));
    eprintln!(
        "{killed} drivers were killed while they ran, {with_children} of them with children; they held {sockets} sockets \
         and {memory} memory files"
    );
    assert_eq!(killed, kills);
    // Where nothing is there, nothing can be left.
    assert!(with_children * 2 >= kills && sockets > 0 && memory > 0, "the kills came too early");
}

/// What the kills have met.
#[derive(Default)]
struct Met {
    running: u64,
    with_children: u64,
    sockets: u64,
    memory: u64,
}

/// Drivers that run one after the other.
struct Lane<'a> {
    directory: PathBuf,
    victims: &'a [Victim],
    /// How long each lasts, as it was measured last.
    lasts: Vec<Duration>,
    met: Met,
}

impl<'a> Lane<'a> {
    fn new(directory: PathBuf, victims: &'a [Victim]) -> Self {
        Self { directory, victims, lasts: vec![Duration::ZERO; victims.len()], met: Met::default() }
    }

    fn start(&self, victim: usize, mark: &str) -> Child {
        let mut command = program();
        command.args(self.victims[victim]).current_dir(&self.directory).env("TMPDIR", &self.directory);
        command.env(MARK, mark).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// Lets one run to its end.
    fn measure(&mut self, victim: usize) {
        let mark = format!("{}-measured", self.directory.display());
        let begun = Instant::now();
        let mut child = self.start(victim, &mark);
        let mut ended = None;
        soon(&format!("{:?} does not end", self.victims[victim]), || {
            ended = child.try_wait().unwrap();
            ended.is_some()
        });
        // What it finds is not the question here.
        assert!(ended.unwrap().code().is_some_and(|code| code != 2), "{:?}", self.victims[victim]);
        self.lasts[victim] = begun.elapsed();
    }

    /// Kills one at a moment that the seed and the number of the kill decide.
    fn kill(&mut self, seed: u64, kill: u64) {
        let mut random = Rng::with_seed(seed << 32 | kill);
        let victim = random.usize(..self.victims.len());
        for _ in 0..DRAWN {
            let after = self.lasts[victim].mul_f64(random.f64());
            if self.killed_after(victim, after, kill) {
                return;
            }
        }
        panic!(
            "kill {kill}: {DRAWN} drivers ended before their moments, drawn from {:?}",
            self.lasts[victim]
        );
    }

    /// Whether one was killed `after` its start: not where it has ended before.
    fn killed_after(&mut self, victim: usize, after: Duration, kill: u64) -> bool {
        let what = format!("kill {kill} after {after:?} of {:?}", self.victims[victim]);
        let mark = format!("{}-{}-{kill}", self.directory.display(), std::process::id());
        let begun = Instant::now();
        let mut child = self.start(victim, &mark);
        let leader = child.id();
        std::thread::sleep(after);
        // Every second one is killed when it has another process.
        let mut ended = false;
        soon(&format!("{what}: it has no child"), || {
            ended = child.try_wait().unwrap().is_some();
            ended || kill % 2 == 1 || marked(&mark).len() > 1
        });
        if ended {
            self.lasts[victim] = begun.elapsed().min(self.lasts[victim]);
        } else {
            let processes = marked(&mark);
            let held = Held::of(&processes);
            child.kill().unwrap();
            child.wait().unwrap();
            self.met.running += 1;
            self.met.with_children += u64::from(processes.len() > 1);
            self.met.sockets += held.sockets.len() as u64;
            self.met.memory += held.memory.len() as u64;
            soon(&format!("{what} left processes"), || marked(&mark).is_empty());
            soon(&format!("{what} left some of {held:?}"), || held.is_gone());
        }
        assert_eq!(files(&self.directory), Vec::<PathBuf>::new(), "{what} left files");
        let of_leader = |path: &PathBuf| path.to_string_lossy().contains(&format!("midflight-{leader}"));
        let outside: Vec<_> = files(&std::env::temp_dir()).into_iter().filter(of_leader).collect();
        assert!(outside.is_empty(), "{what} left {outside:?}");
        let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
        assert!(!sockets.contains(&*self.directory.to_string_lossy()), "{what} left a socket's file");
        !ended
    }
}
