//! Images whose source is gone: make removes them, and no midflight carries them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "../../build.rs"]
#[expect(dead_code, clippy::print_stdout, reason = "a build script, whose main is not called here")]
pub(crate) mod build_script;

/// Sources `pf` and `db`, images built of both, and in `images` one of a source that is gone.
struct Tree(PathBuf);

impl Tree {
    fn new(name: &str) -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let tree = Self(root);
        for (file, text) in [
            ("sources/pf.rs", "source"),
            ("sources/db.rs", "source"),
            ("built/pf", "new pf"),
            ("built/db", "db"),
            ("images/pf", "old pf"),
            ("images/db", "db"),
            ("images/de", "de"),
            ("images/.notes", "somebody's"),
            ("images/kept/file", "somebody's"),
        ] {
            let path = tree.path(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        tree
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn make_removes_an_image_without_a_source() {
    let tree = Tree::new("install");
    let unchanged = fs::metadata(tree.path("images/db")).unwrap().modified().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/install-images");
    let install = || {
        let places = ["sources", "built", "images"].map(|name| tree.path(name));
        Command::new(&script).args(places).output().unwrap()
    };
    let done = install();
    assert!(done.status.success(), "{done:?}");
    assert!(String::from_utf8_lossy(&done.stdout).contains("images/de: there is no "), "{done:?}");
    assert_eq!(fs::read(tree.path("images/pf")).unwrap(), b"new pf");
    assert!(!tree.path("images/de").exists());
    // Of no image's kind: hidden, or a directory.
    assert!(tree.path("images/.notes").exists() && tree.path("images/kept/file").exists());
    assert_eq!(fs::metadata(tree.path("images/db")).unwrap().modified().unwrap(), unchanged);
    let again = install();
    assert!(again.status.success() && again.stdout.is_empty(), "{again:?}");
    fs::write(tree.path("built/db"), vec![0; 0x1_0000]).unwrap();
    assert!(install().status.success(), "64 KiB are allowed");
    fs::write(tree.path("built/db"), vec![0; 0x1_0001]).unwrap();
    let large = install();
    assert!(
        !large.status.success()
            && String::from_utf8_lossy(&large.stderr).contains("db.rs: its image has 65537 bytes")
    );
    fs::remove_file(tree.path("built/db")).unwrap();
    fs::write(tree.path("images/db"), "stale").unwrap();
    assert!(!install().status.success(), "an image that was not built is no success");
}

#[test]
fn an_image_without_a_source_is_not_embedded() {
    let tree = Tree::new("embed");
    let names = |chosen: &build_script::Chosen| {
        chosen.images.iter().map(|file| file.file_name().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (images, sources) = (tree.path("images"), tree.path("sources"));
    let chosen = build_script::choose(&images, Some(&sources)).unwrap();
    assert_eq!(names(&chosen), ["db", "pf"]);
    assert_eq!(chosen.warnings.len(), 2, "{chosen:?}");
    assert!(chosen.warnings[1].contains("images/de is not embedded: there is no "), "{chosen:?}");
    assert_eq!(chosen.watched, [images.clone(), sources.clone()]);

    // A new source, and nobody has run make since.
    fs::write(tree.path("sources/gp.rs"), "source").unwrap();
    let chosen = build_script::choose(&images, Some(&sources)).unwrap();
    assert_eq!(names(&chosen), ["db", "pf"]);
    assert!(chosen.warnings[2].contains("gp.rs has no image: run `make images`"), "{chosen:?}");

    // A directory of the user's own, where no source is asked for.
    let chosen = build_script::choose(&images, None).unwrap();
    assert_eq!(names(&chosen), ["db", "de", "pf"]);
    assert!(chosen.warnings[0].contains(".notes is not embedded: it is hidden"), "{chosen:?}");

    // Before anything is built.
    let chosen = build_script::choose(&tree.path("nowhere"), Some(&sources)).unwrap();
    assert!(chosen.images.is_empty() && chosen.warnings.is_empty(), "{chosen:?}");
}

/// The binary under test itself: an image that it carries has a source.
#[test]
fn every_embedded_image_has_a_source() {
    if std::env::var_os("MIDFLIGHT_IMAGES").is_some() {
        eprintln!("skipped, nothing tested: the images are those of MIDFLIGHT_IMAGES");
        return;
    }
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/src/bin");
    for (name, _) in midflight::images::EMBEDDED.iter() {
        assert!(sources.join(format!("{name}.rs")).is_file(), "{name}");
    }
}
