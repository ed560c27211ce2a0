//! A list in which everything stands once.

use serde::{Serialize, Serializer};
use std::collections::HashMap;
use std::hash::Hash;

/// What was put in, in that order; each is known by its index.
#[derive(Debug)]
pub(super) struct Interned<T>(HashMap<T, usize>);

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Eq + Hash> Interned<T> {
    /// The index of `one`, which is added if it is new.
    pub(super) fn index(&mut self, one: T) -> usize {
        let next = self.0.len();
        *self.0.entry(one).or_insert(next)
    }

    /// Everything, in the order of the indices.
    pub(super) fn list(&self) -> Vec<&T> {
        let mut all: Vec<(&T, usize)> = self.0.iter().map(|(one, index)| (one, *index)).collect();
        all.sort_unstable_by_key(|(_, index)| *index);
        all.into_iter().map(|(one, _)| one).collect()
    }
}

impl Interned<String> {
    /// The index of a text.
    pub(super) fn text(&mut self, text: &str) -> usize {
        match self.0.get(text) {
            Some(index) => *index,
            None => self.index(text.to_owned()),
        }
    }
}

impl<T: Eq + Hash + Serialize> Serialize for Interned<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.list().serialize(serializer)
    }
}
