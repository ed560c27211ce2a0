//! Bochs as it may be found: absent, something else, hanging, silent, crashing, or one that works.

use crate::binary::{self, Ran, directory, embedded, program};
use crate::marked::{MARK, marked, soon};
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

const COLD: &str = "pf/read-unmapped:idt:cold";

/// What a Bochs does that is a shell script.
#[derive(Clone, Copy)]
struct Script {
    /// Asked for its CPU models.
    asked: &'static str,
    /// Given the guest by which it is tried.
    tried: &'static str,
    /// Given an image.
    image: &'static str,
}

/// One that is tried and found good.
const GOOD: Script = Script {
    asked: "printf 'Supported CPU models:\\n\\nold_lake\\nnew_lake\\n\\n==\\n Bochs x86 Emulator 99.0\\n'",
    tried: "echo 'CPUID: 1'",
    image: "exec sleep 1000",
};

/// Whether a guest's disk has an image's command line says which of the two it is.
fn script(directory: &Path, script: Script) -> PathBuf {
    let Script { asked, tried, image } = script;
    let text = format!(
        "#!/bin/sh\ncase \"$*\" in\n'--help cpu') {asked}; exit ;;\n--help) exit ;;\nesac\n\
         disk=$(sed -n 's/.*type=disk, path=\\([^,]*\\),.*/\\1/p' \"$3\")\n\
         if grep -aq delivery= \"$disk\"; then {image}; else {tried}; fi\n"
    );
    std::fs::create_dir_all(directory).unwrap();
    let file = directory.join("bochs");
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    file
}

/// Runs midflight, without KVM, and sees that it leaves no process.
fn run(test: &str, arguments: &[&str], path: Option<OsString>) -> Ran {
    let mut command = program();
    command.args(arguments).args(["--kvm", "/no/such/device"]);
    command.env("PATH", path.unwrap_or_else(|| std::env::var_os("PATH").unwrap_or_default()));
    let mark = format!("{test}-{}", std::process::id());
    let ran = binary::run(command.env(MARK, &mark).stdin(Stdio::null()));
    soon(&format!("{test}: processes are left: {:?}", marked(&mark)), || marked(&mark).is_empty());
    ran
}

#[test]
fn a_bochs_that_is_no_use_is_a_sentence() {
    if embedded("pf").is_none() {
        return;
    }
    let scripts = [
        ("silent", Script { asked: "true", ..GOOD }, "given `--help cpu` it says no version of Bochs"),
        (
            "modelless",
            Script { asked: "echo ' Bochs x86 Emulator 99.0'", ..GOOD },
            "given `--help cpu` it lists no CPU models",
        ),
        (
            "hangs",
            Script { asked: "exec sleep 1000", ..GOOD },
            "given `--help cpu` it did not end within 10 s",
        ),
        (
            "hangs-later",
            Script { tried: "sleep 1000; true", ..GOOD },
            "given a guest that ends at once it did not end",
        ),
        (
            "panics",
            Script { tried: "echo '0p[MEM] >>PANIC<< no ROM' >&2; exit 1", ..GOOD },
            "on CPU model new_lake it says: 0p[MEM] >>PANIC<< no ROM",
        ),
        ("is-killed", Script { tried: "kill -SEGV $$", ..GOOD }, "on CPU model new_lake it says: (none)"),
        (
            "is-small",
            Script { tried: "echo 'CPUID: 0'", ..GOOD },
            "its CPU model new_lake has no 64-bit mode",
        ),
        ("floods", Script { tried: "exec yes", ..GOOD }, "Bochs printed more than 1048576 bytes"),
    ];
    std::thread::scope(|scope| {
        for (name, what, sentence) in scripts {
            scope.spawn(move || {
                let file = script(&directory(&format!("bochs-{name}")), what);
                let skipped = || {
                    let mut path = file.parent().unwrap().as_os_str().to_owned();
                    path.push(":");
                    path.push(std::env::var_os("PATH").unwrap_or_default());
                    run(&format!("bochs-{name}-skip"), &["run", COLD], Some(path))
                };
                let ran = skipped();
                let skip = ran.stdout.lines().find(|line| line.contains(" on bochs: ")).unwrap_or_default();
                assert!(skip.starts_with("SKIP: 1 ") && skip.contains(sentence), "{name}: {ran:?}");
                assert_eq!(ran.code, 0, "{name}: {ran:?}");
                let file = file.to_str().unwrap();
                let ran = run(
                    &format!("bochs-{name}"),
                    &["run", COLD, "--machine", "bochs", "--bochs", file],
                    None,
                );
                assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{name}: {ran:?}");
                assert!(ran.stderr.contains(sentence) && ran.stderr.lines().count() == 1, "{name}: {ran:?}");
            });
        }
    });
}

