//! `midflight nested`: what it says when there is no result, what it leaves behind, and, where there
//! is a kernel, the whole way.
//!
//! Most tests use a shell script for the emulator: it gets the real command line and the real initrd.
//! The last two boot a kernel: `MIDFLIGHT_NESTED_KERNEL` and `MIDFLIGHT_NESTED_MODULES`, or the one
//! that `make run-tests-nested` has fetched; without one, or without QEMU, they say so and test nothing.
#![expect(clippy::unwrap_used, reason = "the helpers belong to tests, which may panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const MIDFLIGHT: &str = env!("CARGO_BIN_EXE_midflight");

/// A directory of this test's own, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("nested-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// A script that stands for the emulator.
    fn emulator(&self, script: &str) -> String {
        let path = self.file("emulator", format!("#!/bin/sh\n{script}\n").as_bytes());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn run(arguments: &[&str]) -> Output {
    Command::new(MIDFLIGHT).arg("nested").args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// The sentence that the run ends with; it must be an error of the harness without any result.
fn sentence(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(output.stdout.is_empty(), "nothing is passed off as a result");
    errors.lines().last().unwrap_or_default().to_owned()
}

/// Whether the binary under test can be an `/init` at all: `make test-unit` builds a static one.
fn is_static() -> bool {
    let program = fs::read(MIDFLIGHT).unwrap();
    let elf = goblin::elf::Elf::parse(&program).unwrap();
    let interpreted = elf.interpreter.is_some();
    if interpreted {
        eprintln!("skipped, nothing tested: this midflight is not static; use make test-unit");
    }
    !interpreted
}

/// A kernel module's ELF file as far as it is looked at: one section `.modinfo`.
fn module(depends: &str) -> Vec<u8> {
    let names = b"\0.modinfo\0.shstrtab\0";
    let modinfo = format!("license=GPL\0depends={depends}\0");
    let mut file = vec![0; 64];
    file[..20].copy_from_slice(&[
        0x7F, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* ET_REL */ 1, 0,
        /* x86-64 */ 62, 0,
    ]);
    let names_at = file.len() as u64;
    file.extend(names);
    let modinfo_at = file.len() as u64;
    file.extend(modinfo.as_bytes());
    let sections_at = file.len() as u64;
    let mut section = |name: u32, kind: u32, offset: u64, size: u64| {
        let mut header = Vec::new();
        header.extend(name.to_le_bytes());
        header.extend(kind.to_le_bytes());
        header.extend([0; 16]);
        header.extend(offset.to_le_bytes());
        header.extend(size.to_le_bytes());
        header.resize(64, 0);
        file.extend(header);
    };
    section(0, 0, 0, 0);
    section(1, 1, modinfo_at, modinfo.len() as u64);
    section(10, 3, names_at, names.len() as u64);
    file[40..48].copy_from_slice(&sections_at.to_le_bytes());
    file[52..64].copy_from_slice(&[64, 0, 0, 0, 0, 0, 64, 0, 3, 0, 2, 0]);
    file
}

/// A kernel and modules that suffice as long as nothing boots them.
fn pretended(scratch: &Scratch) -> [String; 4] {
    let kernel = scratch.file("vmlinuz", b"kernel");
    let modules = scratch.0.join("modules");
    fs::create_dir_all(modules.join("kernel/virt")).unwrap();
    fs::write(modules.join("kernel/kvm-amd.ko"), module("kvm")).unwrap();
    fs::write(modules.join("kernel/virt/kvm.ko"), module("")).unwrap();
    ["--kernel".into(), kernel.display().to_string(), "--modules".into(), modules.display().to_string()]
}

fn with_emulator(name: &str, script: &str, more: &[&str]) -> Option<Output> {
    if !is_static() {
        return None;
    }
    let scratch = Scratch::new(name);
    let emulator = scratch.emulator(script);
    let mut arguments: Vec<String> = pretended(&scratch).to_vec();
    arguments.extend(["--emulator".into(), emulator]);
    arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
    arguments.extend(["--".into(), "list".into()]);
    Some(run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()))
}

#[test]
fn a_missing_kernel_is_a_sentence() {
    let output = run(&["--kernel", "/nowhere/vmlinuz", "--modules", "/nowhere", "--", "list"]);
    assert!(sentence(&output).contains("there is no kernel at /nowhere/vmlinuz: give one with --kernel"));
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
    assert!(sentence(&run()).contains("kvm_amd needs the module kvm, and there is none below"));
    fs::write(scratch.0.join("modules/kernel/kvm-amd.ko"), b"text").unwrap();
    assert!(sentence(&run()).contains("kvm-amd.ko is no kernel module"));
    fs::remove_file(scratch.0.join("modules/kernel/kvm-amd.ko")).unwrap();
    assert!(sentence(&run()).contains("there is no kvm-amd and no kvm-intel module below"));
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
    assert!(sentence(&run(&words)).contains("no-such-emulator is not here: install QEMU 7.2 or later"));
}

#[test]
fn an_emulator_that_fails_is_quoted() {
    let script = "echo \"-accel tcg,thread=single: unknown option\" >&2; exit 1";
    let Some(output) = with_emulator("fails", script, &[]) else { return };
    let sentence = sentence(&output);
    assert!(sentence.contains("the emulator ended with exit status: 1"), "{sentence}");
    assert!(sentence.contains("QEMU 7.2 or later") && sentence.contains("unknown option"), "{sentence}");
}

#[test]
fn a_panic_is_a_sentence() {
    let script = "echo '[ 1.0] Kernel panic - not syncing: VFS: Unable to mount root fs' >&2; echo '[ 1.1] CPU: 0' >&2";
    let Some(output) = with_emulator("panic", script, &[]) else { return };
    assert!(sentence(&output).contains("the nested kernel gave up: VFS: Unable to mount root fs"));
}

#[test]
fn silence_is_no_result() {
    let Some(output) = with_emulator("silence", "exit 0", &[]) else { return };
    assert!(sentence(&output).contains("the nested host ended without a result"));
}

#[test]
fn text_on_the_record_port_is_no_result() {
    let script = "echo '{\"totals\":{\"pass\":300}}'; printf 'x\\000y\\000'; exit 0";
    let Some(output) = with_emulator("text", script, &[]) else { return };
    assert!(sentence(&output).contains("the nested host ended without a result"));
}

#[test]
fn a_hang_is_ended_and_nothing_is_left() {
    let start = Instant::now();
    let script = "echo $$ >&2; exec sleep 600";
    let Some(output) = with_emulator("hang", script, &["--timeout", "1"]) else { return };
    let sentence = sentence(&output);
    assert!(sentence.contains("timeout: the nested host did not finish within 1 s"), "{sentence}");
    assert!(start.elapsed() < Duration::from_secs(60));
    let pid = sentence.rsplit(' ').next().unwrap();
    assert!(!Path::new("/proc").join(pid).exists(), "process {pid} is left");
}

#[test]
fn the_emulator_dies_with_midflight() {
    if !is_static() {
        return;
    }
    let scratch = Scratch::new("killed");
    let pid_file = scratch.0.join("pid");
    let emulator = scratch.emulator(&format!("echo $$ > {}; exec sleep 600", pid_file.display()));
    let mut child = Command::new(MIDFLIGHT)
        .arg("nested")
        .args(pretended(&scratch))
        .args(["--emulator", &emulator, "--", "list"])
        .stderr(Stdio::null())
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
    let process = Path::new("/proc").join(&pid);
    assert!(process.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    while !is_gone(&process) {
        assert!(Instant::now() < deadline, "process {pid} is left");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Ended: nobody may have come to reap it.
fn is_gone(process: &Path) -> bool {
    match fs::read_to_string(process.join("stat")) {
        Ok(stat) => stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')),
        Err(_) => true,
    }
}

/// A kernel and its modules, and QEMU to boot it.
fn kernel() -> Option<[String; 2]> {
    let from_environment = ["MIDFLIGHT_NESTED_KERNEL", "MIDFLIGHT_NESTED_MODULES"].map(std::env::var);
    let fetched = Path::new(MIDFLIGHT)
        .ancestors()
        .map(|directory| directory.join("nested/linux-image-cloud-amd64"))
        .find(|directory| directory.join("kernel").exists());
    let found = match (from_environment, fetched) {
        ([Ok(kernel), Ok(modules)], _) => Some([kernel, modules]),
        (_, Some(fetched)) => {
            Some(["kernel", "modules"].map(|name| fetched.join(name).display().to_string()))
        }
        _ => None,
    };
    let qemu = Command::new("qemu-system-x86_64").arg("--version").output().is_ok();
    if found.is_none() || !qemu {
        eprintln!("skipped, nothing tested: no kernel (`make run-tests-nested` fetches one), or no QEMU");
        return None;
    }
    found.filter(|_| is_static())
}

#[test]
fn output_and_exit_code_come_back_exactly() {
    let Some([kernel, modules]) = kernel() else { return };
    let inside = |arguments: &[&str]| {
        let mut words = vec!["--kernel", &kernel, "--modules", &modules, "--timeout", "300", "--"];
        words.extend(arguments);
        run(&words)
    };
    let here = |arguments: &[&str]| Command::new(MIDFLIGHT).args(arguments).output().unwrap();
    for arguments in [["list", "*"], ["list", "two words; $(no shell)"]] {
        let (inside, here) = (inside(&arguments), here(&arguments));
        let errors = String::from_utf8_lossy(&inside.stderr).into_owned();
        assert_eq!(inside.status.code(), here.status.code(), "{errors}");
        assert_eq!(inside.stdout, here.stdout);
        assert!(errors.ends_with(&*String::from_utf8_lossy(&here.stderr)), "{errors}");
    }
}

#[test]
fn a_kernel_refuses_modules_of_another() {
    let Some([kernel, _]) = kernel() else { return };
    let scratch = Scratch::new("refused");
    let arguments = pretended(&scratch);
    let output = run(&["--kernel", &kernel, "--modules", &arguments[3], "--timeout", "300", "--", "list"]);
    let sentence = sentence(&output);
    assert!(sentence.contains("inside the nested host: the kernel refused the module kvm: "), "{sentence}");
    assert!(sentence.contains("do kernel and modules belong together?"), "{sentence}");
}
