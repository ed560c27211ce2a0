//! Which scenarios a command line means.

use super::CliError;
use crate::image::Image;
use crate::scenario::{self, Scenario};

/// Every scenario that one of `filters` matches, with the index of its image; all of them when
/// there is no filter.
///
/// # Errors
/// When a filter matches nothing.
pub(super) fn select(images: &[Image], filters: &[String]) -> Result<Vec<(usize, Scenario)>, CliError> {
    let all: Vec<(usize, Scenario, String)> = images
        .iter()
        .enumerate()
        .flat_map(|(index, image)| scenario::all(image).into_iter().map(move |scenario| (index, scenario)))
        .map(|(index, scenario)| (index, scenario.clone(), scenario.to_string()))
        .collect();
    let mut chosen = vec![filters.is_empty(); all.len()];
    for filter in filters {
        let exact = all.iter().any(|(_, _, id)| id == filter);
        let mut matched = false;
        for ((_, _, id), chosen) in all.iter().zip(&mut chosen) {
            if if exact { id == filter } else { matches(filter, id) } {
                *chosen = true;
                matched = true;
            }
        }
        if !matched {
            return Err(CliError::NoMatch(filter.clone()));
        }
    }
    let kept = all.into_iter().zip(chosen).filter(|(_, chosen)| *chosen);
    Ok(kept.map(|((index, scenario, _), _)| (index, scenario)).collect())
}

/// Whether `filter` matches `id`: with `*` as a pattern for the whole id, else as a part of it.
fn matches(filter: &str, id: &str) -> bool {
    let mut pieces = filter.split('*');
    let first = pieces.next().unwrap_or("");
    let Some(last) = pieces.next_back() else { return id.contains(filter) };
    let Some(mut rest) = id.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else {
        return false;
    };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn filters_are_parts_or_patterns() {
        let id = "pf/read-unmapped:fred:block@frame:migrate";
        for filter in ["pf/", "block@frame", id, "pf/*", "*migrate", "pf/*:fred:*:migrate", "*"] {
            assert!(matches(filter, id), "{filter}");
        }
        for filter in ["db/", "pf/*:idt:*", "fred*", "*resume", "pf/read-unmapped:fred:block@frame:migrate*x"] {
            assert!(!matches(filter, id), "{filter}");
        }
        assert!(!matches("ab*b", "ab"));
    }
}
