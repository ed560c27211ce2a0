//! The commit that this source is, and its date.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// What the binary consists of, from the workspace's directory: a change there is a change of midflight.
const PARTS: [&str; 12] = [
    "Cargo.toml",
    "Cargo.lock",
    "known-issues.toml",
    "predictions.toml",
    "fred/src",
    "protocol/src",
    "firmware/src",
    "vm/src",
    "kvm/src",
    "model/src",
    "host/src",
    "tests/src",
];
/// In an archive of git's this file holds the commit and its time; in a work tree it holds their formats.
const ARCHIVED: &str = "host/build/commit";

/// What a source is known to be.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Source {
    /// The first seven digits of the commit, if it is known.
    pub(crate) commit: Option<String>,
    /// The source is not what was committed.
    pub(crate) modified: bool,
    /// When it was committed, in seconds since 1970.
    pub(crate) time: Option<i64>,
    /// Files whose change may change this.
    pub(crate) watched: Vec<PathBuf>,
}

impl Source {
    /// The source in a directory: a work tree of git's, what `git archive` made of one, or unknown.
    pub(crate) fn of(root: &Path) -> Self {
        Self::in_git(root).or_else(|| Self::archived(root)).unwrap_or_default()
    }

    fn in_git(root: &Path) -> Option<Self> {
        // The directory may lie in somebody else's work tree.
        let top = PathBuf::from(git(root, &["rev-parse", "--show-toplevel"])?);
        if top.canonicalize().ok()? != root.canonicalize().ok()? {
            return None;
        }
        let (commit, time) = commit_and_time(&git(root, &["log", "-1", "--format=%H %ct"])?)?;
        let state =
            git(root, &[&["status", "--porcelain", "--untracked-files=no", "--"], &PARTS[..]].concat());
        let of_git = ["HEAD", "logs/HEAD", "packed-refs"]
            .iter()
            .filter_map(|name| git(root, &["rev-parse", "--git-path", name]).map(|path| root.join(path)));
        let watched = of_git.chain(PARTS.iter().map(|part| root.join(part))).filter(|path| path.exists());
        Some(Self {
            commit: Some(commit),
            modified: state.is_none_or(|files| !files.is_empty()),
            time: Some(time),
            watched: watched.collect(),
        })
    }

    fn archived(root: &Path) -> Option<Self> {
        let file = root.join(ARCHIVED);
        let (commit, time) = commit_and_time(fs::read_to_string(&file).ok()?.trim())?;
        Some(Self { commit: Some(commit), modified: false, time: Some(time), watched: vec![file] })
    }

    /// What follows the package's version: ` (abc1234)`.
    pub(crate) fn in_brackets(&self) -> String {
        let modified = if self.modified { ", modified" } else { "" };
        self.commit.as_ref().map(|commit| format!(" ({commit}{modified})")).unwrap_or_default()
    }
}

/// The day of SOURCE_DATE_EPOCH, or else of the commit; `unknown date` if neither is known. The clock is no part of
/// it: one source gives one binary.
pub(crate) fn date(epoch: Option<&str>, source: &Source) -> Result<String, String> {
    let time = match epoch {
        Some(text) => Some(text.parse().map_err(|_| wrong_epoch(text))?),
        None => source.time,
    };
    let Some(time) = time else { return Ok("unknown date".to_owned()) };
    match chrono::DateTime::from_timestamp(time, 0) {
        Some(time) => Ok(time.format("%Y-%m-%d").to_string()),
        None => Err(wrong_epoch(&time.to_string())),
    }
}

fn wrong_epoch(text: &str) -> String {
    format!("SOURCE_DATE_EPOCH is `{text}`: give whole seconds since 1970, or unset it")
}

/// Splits `COMMIT SECONDS`.
fn commit_and_time(line: &str) -> Option<(String, i64)> {
    let (commit, time) = line.split_once(' ')?;
    let known = commit.len() >= 7 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    known.then_some((commit[..7].to_owned(), time.parse().ok()?))
}

/// What git says in a directory, if it is there and has an answer.
fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    // A hook's variables name its repository.
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GIT_")) {
        command.env_remove(name);
    }
    let output = command.arg("--no-optional-locks").args(arguments).current_dir(root).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
