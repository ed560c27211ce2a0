//! One build of the tree with all faults. Those that do not compile are left out, and named.

use crate::error::Error;
use crate::fault::Fault;
use crate::schema::switch;
use crate::tree::{Tree, read};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A line of `cargo build --message-format=json`.
#[derive(Deserialize)]
struct Line {
    reason: String,
    message: Option<Message>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Message {
    level: String,
    rendered: Option<String>,
    spans: Vec<Span>,
}

#[derive(Deserialize)]
struct Span {
    file_name: String,
    byte_start: usize,
    byte_end: usize,
    is_primary: bool,
}

/// Builds with as many of these faults as compile: the program, and which it has. `arguments` are cargo's.
pub(crate) fn build(
    tree: &Tree,
    target: &Path,
    arguments: &[&str],
    faults: &[Fault],
) -> Result<(PathBuf, Vec<usize>), Error> {
    let mut left: Vec<usize> = (0..faults.len()).collect();
    loop {
        tree.write(faults, &left)?;
        let (program, errors) = cargo(tree, target, arguments)?;
        if let (Some(program), []) = (program, &errors[..]) {
            return Ok((program, left));
        }
        let blamed = errors.iter().flat_map(|error| &error.spans);
        let blamed: Result<BTreeSet<usize>, Error> = blamed
            .filter(|span| span.is_primary)
            .filter_map(|span| blamed_fault(tree, span).transpose())
            .collect();
        let blamed = blamed?;
        if blamed.is_empty() {
            let words = errors.into_iter().filter_map(|error| error.rendered).collect::<String>();
            return Err(Error::Build(words));
        }
        eprintln!("{} faults do not compile and are left out", blamed.len());
        let before = left.len();
        left.retain(|number| !blamed.contains(number));
        if left.len() == before {
            return Err(Error::Build("a fault is to blame that is not there".to_owned()));
        }
    }
}

fn cargo(tree: &Tree, target: &Path, arguments: &[&str]) -> Result<(Option<PathBuf>, Vec<Message>), Error> {
    let mut command = Command::new("cargo");
    command.args(arguments).arg("--message-format=json").current_dir(&tree.0).env("CARGO_TARGET_DIR", target);
    command.stderr(std::process::Stdio::inherit());
    let output = command.output().map_err(|error| Error::Command("cargo".to_owned(), error))?;
    let (mut program, mut errors) = (None, Vec::new());
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(line) = serde_json::from_str::<Line>(line) else { continue };
        if line.reason == "compiler-artifact" && line.executable.is_some() {
            program = line.executable;
        }
        errors.extend(line.message.filter(|message| message.level == "error"));
    }
    if !output.status.success() && errors.is_empty() {
        return Err(Error::Build("cargo gave no error with a place".to_owned()));
    }
    Ok((program, errors))
}

/// The fault whose switch is in the span, or the last one before it.
fn blamed_fault(tree: &Tree, span: &Span) -> Result<Option<usize>, Error> {
    let file = tree.0.join(&span.file_name);
    if !file.starts_with(&tree.0) || !file.is_file() {
        return Ok(None);
    }
    let text = read(&file)?;
    let head = switch(0);
    let head = head.trim_end_matches("0)");
    let number =
        |at: usize| -> Option<usize> { text.get(at + head.len()..)?.split(')').next()?.parse().ok() };
    let inside = text.get(span.byte_start..span.byte_end).and_then(|text| text.find(head));
    let at = match inside {
        Some(at) => Some(span.byte_start + at),
        None => text.get(..span.byte_start).and_then(|text| text.rfind(head)),
    };
    Ok(at.and_then(number))
}
