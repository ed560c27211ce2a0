//! Bochs that is missing, is none, or does not do what it should: scripts that stand for it.

use crate::pretended::{MIDFLIGHT, Scratch, is_static, pretended, run, sentence};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// A Bochs that answers what it is asked, and does `with_kernel` when it is given the machine of a kernel.
fn bochs(scratch: &Scratch, with_kernel: &str) -> String {
    offering(scratch, 5, with_kernel)
}

/// The same, with a processor that offers the sum of 1, 64-bit mode, and 4, VMX.
fn offering(scratch: &Scratch, features: u8, with_kernel: &str) -> String {
    scratch.emulator(&format!(
        "case \"$*\" in\n\
         '--help cpu') printf 'Supported CPU models:\\n\\nnewest\\n\\nBochs x86 Emulator 9.9\\n' ;;\n\
         --help) echo '-q' ;;\n\
         *) if grep -q 'megs: 512' \"$3\"; then {with_kernel}\nelse echo 'CPUID: {features}'; fi ;;\n\
         esac"
    ))
}

/// The sentence of a run in `bochs`.
fn said(scratch: &Scratch, bochs: &str, more: &[&str]) -> String {
    let arguments = pretended(scratch);
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    sentence(&run(&[&words, &["--bochs", bochs][..], more, &["--", "list"]].concat()))
}

#[test]
fn a_bochs_that_is_missing_or_none_is_a_sentence() {
    if !is_static() {
        return;
    }
    let scratch = Scratch::new("no-bochs");
    assert!(said(&scratch, "/no/such/bochs", &[]).contains("/no/such/bochs is not here: install Bochs"));
    assert!(said(&scratch, "/etc/passwd", &[]).contains("/etc/passwd cannot be executed: install Bochs"));
    assert!(said(&scratch, "/bin/true", &[]).contains("it says no version of Bochs"));
    let other = said(&scratch, &bochs(&scratch, "exit 1"), &["--bochs-cpu", "z80"]);
    assert!(other.contains("it has no CPU model z80; for --bochs-cpu there are newest"), "{other}");
    let both = said(&scratch, "bochs", &["--emulator", "qemu"]);
    assert!(both.contains("--bochs and --bochs-cpu are for Bochs, and --emulator is `qemu`"), "{both}");
}

#[test]
fn a_bochs_without_vmx_is_a_sentence_before_anything_boots() {
    if !is_static() {
        return;
    }
    let scratch = Scratch::new("no-vmx");
    let old = offering(&scratch, 1, "exit 0");
    let why =
        "Bochs x86 Emulator 9.9 (newest) has no VMX, so there is no kvm_intel in it: use a Bochs that was";
    assert!(said(&scratch, &old, &[]).contains(why), "{}", said(&scratch, &old, &[]));
    let tried = |bochs: &str| run(&["--bochs", bochs, "--try-emulator"]);
    assert!(sentence(&tried(&old)).contains(why));
    let good = tried(&bochs(&scratch, "exit 1"));
    assert_eq!((good.status.code(), &*good.stdout), (Some(0), &b"bochs 9.9 (newest)\n"[..]));
}

#[test]
fn a_bochs_that_gives_no_result_is_a_sentence() {
    if !is_static() {
        return;
    }
    let scratch = Scratch::new("bochs-fails");
    let cases = [
        ("exit 0", "the kernel under test ended without a result"),
        ("echo 'x [CPU0 ] >>PANIC<< no'; exit 1", "x [CPU0 ] >>PANIC<< no"),
        ("kill -9 $$", "signal: 9"),
        (
            "exit 3",
            "before it sent anything; a Bochs with x86-64, VMX and the display nogui or rfb is needed",
        ),
        (
            "echo '[1.0] Kernel panic - not syncing: no init'",
            "kernel panic in the kernel under test: no init",
        ),
        ("echo 'FIRMWARE: the disk cannot be read'", "ended without a result"),
    ];
    for (script, why) in cases {
        let said = said(&scratch, &bochs(&scratch, script), &[]);
        assert!(said.contains(why), "{script}: {said}");
    }
}

#[test]
fn a_bochs_that_hangs_is_ended_and_nothing_is_left() {
    if !is_static() {
        return;
    }
    let scratch = Scratch::new("bochs-hangs");
    let start = Instant::now();
    let said = said(&scratch, &bochs(&scratch, "echo $$; exec sleep 600"), &["--timeout", "1"]);
    assert!(said.contains("timeout: the kernel under test did not finish within 1 s"), "{said}");
    assert!(start.elapsed() < Duration::from_secs(60));
    let pid = said.rsplit(' ').next().unwrap();
    assert!(!Path::new("/proc").join(pid).exists(), "process {pid} is left");
    let left: Vec<_> = fs::read_dir(&scratch.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "emulator, kernel and modules: {left:?}");
}

/// `make run-tests-on-kernels` where the Bochs in PATH is none in which a KVM runs.
#[test]
fn a_bochs_of_no_use_is_skipped_with_a_sentence() {
    let scratch = Scratch::new("skipped");
    fs::rename(offering(&scratch, 1, "exit 0"), scratch.0.join("bochs")).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/run-tests-on-kernels");
    let path = format!("{}:{}", scratch.0.display(), std::env::var("PATH").unwrap());
    let arguments = [MIDFLIGHT.as_ref(), scratch.0.as_os_str(), "bochs:no-such-kernel".as_ref()];
    for (path, why) in [
        (
            path.as_str(),
            "SKIPPED: kernel under test: no-such-kernel: Bochs x86 Emulator 9.9 (newest) has no VMX",
        ),
        ("/nowhere", "SKIPPED: kernel under test: no-such-kernel: bochs is not here (Debian: apt install"),
    ] {
        let skipped = Command::new(&script).args(arguments).env("PATH", path).output().unwrap();
        let said = String::from_utf8_lossy(&skipped.stdout).into_owned();
        assert_eq!(skipped.status.code(), Some(3), "{said}");
        assert!(said.starts_with(why), "{said}");
    }
}