#[test]
fn an_image_without_an_end_is_an_error() {
    if embedded("pf").is_none() {
        return;
    }
    for (name, image, says) in [
        (
            "hangs",
            "echo PASS: pf/read-unmapped; exec sleep 1000",
            "its last line was: PASS: pf/read-unmapped",
        ),
        (
            "silent",
            "exit 1",
            "Bochs ended with exit status: 1 and the image did not say how it ended: (none)",
        ),
        ("killed", "kill -KILL $$", "Bochs ended with signal: 9"),
        ("floods", "exec yes", "Bochs printed more than 1048576 bytes and was killed"),
        ("contradicts", "echo EXIT: pass", "the image contradicts itself: it printed no summary"),
    ] {
        let file = script(&directory(&format!("bochs-image-{name}")), Script { image, ..GOOD });
        let arguments =
            ["run", COLD, "--machine", "bochs", "--timeout", "2", "--bochs", file.to_str().unwrap()];
        let ran = run(&format!("bochs-image-{name}"), &arguments, None);
        assert!(ran.code == 2 && ran.stdout.contains(says), "{name}: {ran:?}");
    }
}

#[test]
fn what_was_named_must_be_there() {
    if embedded("pf").is_none() {
        return;
    }
    let file = script(&directory("bochs-named"), GOOD);
    let file = file.to_str().unwrap();
    for (arguments, sentence) in [
        (["--bochs", "/no/such/bochs"].as_slice(), "/no/such/bochs is not here: install Bochs"),
        (
            &["--bochs", file, "--bochs-cpu", "no_lake"],
            "it has no CPU model no_lake; for --bochs-cpu there are old_lake, new_lake",
        ),
        (
            &["--machine", "model", "--bochs", file],
            "--bochs and --bochs-cpu are for bochs, which is not run with model",
        ),
        (&["--behaviour", "stock", "--bochs-cpu", "no_lake"], "which is not run with model"),
        (
            &["--machine", "bochs", "--behaviour", "stock"],
            "--behaviour is for the model; bochs behaves as it does",
        ),
        (&["--machine", "bochs", "--bochs", file, "--delivery", "fred"], "no scenario is left"),
    ] {
        let ran = run("bochs-named", &[&["run", COLD], arguments].concat(), None);
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(sentence), "{arguments:?}: {ran:?}");
    }
}

#[test]
fn a_bochs_without_fred_skips_what_needs_it() {
    if embedded("pf").is_none() {
        return;
    }
    let file = script(&directory("bochs-fredless"), GOOD);
    let ran = run(
        "bochs-fredless",
        &["run", "pf/read-unmapped:fred:cold", "--machine", "bochs", "--bochs", file.to_str().unwrap()],
        None,
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    let sentence = "Bochs x86 Emulator 99.0 (new_lake) has no CPU model with FRED among those tried (new_lake, old_lake)";
    assert!(ran.stdout.contains(sentence) && ran.stdout.contains("nothing tested"), "{ran:?}");
}

#[test]
fn a_bochs_that_works_runs_images() {
    if embedded("pf").is_none() {
        return;
    }
    let missing = "bochs is not here";
    let ran = run("bochs-works", &["run", "pf/*:cold", "--machine", "bochs"], None);
    if ran.stderr.contains(missing) {
        eprintln!("skipped, nothing tested: there is no Bochs here");
        return;
    }
    assert!(ran.code == 0 && ran.stdout.contains(" 0 failed, "), "{ran:?}");
    let ran =
        run("bochs-compares", &["compare", "pf", "--machines", "model,bochs", "--delivery", "idt"], None);
    assert!(ran.code == 0 && ran.stdout.contains("9 the same, 0 different"), "{ran:?}");
    let ran = run("bochs-migrates", &["compare", "pf", "--machines", "model,bochs", "--migrate"], None);
    assert!(ran.code == 2 && ran.stderr.contains("guests do not migrate to or from bochs"), "{ran:?}");
}
