//! Faults that were written down by somebody who had not looked at the cases.

use crate::error::Error;
use crate::fault::{Fault, Shape};
use crate::tree::{read, root};
use serde::Deserialize;

/// A list, as mutation/held-out.toml.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
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

/// The committed list in this file.
pub(crate) fn faults(file: &'static str) -> Result<Vec<Fault>, Error> {
    let list: List = toml::from_str(&read(&root().join(file))?).map_err(|error| Error::Data(file, error))?;
    list.fault.into_iter().map(Entry::found).collect()
}

impl Entry {
    fn found(self) -> Result<Fault, Error> {
        let Self { name, sentence, file, from, to, shape } = self;
        let source = read(&root().join(&file))?;
        let mut places = source.match_indices(&from);
        let (Some((at, _)), None) = (places.next(), places.next()) else {
            let count = source.matches(&from).count();
            return Err(Error::NotOnce { name, file, count });
        };
        Ok(Fault { place: at..at + from.len(), file, shape, from, to, name, sentence })
    }
}
