//! QEMU as it may be found: not needed, hanging, crashing, silent, or unable to run a guest.

use crate::binary::{self, Ran, directory, embedded, program};
use crate::fake_qemu::{Script, calls, path};
use crate::marked::{MARK, marked, soon};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

const COLD: &str = "pf/read-unmapped:idt:cold";
const GOOD: Script = Script { version: "echo \"$version\"; exit", tried: "exit 33", image: "exit 1" };

/// Runs midflight with `script` as its QEMU, and without KVM.
fn run(test: &str, script: Script, arguments: &[&str]) -> (Ran, PathBuf) {
    let directory = directory(test);
    let mut command = program();
    command.args(arguments).args(["--kvm", "/no/such/device"]).env("PATH", path(&directory, script));
    let mark = format!("{test}-{}", std::process::id());
    let ran = binary::run(command.env(MARK, &mark).stdin(Stdio::null()));
    soon(&format!("{test}: processes are left: {:?}", marked(&mark)), || marked(&mark).is_empty());
    (ran, directory)
}

#[test]
fn qemu_is_left_alone_when_nothing_selected_needs_it() {
    let Some(_) = embedded("pf") else { return };
    for (number, arguments) in [
        ["run", "pf/read-unmapped:fred:cold", "db/single-step:idt:none"].as_slice(),
        &["run", COLD, "--machine", "model"],
        &["run", COLD, "--behaviour", "stock"],
        &["list"],
        &["compare", "pf", "--machines", "model,model", "--case", "read-unmapped"],
    ]
    .iter()
    .enumerate()
    {
        let (ran, directory) = run(&format!("qemu-unneeded-{number}"), GOOD, arguments);
        assert_eq!((ran.code, calls(&directory).as_str()), (0, ""), "{arguments:?}: {ran:?}");
    }
}

#[test]
fn a_qemu_that_is_no_use_costs_a_sentence_and_no_run() {
    let Some(_) = embedded("pf") else { return };
    let version = |version| Script { version, ..GOOD };
    let tried = |tried| Script { tried, ..GOOD };
    let scripts = [
        ("hangs", version("exec sleep 1000"), "given --version it did not end within 10 s"),
        // A wrapper's child holds the pipes.
        ("wraps", version("sleep 1000; true"), "given --version it did not end within 10 s"),
        ("crashes", version("kill -SEGV $$"), "printed nothing, and ended with signal: 11"),
        ("silent", version("exit"), "printed nothing, and ended with exit status: 0"),
        (
            "boots-not",
            tried("echo 'no firmware' >&2; exit 1"),
            "ended with exit status: 1 instead (accelerator tcg); it says: no firmware",
        ),
        (
            "hangs-later",
            tried("exec sleep 1000"),
            "given a guest that ends at once it did not end within 10 s",
        ),
    ];
    std::thread::scope(|scope| {
        for (name, script, sentence) in scripts {
            scope.spawn(move || {
                let start = Instant::now();
                let (ran, directory) = run(&format!("qemu-{name}"), script, &["run", COLD, "db/*:idt:cold"]);
                let skips = ran.stdout.lines().filter(|line| line.contains(" on qemu: ")).collect::<Vec<_>>();
                let [skip] = skips[..] else { panic!("{ran:?}") };
                let program = directory.join("qemu-system-x86_64");
                let named = format!(" on qemu: {} cannot be used: ", program.display());
                assert!(skip.starts_with("SKIP: ") && skip.contains(&named), "{skip}");
                assert!(skip.contains(sentence), "{skip}");
                ran.printed(0, &["model (payload-reuse)"]);
                assert!(start.elapsed() < Duration::from_secs(120), "a bound that is none");
                assert!(calls(&directory).lines().count() <= 2, "it is tried once: {}", calls(&directory));
            });
            scope.spawn(move || {
                for asked in [["--machine", "qemu"], ["--require", "qemu"]] {
                    let test = format!("qemu-{name}{}", asked[0]);
                    let (ran, _) = run(&test, script, &["run", COLD, asked[0], asked[1]]);
                    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
                    assert!(ran.stderr.contains(sentence) && ran.stderr.lines().count() == 1, "{ran:?}");
                }
            });
        }
    });
}

#[test]
fn a_qemu_that_works_is_one() {
    let Some(_) = embedded("pf") else { return };
    match midflight::machines::qemu::Qemu::default().tried(midflight::machines::qemu::TRY) {
        Ok(qemu) => assert!(qemu.version.starts_with("QEMU emulator version "), "{}", qemu.version),
        Err(midflight::machines::qemu::QemuError::Missing) => {
            eprintln!("skipped, nothing tested: there is no QEMU here");
        }
        Err(error) => panic!("{error}"),
    }
}
