//! Either side of `save | resume` is killed at a random moment: afterwards there is no process and no file of
//! theirs but a whole guest, and who lives on ends by itself.
//!
//! MIDFLIGHT_KILLS is how many are killed, MIDFLIGHT_KILL_SEED where the moments come from.

use crate::binary::{directory, embedded, files, program};
use crate::marked::{MARK, marked, number, soon};
use crate::this_host;
use midflight::migration::receive;
use std::fs::{read, remove_file};
use std::io::pipe;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

const ON_MODEL: &str = "pf/read-unmapped:fred:block@frame:migrate-process";
const ON_KVM: &str = "pf/read-unmapped:idt:cancel:migrate-process";
/// A kill comes this long after the start, in microseconds: both sides are mostly done in less than the most.
const MOMENT: std::ops::Range<u64> = 0..120_000;

/// Who is killed.
#[derive(Clone, Copy, Debug)]
enum Victim {
    /// `save`, which writes to a pipe.
    Save,
    /// `resume`, which reads from it.
    Resume,
    /// `save`, which writes a file.
    SaveFile,
}

fn start(mark: &str, directory: &Path, arguments: &[&str], input: Stdio, output: Stdio) -> Child {
    let mut command = program();
    command.args(arguments).args(["--timeout", "5", "--wait", "5"]);
    command.env(MARK, mark).env("TMPDIR", directory).current_dir(directory);
    command.stdin(input).stdout(output).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn who_is_killed_leaves_nothing() {
    let Some(_) = embedded("pf") else { return };
    let machines = this_host::machines();
    let (kills, seed) = (number("MIDFLIGHT_KILLS", 24), number("MIDFLIGHT_KILL_SEED", 1));
    let mut random = fastrand::Rng::with_seed(seed);
    let directory = directory("save-kill");
    let (mut met, mut finished) = ([0; 3], 0);
    for kill in 0..kills {
        let victim = [Victim::Save, Victim::Resume, Victim::SaveFile][random.usize(0..3)];
        let machine = machines[random.usize(0..machines.len())];
        let id = if machine == "kvm" { ON_KVM } else { ON_MODEL };
        let moment = Duration::from_micros(random.u64(MOMENT));
        let this = format!("kill {kill} of seed {seed}: {victim:?} on {machine} after {moment:?}");
        let mark = format!("save-kill-{}-{kill}", std::process::id());
        let save = ["save", id, "--machine", machine];
        let (mut killed, other) = match victim {
            Victim::SaveFile => {
                let save = [&save[..], &["-o", "guest"]].concat();
                (start(&mark, &directory, &save, Stdio::null(), Stdio::null()), None)
            }
            Victim::Save | Victim::Resume => {
                let (from, to) = pipe().unwrap();
                let save = start(&mark, &directory, &save, Stdio::null(), to.into());
                let resume = start(&mark, &directory, &["resume"], from.into(), Stdio::null());
                if matches!(victim, Victim::Save) { (save, Some(resume)) } else { (resume, Some(save)) }
            }
        };
        std::thread::sleep(moment);
        met[victim as usize] += u32::from(killed.try_wait().unwrap().is_none());
        killed.kill().unwrap();
        for mut child in [Some(killed), other].into_iter().flatten() {
            let mut status = None;
            soon(&format!("{this}: {} does not end", child.id()), || {
                status = child.try_wait().unwrap();
                status.is_some()
            });
            finished += u32::from(status.is_some_and(|status| status.success()));
        }
        soon(&format!("{this}: processes are left: {:?}", marked(&mark)), || marked(&mark).is_empty());
        // The one moment at which a file has another name is between two system calls, when it is whole.
        for file in files(&directory) {
            let guest = receive(read(&file).unwrap().as_slice());
            assert!(guest.is_ok(), "{this}: {} is no whole guest", file.display());
            remove_file(file).unwrap();
        }
    }
    eprintln!("{kills} kills of seed {seed}: {met:?} were alive; {finished} sides finished");
    // Moments at which nobody is alive prove nothing.
    let all = kills < 24 || !met.contains(&0);
    assert!(all, "the moments are wrong: {met:?} of {kills} met a save, a resume, a save to a file alive");
}
