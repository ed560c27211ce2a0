//! The head of an image's source, which is its documentation: a title, and paragraphs that begin with a fixed word.

use std::path::Path;

/// What the head says beside the rule and its section, which the note has too.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The first line.
    pub(crate) title: String,
    /// The rule, with the places in the manual.
    pub(crate) rule: String,
    /// The bugs that fail it.
    pub(crate) bugs: String,
    /// What the image leaves out; empty if it says nothing.
    pub(crate) out: String,
}

impl Head {
    /// The head of an image's source.
    pub(crate) fn of(image: &str) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/src/bin/{image}.rs"));
        let source = std::fs::read_to_string(&file).unwrap();
        Self::parse(&source).unwrap_or_else(|missing| panic!("tests/src/bin/{image}.rs: no {missing}"))
    }

    /// Fails with what the head lacks.
    fn parse(source: &str) -> Result<Self, &'static str> {
        let paragraphs = paragraphs(source);
        let after = |word: &str| paragraphs.iter().find_map(|paragraph| paragraph.strip_prefix(word));
        let text = |found: Option<&str>| found.map(|text| text.trim().to_owned());
        let out = ["Out:", "Not here:"].iter().find_map(|word| text(after(word)));
        Ok(Self {
            title: paragraphs.first().ok_or("title")?.clone(),
            rule: text(after("Rule:")).ok_or("paragraph `Rule:`")?,
            bugs: text(after("Known bugs that fail it:")).ok_or("paragraph `Known bugs that fail it:`")?,
            out: out.unwrap_or_default(),
        })
    }
}

/// The paragraphs of the `//!` lines, each as one line.
fn paragraphs(source: &str) -> Vec<String> {
    let head = source.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim);
    let lines: Vec<&str> = head.collect();
    lines.split(|line| line.is_empty()).map(|lines| lines.join(" ")).filter(|text| !text.is_empty()).collect()
}

#[test]
fn a_head_is_read_and_what_it_lacks_is_named() {
    let head = Head::parse(
        "//! #PF: a title.\n//!\n//! Rule: two\n//! lines.\n//!\n//! Out: MMX.\n//!\n//! Known bugs that fail it: one.\n#![no_std]\n//! Not read.",
    );
    let expected = ["#PF: a title.", "two lines.", "one.", "MMX."].map(str::to_owned);
    let [title, rule, bugs, out] = expected;
    assert_eq!(head, Ok(Head { title, rule, bugs, out }));
    assert_eq!(Head::parse("//! T.\n//!\n//! Rule: r."), Err("paragraph `Known bugs that fail it:`"));
}
