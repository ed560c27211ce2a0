//! Suggestions for a filter that matches nothing.

use super::has_components;
use crate::scenario::SEPARATORS;
use std::collections::BTreeSet;

/// How alike two texts must be: 1 is the same. As alike as a word and itself with one letter wrong.
const ALIKE: f64 = 0.85;
/// How many are named.
const NAMED: usize = 3;

/// Parts of the `ids` that are spelt nearly as a part of `filter` which is in none of them, the nearest
/// first.
pub fn near(filter: &str, ids: &[String]) -> Vec<String> {
    let wild = filter.contains('*');
    let is_there = |part: &str, id: &String| if wild { id.contains(part) } else { has_components(id, part) };
    let mut parts = filter.split('*').map(|part| part.trim_matches(SEPARATORS));
    let missing = parts.find(|part| !part.is_empty() && !ids.iter().any(|id| is_there(part, id)));
    let Some(missing) = missing else { return Vec::new() };
    let components = 1 + missing.matches(SEPARATORS).count();
    let candidates: BTreeSet<&str> = ids.iter().flat_map(|id| in_a_row(id, components)).collect();
    let alike = |text: &str| strsim::jaro_winkler(text, missing);
    let mut nearest: Vec<(f64, &str)> =
        candidates.into_iter().map(|text| (alike(text), text)).filter(|(alike, _)| *alike >= ALIKE).collect();
    nearest.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    nearest.into_iter().take(NAMED).map(|(_, text)| text.to_owned()).collect()
}

/// Each part of `id` that is `count` components in a row.
fn in_a_row(id: &str, count: usize) -> Vec<&str> {
    let separators = id.char_indices().filter(|(_, c)| SEPARATORS.contains(c)).map(|(at, _)| at);
    let ends: Vec<usize> = separators.chain([id.len()]).collect();
    let starts = std::iter::once(0).chain(ends.iter().map(|end| end + 1));
    starts.zip(ends.iter().skip(count - 1)).map(|(start, end)| &id[start..*end]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_near() {
        let ids = [
            "pf/read-unmapped:fred:block@frame:migrate+disturb",
            "pf/read-ring3:idt:cold",
            "db/single-step:idt:cold",
        ]
        .map(str::to_owned);
        let near = |filter| near(filter, &ids);
        assert_eq!(near("read-unmaped")[0], "read-unmapped");
        assert_eq!(near("pf/read-unmappd")[0], "pf/read-unmapped");
        assert_eq!(near("pf/read")[0], "pf/read-ring3");
        assert_eq!(near("db/singel-step:idt:cold")[0], "db/single-step:idt:cold");
        assert_eq!(near("*:ferd:*"), ["fred"]);
        assert_eq!(near("db/*:fred:*"), [""; 0], "each part is somewhere");
        assert_eq!(near("syscall"), [""; 0]);
        assert_eq!(near("a:b:c:d:e:f:g:h:i"), [""; 0]);
    }

    #[test]
    fn components_in_a_row() {
        assert_eq!(in_a_row("pf/x:idt:cold", 2), ["pf/x", "x:idt", "idt:cold"]);
        assert_eq!(in_a_row("pf/x", 3), [""; 0]);
    }
}
