//! What an image prints on its serial line when it runs alone, as verdicts.
//!
//! `PASS: image/case`, `FAIL: image/case: field expected X, got Y` once per wrong field,
//! `SKIP: image/case: reason`, `ERROR: image/case: reason` or `ERROR: image: reason`, and `FAIL` as
//! `ERROR` after an event that no correct machine raises, after which the image ends,
//! `FRAME image/case n delivery` and eleven quadwords, and at the end
//! `SUMMARY: image: N passed, N failed, N skipped`. Other lines are a firmware's and are passed over.

#[cfg(test)]
mod tests;

use protocol::exit::ImageExit;
use protocol::field::{self, Field};
use protocol::mailbox::RETURNED;

/// The output of an image is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TranscriptError {
    /// A line that starts like a verdict and is none.
    #[error("the image's output cannot be read: {why}, in line: {line}")]
    Garbled {
        /// The line.
        line: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Lines, summary and exit code do not agree.
    #[error("the image contradicts itself: {0}")]
    Contradiction(String),
}

/// What one image did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRun {
    /// How it ended.
    pub exit: ImageExit,
    /// Its cases in the order of their verdicts.
    pub cases: Vec<CaseRun>,
    /// The frames it captured, in order.
    pub frames: Vec<FrameLine>,
    /// Errors that belong to no case.
    pub errors: Vec<String>,
    /// Events that no sound machine raises, and that belong to no case.
    pub failures: Vec<String>,
}

/// One case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseRun {
    /// Name of the image.
    pub image: String,
    /// Name of the case.
    pub case: String,
    /// Its verdict.
    pub outcome: CaseOutcome,
}

/// A case's verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaseOutcome {
    /// Every field was as expected.
    Pass,
    /// These fields were not.
    Fail(Vec<FailLine>),
    /// An event that no correct machine raises.
    Broken(String),
    /// The machine lacks what the reason says.
    Skip(String),
    /// The image cannot judge, for this reason.
    Error(String),
}

/// One wrong field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailLine {
    /// The field.
    pub field: Field,
    /// [`RETURNED`], if it was read then; of which delivery it is, lines do not say.
    pub delivery: Option<u32>,
    /// What the judge expected.
    pub expected: u64,
    /// What was captured.
    pub got: u64,
}

/// One captured delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameLine {
    /// Name of the image.
    pub image: String,
    /// Name of the case.
    pub case: String,
    /// Which delivery of the case, from 0.
    pub number: u32,
    /// `fred` or `idt`.
    pub delivery: String,
    /// The frame's eight quadwords in memory order, CR2, DR6, IA32_XFD_ERR.
    pub values: [u64; 11],
    /// The whole line as printed, for comparison between machines.
    pub line: String,
}

/// The image exit that a QEMU process's exit code means, if an image gave it.
pub fn exit_of(code: i32) -> Option<ImageExit> {
    [ImageExit::Pass, ImageExit::Fail, ImageExit::Error, ImageExit::Skip]
        .into_iter()
        .find(|exit| exit.qemu_code() == code)
}

/// Reads the whole serial output of an image that ended with `exit`, and checks the one against the
/// other.
///
/// # Errors
/// [`TranscriptError::Garbled`] for a line that starts like one of the above and does not go on like it;
/// [`TranscriptError::Contradiction`] when lines, summary and exit do not agree.
pub fn read(output: &str, exit: ImageExit) -> Result<ImageRun, TranscriptError> {
    let mut run =
        ImageRun { exit, cases: Vec::new(), frames: Vec::new(), errors: Vec::new(), failures: Vec::new() };
    let mut summary = None;
    for line in output.lines().map(str::trim_end) {
        let garbled = |why| TranscriptError::Garbled { line: line.to_owned(), why };
        if let Some(rest) = line.strip_prefix("FRAME ") {
            run.frames.push(frame(rest, line).ok_or_else(|| {
                garbled("not image/case, a number, a delivery and eleven 16-digit quadwords")
            })?);
            continue;
        }
        let Some((word, rest)) = line.split_once(": ") else { continue };
        match word {
            "PASS" => add(&mut run, rest, CaseOutcome::Pass).map_err(garbled)?,
            "SKIP" => {
                let (name, reason) = rest.split_once(": ").ok_or(garbled("no reason"))?;
                add(&mut run, name, CaseOutcome::Skip(reason.to_owned())).map_err(garbled)?;
            }
            "FAIL" => {
                let (name, what) = rest.split_once(": ").ok_or(garbled("no field"))?;
                match fail_line(what) {
                    Some(line) => add_failure(&mut run, name, line).map_err(garbled)?,
                    None if !is_event(what) => {
                        return Err(garbled("neither `field expected X, got Y` nor an event"));
                    }
                    None if name.contains('/') => {
                        add(&mut run, name, CaseOutcome::Broken(what.to_owned())).map_err(garbled)?;
                    }
                    None => run.failures.push(what.to_owned()),
                }
            }
            "ERROR" => {
                let (name, reason) = rest.split_once(": ").ok_or(garbled("no reason"))?;
                match name.contains('/') {
                    true => add(&mut run, name, CaseOutcome::Error(reason.to_owned())).map_err(garbled)?,
                    false => run.errors.push(reason.to_owned()),
                }
            }
            "SUMMARY" => {
                let counts = summary_counts(rest).ok_or(garbled("not three counts"))?;
                if summary.replace(counts).is_some() {
                    return Err(garbled("a second summary"));
                }
            }
            _ => {}
        }
    }
    check(&run, summary)?;
    Ok(run)
}

