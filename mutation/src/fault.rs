//! A fault: one edit of a source file, which a switch turns on at run time.

use serde::Deserialize;
use std::ops::Range;

/// How an edit is put into the source so that both texts are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Shape {
    /// One value instead of another.
    Expression,
    /// Statements instead of others, or none.
    Statement,
    /// A statement before the others of a function.
    Body,
    /// A condition that a match arm has beside its own.
    Guard,
}

/// A fault.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// The file, from the root of the tree.
    pub(crate) file: String,
    /// The text that is replaced: its place in the file.
    pub(crate) place: Range<usize>,
    /// How the two texts are compiled.
    pub(crate) shape: Shape,
    /// The text as it is.
    pub(crate) from: String,
    /// The text with the fault.
    pub(crate) to: String,
    /// What it is called: the function it is in, or a name of its own.
    pub(crate) name: String,
    /// What it would be in a real hypervisor or processor; empty for a generated one.
    pub(crate) sentence: String,
}

impl Fault {
    /// What tells it from others and stays the same when lines move.
    pub(crate) fn key(&self) -> String {
        format!("{} {}: {}", self.file, self.name, self.edit())
    }

    /// `from` => `to`, in one line each.
    pub(crate) fn edit(&self) -> String {
        let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let (from, to) = (line(&self.from), line(&self.to));
        match self.shape {
            Shape::Expression | Shape::Statement if to.is_empty() => format!("without {from}"),
            Shape::Expression | Shape::Statement => format!("{from} => {to}"),
            Shape::Body => format!("at once {to}"),
            Shape::Guard => format!("without the arm {from}"),
        }
    }
}
