//! The tarball of `make dist`: what is in it, and that its bytes depend on nothing else.

use crate::binary::{Ran, directory, embedded, files, run};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A time for all files in it.
const TIME: &str = "1790000000";

/// Places of a test: something that answers as midflight does and is small, and images.
struct Place {
    root: PathBuf,
}

impl Place {
    fn new(name: &str) -> Self {
        let root = directory(name);
        for sub in ["images", "one", "two"] {
            fs::create_dir(root.join(sub)).unwrap();
        }
        fs::write(root.join("images/pf"), "an image").unwrap();
        let script = format!("#!/bin/sh\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_midflight"));
        let place = Self { root };
        place.program(&script);
        place
    }

    fn program(&self, script: &str) {
        let path = self.root.join("program");
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// Packs into a directory, after the words of a shell.
    fn pack(&self, into: &str, before: &str) -> Ran {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/pack");
        let code = format!("{before}; exec \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &code, "sh"]).arg(script).args(["program", "images", into]);
        run(command.current_dir(&self.root).env("SOURCE_DATE_EPOCH", TIME))
    }
}

/// What tar prints of an archive.
fn list(archive: &Path) -> String {
    let output =
        Command::new("tar").args(["-tvz", "--full-time", "-f"]).arg(archive).env("TZ", "UTC").output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

#[test]
fn one_source_gives_one_tarball_whoever_packs_it() {
    let place = Place::new("dist");
    let first = place.pack("one", "umask 077; TZ=Asia/Tokyo; export TZ");
    first.printed(0, &["-linux.tar.gz\n"]);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    fs::write(place.root.join("images/pf"), "an image").unwrap();
    place.pack("two", "umask 000; LC_ALL=C.UTF-8; export LC_ALL").printed(0, &[]);
    let (one, two) = (files(&place.root.join("one")), files(&place.root.join("two")));
    assert_eq!((one.len(), two.len()), (2, 2), "a tarball and its checksum: {one:?}");
    for (one, two) in one.iter().zip(&two) {
        assert_eq!(one.file_name(), two.file_name());
        assert!(fs::read(one).unwrap() == fs::read(two).unwrap(), "{one:?} and {two:?} differ");
    }
    let check = Command::new("sha256sum").arg("-c").arg(&one[1]).current_dir(place.root.join("one")).output();
    assert!(check.as_ref().is_ok_and(|output| output.status.success()), "{check:?}");
}

#[test]
fn the_tarball_has_everything_that_a_test_machine_needs() {
    let place = Place::new("dist-content");
    place.pack("one", ":").printed(0, &[]);
    let archive = &files(&place.root.join("one"))[0];
    let top = format!("midflight-{}-{}-linux", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    assert_eq!(archive.file_name().unwrap().to_str().unwrap(), format!("{top}.tar.gz"));
    let listing = list(archive);
    for file in [
        "midflight",
        "images/pf",
        "README.md",
        "CHANGELOG.md",
        "LICENSE-MIT",
        "known-issues.toml",
        "docs/scenarios.md",
        "man/midflight.1",
        "man/midflight-run.1",
        "man/midflight-on-kernel.1",
        "completions/midflight.bash",
        "completions/_midflight",
    ] {
        assert!(listing.contains(&format!(" {top}/{file}\n")), "{file}: {listing}");
    }
    for line in listing.lines() {
        assert!(line.contains(" 0/0 ") && line.contains(" 2026-09-21 14:13:20 "), "{line}");
        let shape = ["drwxr-xr-x", "-rwxr-xr-x", "-rw-r--r--"];
        assert!(shape.iter().any(|mode| line.starts_with(mode)), "{line}");
    }
}

#[test]
fn what_is_no_midflight_is_not_packed() {
    let place = Place::new("dist-wrong");
    place.program("#!/bin/sh\necho hello\n");
    let refused = place.pack("one", ":");
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("is no midflight"), "{refused:?}");
    assert!(files(&place.root.join("one")).is_empty());
}

/// The binary under test is what its own tests run; the packed one is stripped, and as large as its images.
#[test]
fn images_are_a_small_part_of_what_is_packed() {
    let Some(_) = embedded("pf") else { return };
    let compressed = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap().len()
    };
    let images: usize = midflight::images::EMBEDDED.iter().map(|(_, bytes)| compressed(bytes)).sum();
    assert!(images < 3 << 20, "the images have {images} bytes: `make dist` packs at most 10 MiB in all");
}