fn split_name(name: &str) -> Result<(String, String), &'static str> {
    match name.split_once('/') {
        Some((image, case)) if ![image, case].iter().any(|part| part.is_empty() || part.contains(' ')) => {
            Ok((image.to_owned(), case.to_owned()))
        }
        _ => Err("no image/case"),
    }
}

fn add(run: &mut ImageRun, name: &str, outcome: CaseOutcome) -> Result<(), &'static str> {
    let (image, case) = split_name(name)?;
    if run.cases.iter().any(|known| known.image == image && known.case == case) {
        return Err("a second verdict for the same case");
    }
    run.cases.push(CaseRun { image, case, outcome });
    Ok(())
}

/// The FAIL lines of one case follow each other.
fn add_failure(run: &mut ImageRun, name: &str, line: FailLine) -> Result<(), &'static str> {
    let (image, case) = split_name(name)?;
    match run.cases.last_mut() {
        Some(CaseRun { image: i, case: c, outcome: CaseOutcome::Fail(lines) })
            if *i == image && *c == case =>
        {
            lines.push(line);
            Ok(())
        }
        _ => add(run, name, CaseOutcome::Fail(vec![line])),
    }
}

fn fail_line(what: &str) -> Option<FailLine> {
    let (field, values) = what.split_once(" expected ")?;
    let (expected, got) = values.split_once(", got ")?;
    let number = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    let (field, delivery) = match field.strip_suffix(field::RETURNED) {
        Some(field) => (field, Some(RETURNED)),
        None => (field, None),
    };
    let field = Field::named(field)?;
    Some(FailLine { field, delivery, expected: number(expected)?, got: number(got)? })
}

/// `vector N came WHERE, RIP X`.
fn is_event(what: &str) -> bool {
    what.strip_prefix("vector ").is_some_and(|rest| rest.contains(" came ") && rest.contains(", RIP 0x"))
}

/// What follows `FRAME ` on a line.
pub(crate) fn frame(rest: &str, line: &str) -> Option<FrameLine> {
    let mut words = rest.split(' ');
    let (image, case) = split_name(words.next()?).ok()?;
    let number = words.next()?.parse().ok()?;
    let delivery = words.next().filter(|delivery| matches!(*delivery, "fred" | "idt"))?.to_owned();
    let mut values = [0; 11];
    for value in &mut values {
        let word = words.next().filter(|word| word.len() == 16)?;
        *value = u64::from_str_radix(word, 16).ok()?;
    }
    words.next().is_none().then(|| FrameLine { image, case, number, delivery, values, line: line.to_owned() })
}

/// `image: N passed, N failed, N skipped`.
fn summary_counts(rest: &str) -> Option<[usize; 3]> {
    let (_, counts) = rest.split_once(": ")?;
    let mut parts = counts.split(", ");
    let mut count = |word: &str| parts.next()?.strip_suffix(word)?.strip_suffix(' ')?.parse().ok();
    let counts = [count("passed")?, count("failed")?, count("skipped")?];
    parts.next().is_none().then_some(counts)
}

fn check(run: &ImageRun, summary: Option<[usize; 3]>) -> Result<(), TranscriptError> {
    let count = |wanted: fn(&CaseOutcome) -> bool| run.cases.iter().filter(|c| wanted(&c.outcome)).count();
    let passed = count(|outcome| matches!(outcome, CaseOutcome::Pass));
    let failed = count(|outcome| matches!(outcome, CaseOutcome::Fail(_)));
    let broken = count(|outcome| matches!(outcome, CaseOutcome::Broken(_))) + run.failures.len();
    let skipped = count(|outcome| matches!(outcome, CaseOutcome::Skip(_)));
    let errors = count(|outcome| matches!(outcome, CaseOutcome::Error(_))) + run.errors.len();
    let contradiction = |sentence: String| Err(TranscriptError::Contradiction(sentence));
    match summary {
        Some(counts) if counts != [passed, failed, skipped] => {
            let [p, f, s] = counts;
            return contradiction(format!(
                "its summary says {p} passed, {f} failed, {s} skipped, its lines say {passed}, {failed}, {skipped}"
            ));
        }
        // An image that meets an error, or an event where none may be, ends at once.
        None if !matches!(run.exit, ImageExit::Error | ImageExit::Fail) => {
            return contradiction("it printed no summary".into());
        }
        _ => {}
    }
    let agrees = match run.exit {
        ImageExit::Pass => passed > 0 && failed + broken == 0 && errors == 0,
        // An entry stub that meets an event while it reports one ends without a line.
        ImageExit::Fail => (failed + broken > 0 || summary.is_none()) && errors == 0,
        ImageExit::Skip => skipped > 0 && passed == 0 && failed + broken == 0 && errors == 0,
        ImageExit::Error => true,
    };
    if !agrees {
        return contradiction(format!(
            "it ended as `{}` after {passed} passed, {failed} failed, {skipped} skipped, {errors} errors",
            run.exit.name()
        ));
    }
    Ok(())
}
