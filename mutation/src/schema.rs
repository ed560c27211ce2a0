//! Faults in a source text, all at once: each behind a switch, so that one build has them all.

use crate::fault::{Fault, Shape};
use std::fmt::Write as _;
use std::ops::Range;

/// The switch, as a crate with faults has it. One fault at a time is on: the number in `MIDFLIGHT_FAULT`.
pub(crate) const SWITCH: &str = "
/// Faults.
pub mod fault {
    extern crate std;
    static ON: std::sync::LazyLock<usize> = std::sync::LazyLock::new(|| {
        std::env::var(\"MIDFLIGHT_FAULT\").ok().and_then(|number| number.parse().ok()).unwrap_or(usize::MAX)
    });
    /// Whether the fault is on.
    #[inline]
    pub fn on(fault: usize) -> bool {
        *ON == fault
    }
}
";

/// How a fault's switch is asked.
pub(crate) fn switch(number: usize) -> String {
    format!("crate::fault::on({number})")
}

/// The text with these faults, each with its number. No two places may overlap except one inside the other.
pub(crate) fn with_faults(source: &str, faults: &[(usize, &Fault)]) -> String {
    let mut faults = faults.to_vec();
    faults.sort_by_key(|(number, fault)| {
        (fault.place.start, std::cmp::Reverse(fault.place.end), fault.shape != Shape::Statement, *number)
    });
    render(source, 0..source.len(), &faults)
}

fn render(source: &str, whole: Range<usize>, faults: &[(usize, &Fault)]) -> String {
    let text = |range: Range<usize>| source.get(range).unwrap_or_default();
    let (mut out, mut at, mut rest) = (String::new(), whole.start, faults);
    while let [(number, fault), after @ ..] = rest {
        let place = &fault.place;
        if place.start < at {
            rest = after;
            continue;
        }
        let inside =
            after.iter().take_while(|(_, other)| other.place.start < place.end.max(place.start + 1)).count();
        let inside = if place.is_empty() { 0 } else { inside };
        let (inner, later) = after.split_at(inside);
        out += text(at..place.start);
        put(&mut out, *number, fault, &render(source, place.clone(), inner));
        at = place.end;
        rest = later;
    }
    out + text(at..whole.end)
}

fn put(out: &mut String, number: usize, fault: &Fault, from: &str) {
    let (on, to) = (switch(number), &fault.to);
    let _ = match fault.shape {
        Shape::Expression => write!(out, "(if {on} {{ {to} }} else {{ {from} }})"),
        Shape::Statement => write!(out, "if {on} {{ {to} }} else {{ {from} }}"),
        Shape::Body => write!(out, " if {on} {{ {to} }} "),
        Shape::Guard => write!(out, "{from} if !{on}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::find::faults;

    #[test]
    fn faults_inside_others_are_all_there() {
        let source = "fn f() -> bool { a(); b == 1 && c }";
        let found = faults("f.rs", source).unwrap_or_default();
        let numbered: Vec<(usize, &Fault)> = found.iter().enumerate().collect();
        let text = with_faults(source, &numbered);
        for number in 0..found.len() {
            assert!(text.contains(&switch(number)), "{number}: {text}");
        }
        assert!(syn::parse_file(&text).is_ok(), "{text}");
        assert_eq!(with_faults(source, &[]), source);
    }
}
