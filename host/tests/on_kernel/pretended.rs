//! A kernel, modules and an emulator that suffice as long as nothing boots.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub(crate) const MIDFLIGHT: &str = env!("CARGO_BIN_EXE_midflight");

/// A directory of this test's own, removed at its end.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("on-kernel-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: &str, text: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// A script that stands for the emulator.
    pub(crate) fn emulator(&self, script: &str) -> String {
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

pub(crate) fn run(arguments: &[&str]) -> Output {
    Command::new(MIDFLIGHT).arg("on-kernel").args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// The sentence that the run ends with; it must be an error of the harness without any result.
pub(crate) fn sentence(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(output.stdout.is_empty(), "nothing is passed off as a result");
    errors.lines().last().unwrap_or_default().to_owned()
}

/// The run ends as [`sentence`] says, and its sentence has these words.
#[track_caller]
pub(crate) fn ends_with(output: &Output, words: &[&str]) {
    let sentence = sentence(output);
    assert!(words.iter().all(|word| sentence.contains(word)), "{words:?}: {sentence}");
}

/// Whether the binary under test can be an `/init` at all: `make test-unit` builds a static one.
pub(crate) fn is_static() -> bool {
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

/// A bzImage with a setup sector and two more, as far as its header says.
pub(crate) fn kernel_file() -> Vec<u8> {
    let mut file = vec![0; 2048];
    file[0x1F1] = 1;
    file[0x1F4..0x1F8].copy_from_slice(&(1024_u32 / 16).to_le_bytes());
    file[0x1FE..0x200].copy_from_slice(&[0x55, 0xAA]);
    file[0x200..0x208].copy_from_slice(b"\xEB\x6AHdrS\x0F\x02");
    file[0x22C..0x230].copy_from_slice(&0x7FFF_FFFF_u32.to_le_bytes());
    file
}

/// A kernel and modules that suffice as long as nothing boots them.
pub(crate) fn pretended(scratch: &Scratch) -> [String; 4] {
    let kernel = scratch.file("vmlinuz", &kernel_file());
    let modules = scratch.0.join("modules");
    fs::create_dir_all(modules.join("kernel/virt")).unwrap();
    fs::write(modules.join("kernel/kvm-amd.ko"), module("kvm")).unwrap();
    fs::write(modules.join("kernel/virt/kvm.ko"), module("")).unwrap();
    ["--kernel".into(), kernel.display().to_string(), "--modules".into(), modules.display().to_string()]
}

pub(crate) fn with_emulator(name: &str, script: &str, more: &[&str]) -> Option<Output> {
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
