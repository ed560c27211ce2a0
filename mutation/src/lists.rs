//! Faults that were written down by people who had not looked at the cases: the files of `mutation/lists`.

use crate::error::Error;
use crate::fault::{Fault, Shape};
use crate::tree::{read, read_dir, root};
use serde::Deserialize;
use std::path::Path;

/// What one of them wrote down.
#[derive(Clone, Debug)]
pub(crate) struct List {
    /// The name of its file.
    pub(crate) name: String,
    /// Who, when, and what came of it.
    pub(crate) about: String,
    pub(crate) faults: Vec<Fault>,
}

/// A file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    about: String,
    fault: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    sentence: String,
    file: String,
    from: String,
    to: String,
    #[serde(default = "expression")]
    shape: Shape,
}

const fn expression() -> Shape {
    Shape::Expression
}

/// The committed lists, in the order of their names.
pub(crate) fn lists() -> Result<Vec<List>, Error> {
    read_dir(&root().join("mutation/lists"))?.iter().map(|file| list(file)).collect()
}

fn list(file: &Path) -> Result<List, Error> {
    let File { about, fault } =
        toml::from_str(&read(file)?).map_err(|error| Error::Data(file.to_owned(), error))?;
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let faults = fault.into_iter().map(|entry| entry.found(&name)).collect::<Result<_, _>>()?;
    Ok(List { name, about, faults })
}

impl Entry {
    fn found(self, list: &str) -> Result<Fault, Error> {
        let Self { name, sentence, file, from, to, shape } = self;
        let source = read(&root().join(&file))?;
        let mut places = source.match_indices(&from);
        let (Some((at, _)), None) = (places.next(), places.next()) else {
            let count = source.matches(&from).count();
            return Err(Error::NotOnce { list: list.to_owned(), name, file, count });
        };
        Ok(Fault { place: at..at + from.len(), file, shape, from, to, name, sentence })
    }
}
