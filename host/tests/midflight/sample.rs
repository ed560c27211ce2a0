//! Samples of output in the documentation, and what a command really prints.

use std::path::Path;

/// A page of the tree.
pub(crate) fn page(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)).unwrap()
}

/// The blocks of a page that begin with this fence, such as "```text", each from its first line.
pub(crate) fn blocks<'a>(page: &'a str, fence: &'a str) -> impl Iterator<Item = &'a str> {
    let inner = move |rest: &'a str| rest.strip_prefix('\n').and_then(|rest| rest.split("```").next());
    page.split(fence).skip(1).filter_map(inner)
}

/// The first block of a page after a sentence.
#[track_caller]
pub(crate) fn block_after<'a>(page: &'a str, sentence: &str, fence: &'a str) -> &'a str {
    let after = page.find(sentence).unwrap_or_else(|| panic!("the page has no `{sentence}`"));
    blocks(&page[after..], fence).next().unwrap()
}

/// The text with `(0x…)` in place of each address of an image, which the compiler decides.
pub(crate) fn without_addresses(text: &str) -> String {
    let mut parts = text.split("(0x");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "(0x…" + part.trim_start_matches(|at: char| at.is_ascii_hexdigit()))
}

/// Whether `output` is what a sample shows: its lines one after another, but for blanks around them; `[…]` stands for
/// any number of lines, and addresses may differ.
#[track_caller]
pub(crate) fn assert_shows(output: &str, sample: &str) {
    let lines = |text: &str| {
        text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
    };
    let (output, sample) = (without_addresses(output), without_addresses(sample));
    let (output, sample): (Vec<String>, Vec<String>) = (lines(&output), lines(&sample));
    let mut at = 0;
    for part in sample.split(|line| line == "[…]").filter(|part| !part.is_empty()) {
        let found = output[at..].windows(part.len()).position(|window| window == part);
        let found = found.unwrap_or_else(|| {
            panic!("not printed:\n{}\n\nprinted:\n{}", part.join("\n"), output.join("\n"))
        });
        at += found + part.len();
    }
}

#[test]
fn a_sample_is_matched_line_by_line() {
    let output = "one\n  two\n\nthree\nfour\n";
    assert_shows(output, "one\ntwo\n[…]\nfour");
    assert_shows(output, "two\nthree");
    assert_shows("at pf.act (0x1003fc), 0x1", "at pf.act (0x10ab), 0x1");
    for wrong in ["one\nthree", "four\n[…]\none", "on"] {
        assert!(std::panic::catch_unwind(|| assert_shows(output, wrong)).is_err(), "{wrong}");
    }
}
