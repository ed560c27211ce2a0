//! Filters: which ids a word of the command line means.
//!
//! The components of an id are what `/` and `:` separate: image, case, delivery, `nopayload`, stop and
//! action. `@`, `+`, `=` and `,` separate nothing: `block@frame` and `migrate+disturb` are one component
//! each. A filter is
//!
//! 1. with `*`, a pattern for the whole id, in which `*` stands for any text;
//! 2. the name of an image: all of that image;
//! 3. anything else: one or more whole components in a row, anywhere in the id. So an id means itself,
//!    `pf/read-unmapped` all of that case, `cold` every cold scenario, `migrate` every scenario with just
//!    that action.
//!
//! A filter without any component (`''`, `:`) is refused: it is more likely a mistake than a filter for everything.

mod near;

pub use near::near;

use crate::image::Image;
use crate::scenario::{SEPARATORS, pattern, renamed};
use std::fmt;

/// A filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    text: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Pattern,
    Image,
    Components,
}

/// A filter names nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFilter {
    /// It has no component.
    #[error("the filter `{0}` names nothing; `*` means every scenario, and so does no filter at all")]
    NoComponent(String),
    /// It has the earlier name of a case.
    #[error("the filter `{text}` names nothing: {problem}")]
    Renamed {
        /// The filter.
        text: String,
        /// The name of now.
        problem: &'static str,
    },
}

impl Filter {
    /// What `text` means where these are the images. Fails when it has no component, or the earlier name of a
    /// case.
    pub fn new(text: &str, images: &[Image]) -> Result<Self, InvalidFilter> {
        if text.trim_matches(|c: char| SEPARATORS.contains(&c) || c.is_whitespace()).is_empty() {
            return Err(InvalidFilter::NoComponent(text.to_owned()));
        }
        if let Some(problem) = renamed::problem(text) {
            return Err(InvalidFilter::Renamed { text: text.to_owned(), problem });
        }
        let kind = if text.contains('*') {
            Kind::Pattern
        } else if images.iter().any(|image| image.name == text) {
            Kind::Image
        } else {
            Kind::Components
        };
        Ok(Self { text: text.to_owned(), kind })
    }

    /// Whether it means the scenario with this id, or a part of an id that begins with the image.
    pub fn matches(&self, id: &str) -> bool {
        match self.kind {
            Kind::Pattern => pattern::matches(&self.text, id),
            Kind::Image => id.split_once('/').is_some_and(|(image, _)| image == self.text),
            Kind::Components => has_components(id, &self.text),
        }
    }

    /// Whether it can mean a scenario of the image with this name. Only a word with `/` says no: an id has one, after
    /// its image.
    pub fn may_be_of(&self, image: &str) -> bool {
        let named = match self.kind {
            Kind::Image => Some(self.text.as_str()),
            Kind::Components => self.text.split_once('/').map(|(image, _)| image),
            Kind::Pattern => {
                let certain = self.text.split('*').next().unwrap_or_default();
                certain.split_once('/').map(|(image, _)| image)
            }
        };
        named.is_none_or(|named| named == image || named.is_empty())
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// What it means, for people.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.text;
        match self.kind {
            Kind::Pattern => write!(f, "`{text}` as a pattern for the whole id"),
            Kind::Image => write!(f, "`{text}`, the image"),
            Kind::Components => write!(f, "`{text}` as whole components"),
        }
    }
}

/// Whether `part` is in `id` and both of its ends are ends of components.
fn has_components(id: &str, part: &str) -> bool {
    let at_border = |(at, _): (usize, &str)| {
        let (before, after) = (&id[..at], &id[at + part.len()..]);
        (before.is_empty() || before.ends_with(SEPARATORS) || part.starts_with(SEPARATORS))
            && (after.is_empty() || after.starts_with(SEPARATORS) || part.ends_with(SEPARATORS))
    };
    // Overlapping places as well: `a:a` is twice in `a:a:a`.
    let places = id.char_indices().filter(|(at, _)| id[*at..].starts_with(part));
    places.map(|(at, _)| (at, part)).any(at_border)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "pf/read-unmapped:fred:block@frame:migrate+disturb";

    fn matches(text: &str, id: &str) -> bool {
        Filter::new(text, &[]).unwrap().matches(id)
    }

    #[test]
    fn whole_components_are_meant() {
        let meant = "pf pf/ read-unmapped pf/read-unmapped fred :fred: block@frame fred:block@frame \
                     migrate+disturb :migrate+disturb read-unmapped:fred:";
        for part in meant.split(' ').chain([ID]) {
            assert!(matches(part, ID), "{part}");
        }
        let others =
            "p f f/ pf/read unmapped migrate disturb frame block block@ fred:block pf/fred PF @frame:";
        for part in others.split(' ').chain(["pf read-unmapped"]) {
            assert!(!matches(part, ID), "{part}");
        }
        assert!(matches("aa", "a/aaa:aa") && !matches("aa", "a/aaa:aaa") && matches("a:a", "x/aa:a:a"));
    }

    #[test]
    fn a_filter_that_matches_an_id_may_be_of_its_image() {
        let filters = "pf/read-unmapped pf/ / /read-unmapped pf/* pf/*:fred:* *disturb p* fred * ".split(' ');
        for text in filters.filter(|text| !text.is_empty() && *text != "/") {
            let filter = Filter::new(text, &[]).unwrap();
            assert!(filter.matches(ID) && filter.may_be_of("pf"), "{text}");
        }
        for text in ["pf/read-unmapped", "pf/", "pf/*", ID] {
            let filter = Filter::new(text, &[]).unwrap();
            assert!(!filter.may_be_of("db") && !filter.matches(&ID.replacen("pf", "db", 1)), "{text}");
        }
    }

    #[test]
    fn a_pattern_is_for_the_whole_id() {
        for pattern in ["*", "pf/*", "*disturb", "pf/*:fred:*", "*@frame:*", "*read*"] {
            assert!(matches(pattern, ID), "{pattern}");
        }
        for pattern in ["fred*", "*migrate", "db/*", "pf/*:idt:*"] {
            assert!(!matches(pattern, ID), "{pattern}");
        }
    }
}
