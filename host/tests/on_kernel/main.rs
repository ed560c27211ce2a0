//! `midflight on-kernel`: what it reports when there is no result, what remains afterwards, and, where there
//! is a kernel, the whole way.
//!
//! Most tests use a shell script for the emulator: it gets the real command line and the real initrd.
//! Those in `kernel` boot one: `MIDFLIGHT_TEST_KERNEL` and `MIDFLIGHT_TEST_MODULES`, or the one
//! that `make run-tests-on-kernels` has fetched; without one, or without QEMU, they say so and test nothing.
#![expect(clippy::unwrap_used, reason = "the helpers belong to tests, which may panic")]

mod bochs;
mod kernel;
mod pretended;

use pretended::{
    MIDFLIGHT, Scratch, ends_with, is_static, kernel_file, pretended, run, sentence, with_emulator,
};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn the_old_name_is_refused_with_the_new_one() {
    let old = Command::new(MIDFLIGHT).args(["nested", "--kernel", "k", "--", "run", "pf"]).output().unwrap();
    assert_eq!(sentence(&old), "midflight: `midflight nested` is called `midflight on-kernel` now");
}

#[test]
fn a_missing_kernel_is_a_sentence() {
    let output = run(&["--kernel", "/nowhere/vmlinuz", "--modules", "/nowhere", "--", "list"]);
    ends_with(&output, &["there is no kernel at /nowhere/vmlinuz: give one with --kernel"]);
}

#[test]
fn what_is_no_kernel_is_a_sentence_before_anything_boots() {
    let scratch = Scratch::new("no-kernel");
    let whole = kernel_file();
    let program = fs::read(MIDFLIGHT).unwrap();
    let cases: [(&[u8], &str); 5] = [
        (b"kernel", "cannot be booted: it is neither a bzImage nor an ELF file"),
        (&whole[..whole.len() - 1], "it ends after 2047 bytes and its header says 2048: it is truncated"),
        (&program, "an ELF file without a PVH entry point"),
        (&program[..program.len() / 2], "its header says "),
        (b"\x7FELF\x02", "as an ELF file it cannot be loaded"),
    ];
    for (bytes, why) in cases {
        let kernel = scratch.file("vmlinuz", bytes).display().to_string();
        for emulator in ["qemu", "bochs", "/bin/true"] {
            let said = sentence(&run(&["--kernel", &kernel, "--emulator", emulator, "--", "list"]));
            assert!(said.contains(why), "{emulator}: {said}");
        }
    }
}

#[test]
fn wrong_arguments_of_the_midflight_inside_are_found_before_anything_boots() {
    let wrong = |arguments: &[&str]| sentence(&run(&[&["--kernel", "/nowhere", "--"], arguments].concat()));
    assert!(wrong(&["run", "no-such-case"]).contains("no scenario matches `no-such-case`"));
    assert!(wrong(&["run", "--machine", "kvm", "--partition", "3/2"]).contains("--help"));
    assert!(wrong(&["run", "pf", "--cover"]).contains("there is no kernel at /nowhere"));
    let both = run(&["--kernel", "/nowhere", "--all", "--", "list"]);
    assert!(String::from_utf8_lossy(&both.stderr).contains("cannot be used with"));
}

#[test]
fn missing_modules_are_sentences() {
    if !is_static() {
        return;
    }
    let scratch = Scratch::new("modules");
    let arguments = pretended(&scratch);
    let run = || run(&[&arguments[0], &arguments[1], &arguments[2], &arguments[3], "--", "list"]);
    fs::remove_file(scratch.0.join("modules/kernel/virt/kvm.ko")).unwrap();
    ends_with(&run(), &["kvm_amd needs the module kvm, and there is none below"]);
    fs::write(scratch.0.join("modules/kernel/kvm-amd.ko"), b"text").unwrap();
    ends_with(&run(), &["kvm-amd.ko is not a kernel module"]);
    fs::remove_file(scratch.0.join("modules/kernel/kvm-amd.ko")).unwrap();
    ends_with(&run(), &["there is no kvm-amd and no kvm-intel module below"]);
}

#[test]
fn a_file_where_the_kernel_has_its_own_is_a_sentence() {
    if !is_static() {
        return;
    }
    let scratch = Scratch::new("hidden");
    let arguments = pretended(&scratch);
    for file in ["/proc/self/status", "/dev/null", "/sys/kernel/notes"] {
        let words: Vec<&str> =
            arguments.iter().map(String::as_str).chain(["--file", file, "--", "list"]).collect();
        ends_with(&run(&words), &["--file /", "copy it to another directory first"]);
    }
}

#[test]
fn a_missing_emulator_is_a_sentence() {
    if !is_static() {
        return;
    }
    let scratch = Scratch::new("no-emulator");
    let arguments = pretended(&scratch);
    let mut words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    words.extend(["--emulator", "no-such-emulator -m 1", "--", "list"]);
    ends_with(&run(&words), &["no-such-emulator is not here: install QEMU 7.2 or later"]);
    let kernel = arguments[1].as_str();
    *words.iter_mut().rfind(|word| word.starts_with("no-such")).unwrap() = kernel;
    ends_with(&run(&words), &["vmlinuz cannot be executed: install QEMU 7.2 or later"]);
}

