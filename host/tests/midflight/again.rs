//! The command under a failure, typed into a shell, repeats the failure.

use crate::binary::{Ran, embedded, run};
use crate::{patched, this_host};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const MIGRATE: &str = "pf/read-unmapped:fred:block@frame:migrate";

/// A directory whose name must be quoted for a shell.
fn directory() -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("again: it's $HOME; `no`");
    std::fs::create_dir_all(&path).unwrap();
    path
}

fn typed(program: &str, directory: &Path, arguments: &[&str]) -> Ran {
    run(Command::new(program).args(arguments).current_dir(directory).stdin(Stdio::null()))
}

/// The lines of each failure but the last, and the command that is the last.
fn failures(ran: &Ran) -> Vec<(Vec<&str>, &str)> {
    let mut failures = Vec::new();
    let mut lines: Vec<&str> = Vec::new();
    for line in ran.stdout.lines() {
        match line.strip_prefix("    again: ") {
            Some(command) => failures.push((std::mem::take(&mut lines), command)),
            None if line.starts_with("    ") => lines.push(line),
            // The first line of a failure, or no failure's.
            None => lines = vec![line],
        }
    }
    failures
}

/// Runs midflight, then each command that it prints, in a shell: each must give the failure that it was
/// printed under, and none that has another command. Returns the commands.
fn repeats(directory: &Path, arguments: &[&str], code: i32) -> Vec<String> {
    let ran = typed(env!("CARGO_BIN_EXE_midflight"), directory, arguments);
    assert_eq!(ran.code, code, "{ran:?}");
    let mut failures = failures(&ran);
    assert!(!failures.is_empty(), "{ran:?}");
    // The summary has each once more.
    failures.sort_unstable();
    failures.dedup();
    for (lines, command) in &failures {
        let again = typed("/bin/sh", directory, &["-c", command]);
        assert_eq!(again.code, code, "{command}: {again:?}");
        let given = self::failures(&again);
        assert!(given.contains(&(lines.clone(), command)), "{command}: {again:?}");
        // One command is for all paths of a guest that migrates between machines.
        assert!(given.iter().all(|(_, other)| other == command), "{command}: {again:?}");
    }
    failures.into_iter().map(|(_, command)| command.to_owned()).collect()
}

#[test]
fn a_run_is_repeated_with_its_images_options_and_behaviour() {
    let Some(image) = embedded("pf") else { return };
    let directory = directory();
    std::fs::write(directory.join("pf of mine"), image).unwrap();
    let options = ["--image", "pf of mine", "--behaviour", "kernel-only-event-data", "--repeat", "2"];
    let filters = ["run", "pf/*:fred:block@frame:migrate", "--delivery", "fred"];
    let commands = repeats(&directory, &[&filters[..], &options, &["--frames"]].concat(), 1);
    assert!(commands.len() > 1, "{commands:?}");
    for words in [" --image 'pf of mine'", " --repeat 2", " --frames", " --machine model"] {
        assert!(commands.iter().all(|command| command.contains(words)), "{words}: {commands:?}");
    }
}

#[test]
fn a_timeout_a_log_and_a_list_are_part_of_what_is_repeated() {
    let Some(endless) = patched::with_code(&[0xEB, 0xFE, 0x90]) else { return };
    let directory = directory();
    for (name, bytes) in [("endless pf", endless.as_slice()), ("my log", b""), ("my list", b"")] {
        std::fs::write(directory.join(name), bytes).unwrap();
    }
    let run = ["run", "pf/read-unmapped:idt:none", "--machine", "model", "--timeout", "0.5"];
    let files = ["--image", "endless pf", "--kernel-log", "my log", "--known-issues", "my list"];
    let more = ["--host-fact", "fred_series=a b"];
    let commands = repeats(&directory, &[&run[..], &files, &more].concat(), 2);
    for words in ["--timeout 0.5", "'my log'", "'my list'", "'endless pf'", "'fred_series=a b'"] {
        assert!(commands[0].contains(words), "{words}: {commands:?}");
    }
}

