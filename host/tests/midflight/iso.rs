//! The boot menu of `make iso`: booted by BIOS and by UEFI it runs every image.
//!
//! Without QEMU, GRUB or OVMF, without embedded images or the menu's program, what needs them says so and tests
//! nothing.

use crate::binary::{directory, images, run};
use midflight::machines::qemu::{Qemu, TRY};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Longest boot and run of all images in emulation.
const BOUND: Duration = Duration::from_secs(300);

/// What is typed into the menu: the entry after the first, and Enter.
const SECOND_ENTRY: &[u8] = b"\x0E\r";

/// The menu in a file, or `None` where it cannot be made here.
fn menu(name: &str) -> Option<PathBuf> {
    let targets = Path::new(env!("CARGO_TARGET_TMPDIR")).ancestors();
    let program =
        targets.map(|target| target.join("x86_64-unknown-none/guest/all")).find(|file| file.is_file());
    let qemu = Qemu::default().tried(TRY).is_ok();
    let Some(program) = program.filter(|_| qemu && !images().is_empty()) else {
        eprintln!("skipped, nothing tested: it needs the images, QEMU and the program of `make iso-program`");
        return None;
    };
    let place = directory(name);
    let files = place.join("images");
    fs::create_dir(&files).unwrap();
    for (image, bytes) in midflight::images::EMBEDDED.iter() {
        fs::write(files.join(image), bytes).unwrap();
    }
    let result = place.join("midflight.iso");
    let mut script = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/iso"));
    let made = run(script.arg(program).args([&files, &result]).env("MENU_SECONDS", "3"));
    if made.code == 3 {
        eprintln!("skipped, nothing tested: {}", made.stderr);
        return None;
    }
    assert_eq!(made.code, 0, "{made:?}");
    Some(result)
}

/// Boots the menu, types `keys` when it is there, and gives QEMU's exit code and what came out of COM1.
fn boot(menu: &Path, more: &[&str], keys: &[u8]) -> (Option<i32>, String) {
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-accel", "tcg", "-cpu", "max", "-m", "256", "-nodefaults", "-no-user-config", "-no-reboot"]);
    qemu.args(["-display", "none", "-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]);
    qemu.args(more).arg("-cdrom").arg(menu);
    let mut child = qemu.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (sender, pieces) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = output.read(&mut buffer) {
            if sender.send(buffer[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    let (mut text, mut keys, end) = (Vec::new(), keys, Instant::now() + BOUND);
    while let Ok(piece) = pieces.recv_timeout(end.saturating_duration_since(Instant::now())) {
        text.extend(piece);
        if !keys.is_empty() && String::from_utf8_lossy(&text).contains("GNU GRUB") {
            input.write_all(std::mem::take(&mut keys)).unwrap();
        }
    }
    // At the bound it is still running; else it ends now.
    if Instant::now() >= end {
        child.kill().unwrap();
    }
    (child.wait().unwrap().code(), String::from_utf8_lossy(&text).into_owned())
}

/// The images whose summaries came, in order; each has a number of cases.
fn summaries(text: &str) -> Vec<(String, usize)> {
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("SUMMARY: ")?.split_once(": "));
    let cases = |counts: &str| {
        counts.split(|at: char| !at.is_ascii_digit()).filter_map(|number| number.parse::<usize>().ok()).sum()
    };
    lines.map(|(image, counts)| (image.to_owned(), cases(counts))).collect()
}

#[track_caller]
fn runs_every_image(menu: &Path, firmware: &[&str]) {
    let (code, text) = boot(menu, firmware, b"");
    let mut expected: Vec<(String, usize)> =
        images().iter().map(|image| (image.name.clone(), image.cases.len())).collect();
    expected.sort();
    assert_eq!(summaries(&text), expected, "{text}");
    // QEMU's TCG is right in all that a case of this kind can say, or not: the images decide.
    let failed = text.contains("EXIT: fail");
    assert_eq!(code, Some(if failed { 35 } else { 33 }), "{text}");
}

#[test]
fn booted_by_bios_the_menu_runs_every_image() {
    let Some(menu) = menu("iso-bios") else { return };
    runs_every_image(&menu, &[]);
}

#[test]
fn booted_by_uefi_the_menu_runs_every_image() {
    let Some(code) = ["/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_CODE.fd"]
        .into_iter()
        .find(|file| Path::new(file).is_file())
    else {
        eprintln!("skipped, nothing tested: there is no OVMF here (Debian's package ovmf)");
        return;
    };
    let Some(menu) = menu("iso-uefi") else { return };
    let variables = menu.with_file_name("variables.fd");
    fs::copy(code.replace("CODE", "VARS"), &variables).unwrap();
    let code = format!("if=pflash,format=raw,readonly=on,file={code}");
    let variables = format!("if=pflash,format=raw,file={}", variables.display());
    runs_every_image(&menu, &["-machine", "q35", "-drive", &code, "-drive", &variables]);
}

#[test]
fn an_entry_of_the_menu_is_one_image() {
    let Some(menu) = menu("iso-entry") else { return };
    let (code, text) = boot(&menu, &[], SECOND_ENTRY);
    let mut names: Vec<String> = images().iter().map(|image| image.name.clone()).collect();
    names.sort();
    let ran: Vec<String> = summaries(&text).into_iter().map(|(image, _)| image).collect();
    assert_eq!(ran, names[..1], "{text}");
    assert!(matches!(code, Some(33 | 35 | 39)), "{code:?}: {text}");
}

#[test]
fn what_is_missing_is_named_as_packages() {
    let mut script = Command::new("/bin/sh");
    script.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/iso"));
    let ran = run(script.args(["all", "images", "/no/such/place/iso"]).env("PATH", "/no/such/place"));
    assert_eq!((ran.code, ran.stdout.as_str()), (3, ""), "{ran:?}");
    for package in ["on Debian: apt install", "grub-common", "xorriso", "mtools"] {
        assert!(ran.stderr.contains(package), "{package}: {ran:?}");
    }
}
