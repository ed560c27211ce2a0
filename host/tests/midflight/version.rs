//! The version: with the commit where that is known, and a function of the source alone.

use crate::binary::{directory, midflight};
use crate::embedded::build_script::version::{Source, date};
use std::fs;
use std::path::Path;
use std::process::Command;

/// A commit's time.
const COMMITTED: &str = "1790000000 +0000";

/// Runs git in a directory as a committer of its own, at [`COMMITTED`]; what it printed, or `None` where there is no
/// git.
fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    command.current_dir(root).args(["-c", "user.name=test", "-c", "user.email=test"]).args(arguments);
    command.env("GIT_COMMITTER_DATE", COMMITTED).env("GIT_AUTHOR_DATE", COMMITTED);
    let output = command.output().ok()?;
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

/// A repository with a source; its commit's first seven digits.
fn repository(root: &Path) -> Option<String> {
    git(root, &["init", "-q"])?;
    fs::create_dir_all(root.join("host/src")).unwrap();
    fs::create_dir_all(root.join("host/build")).unwrap();
    fs::write(root.join("host/src/main.rs"), "fn main() {}\n").unwrap();
    fs::write(root.join("README.md"), "# It\n").unwrap();
    fs::write(root.join("host/build/commit"), include_str!("../../build/commit")).unwrap();
    fs::write(root.join(".gitattributes"), include_str!("../../../.gitattributes")).unwrap();
    git(root, &["add", "."])?;
    git(root, &["commit", "-q", "-m", "source"])?;
    git(root, &["rev-parse", "HEAD"]).map(|commit| commit[..7].to_owned())
}

#[test]
fn the_binary_names_the_commit_of_its_source() {
    let package = env!("CARGO_PKG_VERSION");
    let printed = midflight(&["--version"]).stdout;
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[0], format!("midflight {}", midflight::version::VERSION));
    assert!(lines[0].starts_with(&format!("midflight {package}")), "{printed}");
    assert_eq!(lines[1..], [format!("source of {}", midflight::version::DATE)]);
    assert_eq!(midflight(&["-V"]).stdout.trim_end(), lines[0]);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    if !root.join(".git").exists() {
        eprintln!("skipped, nothing tested: this source is no work tree of git's");
        return;
    }
    let Some(commit) = git(&root, &["rev-parse", "HEAD"]) else { return };
    assert!(lines[0].contains(&format!(" ({}", &commit[..7])), "{printed}, the source is {commit}");
}

#[test]
fn a_work_tree_tells_its_commit_and_that_it_was_modified() {
    let root = directory("version-work-tree");
    let Some(commit) = repository(&root) else { return };
    let source = Source::of(&root);
    assert_eq!(source.in_brackets(), format!(" ({commit})"));
    assert_eq!(date(None, &source).unwrap(), "2026-09-21");
    // Of no influence on the binary.
    fs::write(root.join("README.md"), "# Something else\n").unwrap();
    assert!(!Source::of(&root).modified);
    fs::write(root.join("host/src/main.rs"), "fn main() { }\n").unwrap();
    assert_eq!(Source::of(&root).in_brackets(), format!(" ({commit}, modified)"));
    assert!(source.watched.contains(&root.join("host/src")), "{source:?}");
    assert!(source.watched.iter().any(|path| path.ends_with(".git/HEAD")), "{source:?}");
}

#[test]
fn an_archive_tells_its_commit_without_git() {
    let root = directory("version-archive");
    let Some(commit) = repository(&root) else { return };
    let archived = root.join("archived");
    fs::create_dir(&archived).unwrap();
    git(&root, &["archive", "-o", "source.tar", "HEAD"]).unwrap();
    let tar = Command::new("tar").args(["-xf", "source.tar", "-C", "archived"]).current_dir(&root).status();
    assert!(tar.unwrap().success());
    // In somebody else's work tree, which is not its source.
    let source = Source::of(&archived);
    assert_eq!((source.in_brackets(), source.time), (format!(" ({commit})"), Some(1_790_000_000)));
    fs::remove_file(archived.join("host/build/commit")).unwrap();
    assert_eq!(Source::of(&archived), Source::default());
}

#[test]
fn the_date_is_of_source_date_epoch_or_of_the_commit_and_never_of_today() {
    let unknown = Source::default();
    assert_eq!(unknown.in_brackets(), "");
    assert_eq!(date(None, &unknown).unwrap(), "unknown date");
    let committed = Source { time: Some(0), ..Source::default() };
    assert_eq!(date(None, &committed).unwrap(), "1970-01-01");
    assert_eq!(date(Some("1709164800"), &committed).unwrap(), "2024-02-29");
    for wrong in ["", "yesterday", "1.5", "9223372036854775807"] {
        let error = date(Some(wrong), &committed).unwrap_err();
        assert_eq!(
            error,
            format!("SOURCE_DATE_EPOCH is `{wrong}`: give whole seconds since 1970, or unset it")
        );
    }
}