#[test]
fn trace_explore_and_compare_are_repeated() {
    let Some(image) = embedded("pf") else { return };
    let directory = directory();
    std::fs::write(directory.join("pf"), image).unwrap();
    let wrong = ["--behaviour", "kernel-only-event-data"];
    let image = ["--image", "pf"];
    let traced = repeats(&directory, &[&["trace", MIGRATE][..], &wrong, &image].concat(), 1);
    assert!(traced[0].contains(" trace pf/"), "{traced:?}");
    let explore = ["explore", "pf/read-unmapped:fred", "--count", "6", "--time", "3000"];
    let explored = repeats(&directory, &[&explore[..], &wrong, &image].concat(), 1);
    assert!(explored[0].contains(" run pf/read-unmapped:fred:access@"), "{explored:?}");
    let Some(soft) = embedded("soft") else { return };
    std::fs::write(directory.join("soft here"), soft).unwrap();
    let wrong = ["--machines", "model,model", "--behaviour", "int1-retyped"];
    let compare = ["compare", "soft here", "--case", "int1"];
    let compared = repeats(&directory, &[&compare[..], &wrong].concat(), 1);
    assert!(compared[0].contains(" compare 'soft here' --case int1 --delivery fred "), "{compared:?}");
    let migrated = repeats(&directory, &[&compare[..], &wrong, &["--migrate"]].concat(), 1);
    assert!(migrated[0].contains(" --migrate"), "{migrated:?}");
}

#[test]
fn a_command_of_kvm_names_its_device_and_its_storm() {
    let Some(image) = embedded("pf") else { return };
    let Some(_) = this_host::kvm() else { return };
    let directory = directory();
    std::fs::write(directory.join("pf"), image).unwrap();
    let _ = std::fs::remove_file(directory.join("a kvm"));
    std::os::unix::fs::symlink(kvm::DEVICE, directory.join("a kvm")).unwrap();
    let run = ["run", "pf/read-unmapped:idt:storm:migrate", "--machine", "kvm", "--kvm", "a kvm"];
    // More cuts than there can be.
    let storm = ["--storm-cuts", "1000000", "--storm-seconds", "0.2"];
    let ran = typed(env!("CARGO_BIN_EXE_midflight"), &directory, &[&run[..], &storm].concat());
    let failures = failures(&ran);
    let [(_, command)] = failures[..] else { panic!("{ran:?}") };
    assert!(command.ends_with(" --storm-cuts 1000000 --storm-seconds 0.2 --kvm 'a kvm'"), "{command}");
    let again = typed("/bin/sh", &directory, &["-c", command]);
    assert_eq!((again.code, self::failures(&again)[0].1), (ran.code, command), "{again:?}");
}

#[test]
fn the_program_is_found_however_it_was_called() {
    let Some(_) = embedded("pf") else { return };
    let program = Path::new(env!("CARGO_BIN_EXE_midflight"));
    let (directory, name) = (program.parent().unwrap(), program.file_name().unwrap().to_str().unwrap());
    let wrong = ["run", MIGRATE, "--behaviour", "kernel-only-event-data"];
    let said = |called: &str, path: &Path| {
        let mut command = Command::new(program);
        command.arg0(called).args(wrong).current_dir(directory).env("PATH", path).stdin(Stdio::null());
        failures(&run(&mut command))[0].1.split(" run ").next().unwrap().to_owned()
    };
    let absolute = program.to_str().unwrap();
    let nowhere = Path::new("/bin");
    assert_eq!(said(absolute, nowhere), absolute);
    assert_eq!(said(&format!("./{name}"), nowhere), format!("./{name}"));
    assert_eq!(said(name, directory), name, "in PATH");
    // Neither is a way to it.
    assert_eq!(said(name, nowhere), absolute);
    assert_eq!(said("/bin/sh", nowhere), absolute);
    // On a kernel under test: what was typed outside.
    let called = ["--called-as", "sudo midflight on-kernel --"];
    let ran = typed(absolute, directory, &[&called[..], &wrong].concat());
    assert!(ran.stdout.contains("    again: sudo midflight on-kernel -- run pf/"), "{ran:?}");
}