#[test]
fn an_emulator_without_a_result_is_a_sentence() {
    let none: &[&str] = &["the kernel under test ended without a result"];
    for (name, script, words) in [
        (
            "fails",
            "echo \"-accel tcg,thread=single: unknown option\" >&2; exit 1",
            &["the emulator ended with exit status: 1", "QEMU 7.2 or later is needed", "unknown option"][..],
        ),
        (
            "panic",
            "echo '[ 1.0] Kernel panic - not syncing: VFS: Unable to mount root fs' >&2; echo '[ 1.1] CPU: 0' >&2",
            &["kernel panic in the kernel under test: VFS: Unable to mount root fs"],
        ),
        ("silence", "exit 0", none),
        ("killed", "kill -9 $$", &["the emulator ended with signal: 9 (SIGKILL) before it sent anything"]),
        // Text on the port of the records.
        ("text", "echo '{\"totals\":{\"pass\":300}}'; printf 'x\\000y\\000'; exit 0", none),
    ] {
        let Some(output) = with_emulator(name, script, &[]) else { return };
        ends_with(&output, words);
    }
}

#[test]
fn a_hang_is_ended_and_nothing_is_left() {
    let start = Instant::now();
    let script = "echo $$ >&2; exec sleep 600";
    let Some(output) = with_emulator("hang", script, &["--timeout", "1"]) else { return };
    let sentence = sentence(&output);
    assert!(sentence.contains("timeout: the kernel under test did not finish within 1 s"), "{sentence}");
    assert!(start.elapsed() < Duration::from_secs(60));
    let pid = sentence.rsplit(' ').next().unwrap();
    assert!(!Path::new("/proc").join(pid).exists(), "process {pid} is left");
}

/// A run of the midflight inside with these arguments, in an emulator that does nothing; its process.
fn in_an_idle_emulator(scratch: &Scratch, arguments: &[&str]) -> (Child, PathBuf) {
    let pid_file = scratch.0.join("pid");
    let emulator = scratch.emulator(&format!("echo $$ > {}; exec sleep 600", pid_file.display()));
    let child = Command::new(MIDFLIGHT)
        .arg("on-kernel")
        .args(pretended(scratch))
        .args(["--emulator", &emulator, "--jobs", "1", "--"])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let pid = loop {
        let text = fs::read_to_string(&pid_file).unwrap_or_default();
        if text.ends_with('\n') {
            break text.trim().to_owned();
        }
        assert!(Instant::now() < deadline, "the emulator was not started");
        std::thread::sleep(Duration::from_millis(10));
    };
    let process = Path::new("/proc").join(pid);
    assert!(process.exists());
    (child, process)
}

fn goes_away(process: &Path) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_gone(process) {
        assert!(Instant::now() < deadline, "{} is left", process.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_emulator_dies_with_midflight() {
    if !is_static() {
        return;
    }
    let (mut child, emulator) = in_an_idle_emulator(&Scratch::new("killed"), &["list"]);
    child.kill().unwrap();
    child.wait().unwrap();
    goes_away(&emulator);
}

#[test]
fn a_run_that_a_signal_ends_has_a_summary() {
    if !is_static() {
        return;
    }
    let scratch = Scratch::new("ended");
    let (child, emulator) = in_an_idle_emulator(&scratch, &["run", "pf", "--machine", "kvm"]);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(143), "{output:?}");
    assert!(text.contains("SIGTERM ended the run: ") && text.contains("0 passed, 0 failed"), "{text}");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("midflight: "), "{output:?}");
    goes_away(&emulator);
}

/// Ended: nobody may have come to reap it.
fn is_gone(process: &Path) -> bool {
    match fs::read_to_string(process.join("stat")) {
        Ok(stat) => stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')),
        Err(_) => true,
    }
}

#[test]
fn a_kernel_with_kvm_built_in_is_booted_without_modules() {
    if !is_static() {
        return;
    }
    let scratch = Scratch::new("built-in");
    let [kernel_option, kernel, modules_option, modules] = pretended(&scratch);
    for module in ["kvm-amd.ko", "virt/kvm.ko"] {
        fs::remove_file(Path::new(&modules).join("kernel").join(module)).unwrap();
    }
    let emulator = scratch.emulator("echo booted >&2; exit 1");
    let run = |modules: &[&str]| {
        run(&[&[&kernel_option, &*kernel], modules, &["--emulator", &emulator, "--", "list"]].concat())
    };
    let with_modules = [&*modules_option, &*modules];
    let refused = sentence(&run(&with_modules));
    assert!(refused.contains("and its modules.builtin names neither"), "{refused}");
    fs::write(Path::new(&modules).join("modules.builtin"), "kernel/arch/x86/kvm/kvm-amd.ko\n").unwrap();
    for modules in [&with_modules[..], &[]] {
        let booted = sentence(&run(modules));
        assert!(booted.contains("the emulator ended with exit status: 1"), "{booted}");
        assert!(booted.ends_with("booted"), "{booted}");
    }
}

#[test]
fn words_are_added_to_the_kernels_command_line() {
    let script = "echo \"$@\" >&2; exit 1";
    let Some(output) = with_emulator("append", script, &["--append", "fred=on", "--append", "-x kvm.y=1"])
    else {
        return;
    };
    let line = sentence(&output);
    assert!(line.ends_with(" fred=on -x kvm.y=1 -- midflight-init"), "{line}");
    let Some(output) = with_emulator("append-ends", script, &["--append", "fred=on -- x"]) else { return };
    ends_with(&output, &["--append `fred=on -- x` holds `--`"]);
    let long = "x".repeat(3000);
    let Some(output) = with_emulator("append-long", script, &["--append", &long]) else { return };
    ends_with(&output, &["--append is too long"]);
}
