//! Every command that the documentation shows is run: here, in a shell, as a person would, or where the table says.

use crate::binary::{Ran, directory, images, run};
use crate::documented;
use crate::sample::{blocks, page};
use crate::this_host;
use midflight::images::EMBEDDED;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How lines begin that are not run here, and which file of the tree runs them, or the same with a smaller selection.
const RUN_BY: [(&str, &str); 27] = [
    ("make build", "Makefile"),
    ("make test", ".ci/run"),
    ("make run-tests-on-kernels", ".ci/run"),
    ("make new-test NAME=", "host/tests/midflight/new_test.rs"),
    ("make images", "host/tests/midflight/new_test.rs"),
    ("target/release/midflight run --image ", "host/tests/midflight/new_test.rs"),
    ("target/release/midflight run de/", "host/tests/midflight/new_test.rs"),
    ("make iso", "host/tests/midflight/iso.rs"),
    ("qemu-system-x86_64 -accel tcg -cpu max -m 256 -cdrom ", "host/tests/midflight/iso.rs"),
    ("timeout --foreground -k 5 60 qemu-system-x86_64 ", "host/tests/midflight/plain_qemu.rs"),
    ("make dist", "scripts/dist-twice"),
    ("tar -xzf midflight-", "host/tests/midflight/dist.rs"),
    ("./run-in-ci results ", "host/tests/midflight/run_in_ci.rs"),
    ("cat results/results.ktap", "host/tests/midflight/run_in_ci.rs"),
    // Every scenario that the host offers: `make test-scenarios`.
    ("target/release/midflight run\n", "Makefile"),
    ("midflight run\n", "Makefile"),
    ("midflight run --machine bochs --bochs", "host/tests/midflight/bochs.rs"),
    ("midflight run --machine qemu", "host/tests/midflight/qemu.rs"),
    ("./midflight run --require kvm,fred", "host/tests/midflight/cli.rs"),
    ("midflight compare\n", "host/tests/midflight/compare.rs"),
    ("midflight compare --migrate\n", "host/tests/midflight/compare.rs"),
    (
        "midflight save pf/read-unmapped:idt:cancel:migrate-process | ssh ",
        "host/tests/midflight/save_resume.rs",
    ),
    ("target/release/midflight debug ", "host/tests/midflight/debugger.rs"),
    ("target/release/midflight mutants --format html > ", "host/tests/midflight/report_page.rs"),
    ("midflight on-kernel ", "host/tests/on_kernel/main.rs"),
    // What a person with a kernel tree runs: no machine without one can.
    ("make -C ~/linux bzImage", "docs/fred-series.md"),
    ("target/release/midflight on-kernel --kernel ~/linux/", "host/tests/on_kernel/bochs.rs"),
];

/// The beginning of a run of everything whose results the next line reads, and the words that make it shorter.
const SHORTER: (&str, &str) = ("target/release/midflight run --format json", "pf --machine model");

/// The commands of a page, a line each, without their comments and with single blanks.
fn commands(page: &str) -> Vec<String> {
    let lines = blocks(page, "```sh")
        .flat_map(|block| block.replace("\\\n", " ").lines().map(str::to_owned).collect::<Vec<_>>());
    let words = lines.map(|line| {
        let line = line.split(" # ").next().unwrap_or_default();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    });
    words.filter(|line| !line.is_empty()).collect()
}

/// Where a line is run if not here.
fn run_by(line: &str) -> Option<usize> {
    let line = format!("{line}\n");
    RUN_BY.iter().position(|(start, _)| line.starts_with(start))
}

/// A directory like a clone after `make build`, and like the unpacked tarball: the program, and the images.
fn built(name: &str) -> PathBuf {
    let root = directory(name);
    let program = env!("CARGO_BIN_EXE_midflight");
    fs::create_dir_all(root.join("target/release")).unwrap();
    fs::create_dir_all(root.join("target/images")).unwrap();
    for place in ["midflight", "target/release/midflight"] {
        symlink(program, root.join(place)).unwrap();
    }
    for (name, bytes) in EMBEDDED.iter() {
        fs::write(root.join("target/images").join(name), bytes).unwrap();
    }
    root
}

/// A line in a shell whose directory is the clone, with midflight in PATH.
fn in_a_shell(root: &Path, line: &str) -> Ran {
    let path = std::env::var("PATH").unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).current_dir(root).stdin(Stdio::null());
    run(shell.env("PATH", format!("{}:{path}", root.display())))
}

/// Whether the line did what it is there for: with a wrong behaviour it shows a failure; a host without KVM, or without
/// Bochs, says so.
fn is_right(line: &str, ran: &Ran, has_kvm: bool) -> bool {
    match ran.code {
        0 => !line.contains("--behaviour"),
        1 => line.contains("--behaviour"),
        2 => !has_kvm && ran.stderr.contains("/dev/kvm") || ran.stderr.contains("bochs is not here"),
        _ => false,
    }
}

#[test]
fn every_command_is_run() {
    if images().is_empty() {
        return;
    }
    let has_kvm = this_host::kvm().is_some();
    let mut used = [false; RUN_BY.len()];
    let mut ran_here = 0;
    for name in documented::pages().into_iter().chain(["CONTRIBUTING.md".to_owned()]) {
        let root = built(&format!("documented-{}", name.replace('/', "-")));
        for line in commands(&page(&name)) {
            if let Some(other) = run_by(&line) {
                used[other] = true;
                continue;
            }
            let ran =
                in_a_shell(&root, &line.replacen(SHORTER.0, &format!("{} {}", SHORTER.0, SHORTER.1), 1));
            assert!(is_right(&line, &ran, has_kvm), "{name}: {line}: {ran:?}");
            ran_here += 1;
        }
    }
    assert!(ran_here >= 10, "{ran_here} commands were run");
    for ((start, place), used) in RUN_BY.iter().zip(used) {
        assert!(used, "no page has a line that begins with `{start}`");
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(place);
        assert!(file.exists(), "there is no {place}");
    }
}
