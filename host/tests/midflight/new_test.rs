//! New images, in a copy of the tree: that of `make new-test` builds, runs, and fails until its expectation is filled
//! in; that of docs/adding-a-case.md does what the page says.

use crate::binary::{Ran, directory, files, midflight, run};
use crate::sample::{assert_shows, block_after, page};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

const TARGET: &str = "x86_64-unknown-none";
/// As README.md names it.
const NAME: &str = "my-rule";

/// A command that knows nothing of the cargo that runs this test.
fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        let of_cargo = name_text.starts_with("CARGO") && name_text != "CARGO_HOME";
        if of_cargo || name_text == "RUSTFLAGS" || name_text.starts_with("MAKE") {
            command.env_remove(&name);
        }
    }
    command
}

/// A copy of the tree for all tests, without what was built; times are kept, so that a second test run builds less.
static TREE: LazyLock<PathBuf> = LazyLock::new(|| {
    let tree = directory("new-test-tree");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let left_out = [".git", "target", "fuzz"].map(|name| root.join(name));
    let parts = files(&root).into_iter().filter(|path| !left_out.contains(path));
    assert!(Command::new("cp").arg("-pR").args(parts).arg(&tree).status().unwrap().success());
    tree
});

/// Builds a new image; the file.
fn build(tree: &Path, name: &str) -> PathBuf {
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join("new-test-built");
    let mut cargo = command("cargo");
    cargo.args(["build", "--locked", "--profile", "guest", "--target", TARGET, "-p", "midflight-tests"]);
    cargo.args(["--bin", name, "--target-dir"]).arg(&built).current_dir(tree);
    let ran = run(&mut cargo);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    built.join(TARGET).join("guest").join(name)
}

fn judged(image: &Path) -> Ran {
    midflight(&["run", "--machine", "model", "--image", &image.display().to_string()])
}

/// Whether images can be built here; else a line says that nothing was tested.
fn can_build() -> bool {
    let libraries = command("rustc").args(["--print", "target-libdir", "--target", TARGET]).output();
    let there =
        libraries.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir());
    if !there {
        eprintln!("skipped, nothing tested: rustc has no {TARGET} here");
    }
    there
}

#[test]
fn a_new_image_fails_until_its_expectation_is_filled_in() {
    if !can_build() {
        return;
    }
    let tree = TREE.as_path();
    let made = run(command("make").args(["new-test", &format!("NAME={NAME}")]).current_dir(tree));
    made.printed(0, &["tests/src/bin/my-rule.rs is a new image", "run --image target/images/my-rule"]);
    let readme = page("README.md");
    let ran = judged(&build(tree, NAME));
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_shows(&ran.stdout, block_after(&readme, "So the run fails:", "```text"));

    // As its comment says.
    let source = tree.join("tests/src/bin/my-rule.rs");
    let text = fs::read_to_string(&source).unwrap();
    let filled_in = text.lines().filter_map(|line| line.strip_prefix("        //     "));
    let filled_in: Vec<&str> = filled_in.collect();
    assert_eq!(filled_in.len(), 2, "{text}");
    fs::write(&source, text.replace("events: &[],", &filled_in.join("\n"))).unwrap();
    let ran = judged(&build(tree, NAME));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_shows(&ran.stdout, block_after(&readme, "is cut at each access", "```text"));
}

#[test]
fn the_example_of_the_documentation_prints_what_it_says() {
    if !can_build() {
        return;
    }
    let page = page("docs/adding-a-case.md");
    let tree = TREE.as_path();
    let source = tree.join("tests/src/bin/de.rs");
    let example = block_after(&page, "Write `tests/src/bin/de.rs`", "```rust");
    fs::write(&source, example).unwrap();
    let ran = judged(&build(tree, "de"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_shows(&ran.stdout, block_after(&page, "### 5. See it run", "```text"));

    let wrong = example.replace("..Event::NEW }],", "event_data: 0x1, ..Event::NEW }],");
    assert_ne!(example, wrong);
    fs::write(&source, wrong).unwrap();
    let ran = judged(&build(tree, "de"));
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_shows(&ran.stdout, block_after(&page, "### 6. See it fail once", "```text"));
}

#[test]
fn a_name_that_no_image_can_have_is_a_sentence_and_no_file() {
    let sources = directory("new-test-sources");
    fs::write(sources.join("pf.rs"), "mine").unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/new-test");
    for (name, sentence) in [
        ("", "name the image: make new-test NAME=my-rule"),
        ("Pf", "begins with a letter"),
        ("1a", "begins with a letter"),
        ("a b", "lower-case letters, digits and dashes"),
        ("a/b", "lower-case letters, digits and dashes"),
        ("../a", "begins with a letter"),
        ("tests", "this name has another meaning"),
        ("a-name-of-17-char", "at most 16 characters"),
        ("pf", "there is an image pf"),
    ] {
        let ran = run(command(script.to_str().unwrap()).arg(name).arg(&sources));
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{name}: {ran:?}");
        assert!(ran.stderr.contains(sentence), "{name}: {ran:?}");
    }
    assert_eq!(files(&sources), [sources.join("pf.rs")]);
    assert_eq!(fs::read(sources.join("pf.rs")).unwrap(), b"mine");
}
