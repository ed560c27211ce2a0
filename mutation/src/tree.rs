//! A copy of the tree, into which faults are written.

use crate::error::Error;
use crate::fault::Fault;
use crate::schema::{SWITCH, with_faults};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What is no source: it is not copied.
const NOT_COPIED: [&str; 3] = ["target", ".git", "mutation"];

/// The root of this workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"))
}

/// A copy of the workspace. All areas share one, because cargo tells a workspace's crates apart by their paths inside it:
/// with a copy for each, and one directory for what is built, it takes the crate of another copy, with that one's
/// faults, for built already.
pub(crate) struct Tree(pub(crate) PathBuf);

impl Tree {
    /// Copies the workspace to a directory, in which files that are the same are left alone, and those that an earlier
    /// round gave faults are as they were.
    pub(crate) fn copy(to: PathBuf) -> Result<Self, Error> {
        for entry in read_dir(root())? {
            let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !NOT_COPIED.contains(&name.as_str()) {
                copy(&entry, &to.join(name))?;
            }
        }
        let manifest = to.join("Cargo.toml");
        let text = read(&manifest)?.replace(", \"mutation\"]", "]");
        write(&manifest, &text)?;
        Ok(Self(to))
    }

    /// Writes the `chosen` ones of the faults, all at once. A file of which none is chosen any more is as it is in the
    /// workspace again.
    pub(crate) fn write(&self, faults: &[Fault], chosen: &[usize]) -> Result<(), Error> {
        let mut of_file: BTreeMap<&str, Vec<(usize, &Fault)>> = BTreeMap::new();
        for (number, fault) in faults.iter().enumerate() {
            let of_file = of_file.entry(&fault.file).or_default();
            if chosen.contains(&number) {
                of_file.push((number, fault));
            }
        }
        let crates: BTreeSet<String> = of_file.keys().map(|file| library(file)).collect();
        let files: BTreeSet<String> =
            of_file.keys().map(|&file| file.to_owned()).chain(crates.clone()).collect();
        for file in files {
            let source = read(&root().join(&file))?;
            let mut text = with_faults(&source, of_file.get(file.as_str()).map_or(&[][..], Vec::as_slice));
            if crates.contains(&file) {
                text = format!("#![allow(warnings, clippy::all)]\n{text}{SWITCH}");
            }
            write(&self.0.join(&file), &text)?;
        }
        Ok(())
    }
}

/// The root of the crate that a file belongs to.
fn library(file: &str) -> String {
    format!("{}/src/lib.rs", file.split('/').next().unwrap_or_default())
}

pub(crate) fn read(file: &Path) -> Result<String, Error> {
    fs::read_to_string(file).map_err(|error| Error::File(file.to_owned(), error))
}

/// Writes a file unless it is so already: cargo looks at its time.
fn write(file: &Path, text: &str) -> Result<(), Error> {
    if fs::read_to_string(file).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::write(file, text).map_err(|error| Error::File(file.to_owned(), error))
}

/// The entries of a directory, sorted.
pub(crate) fn read_dir(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let at = |error| Error::File(directory.to_owned(), error);
    let entries: Result<Vec<PathBuf>, _> =
        fs::read_dir(directory).map_err(at)?.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut entries = entries.map_err(at)?;
    entries.sort();
    Ok(entries)
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    let at = |error| Error::File(to.to_owned(), error);
    if from.is_dir() {
        fs::create_dir_all(to).map_err(at)?;
        for stale in
            read_dir(to)?.iter().filter(|old| !from.join(old.file_name().unwrap_or_default()).exists())
        {
            if stale.is_dir() { fs::remove_dir_all(stale) } else { fs::remove_file(stale) }.map_err(at)?;
        }
        return read_dir(from)?
            .iter()
            .try_for_each(|entry| copy(entry, &to.join(entry.file_name().unwrap_or_default())));
    }
    if from.is_symlink() {
        return Ok(());
    }
    let new = fs::read(from).map_err(at)?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    fs::copy(from, to).map(drop).map_err(at)
}
