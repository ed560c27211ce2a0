//! What an image prints on its serial line when it runs alone, as verdicts.
//!
//! `PASS: image/case`, `FAIL: image/case: field expected X, got Y` once per wrong field,
//! `SKIP: image/case: reason`, `ERROR: image/case: reason` or `ERROR: image: reason`, and `FAIL` as
//! `ERROR` where an event came that no sound machine raises, after which the image ends,
//! `FRAME image/case n delivery` and eleven quadwords, and at the end
//! `SUMMARY: image: N passed, N failed, N skipped`. Other lines are a firmware's and are passed over.

use super::QemuError;
use protocol::exit::ImageExit;
use protocol::field::Field;

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
    /// An event came that no sound machine raises: which.
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

/// The image exit behind a QEMU process's exit code, if an image gave it.
pub fn exit_of(code: i32) -> Option<ImageExit> {
    [ImageExit::Pass, ImageExit::Fail, ImageExit::Error, ImageExit::Skip]
        .into_iter()
        .find(|exit| exit.qemu_code() == code)
}

/// Reads the whole serial output of an image that ended with `exit`, and checks the one against the
/// other.
///
/// # Errors
/// [`QemuError::Garbled`] for a line that starts like one of the above and does not go on like it;
/// [`QemuError::Contradiction`] when lines, summary and exit do not agree.
pub fn read(output: &str, exit: ImageExit) -> Result<ImageRun, QemuError> {
    let mut run =
        ImageRun { exit, cases: Vec::new(), frames: Vec::new(), errors: Vec::new(), failures: Vec::new() };
    let mut summary = None;
    for line in output.lines().map(str::trim_end) {
        let garbled = |why| QemuError::Garbled { line: line.to_owned(), why };
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
    Some(FailLine { field: Field::named(field)?, expected: number(expected)?, got: number(got)? })
}

/// `vector N came WHERE, RIP X`.
fn is_event(what: &str) -> bool {
    what.strip_prefix("vector ").is_some_and(|rest| rest.contains(" came ") && rest.contains(", RIP 0x"))
}

fn frame(rest: &str, line: &str) -> Option<FrameLine> {
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

fn check(run: &ImageRun, summary: Option<[usize; 3]>) -> Result<(), QemuError> {
    let count = |wanted: fn(&CaseOutcome) -> bool| run.cases.iter().filter(|c| wanted(&c.outcome)).count();
    let passed = count(|outcome| matches!(outcome, CaseOutcome::Pass));
    let failed = count(|outcome| matches!(outcome, CaseOutcome::Fail(_)));
    let broken = count(|outcome| matches!(outcome, CaseOutcome::Broken(_))) + run.failures.len();
    let skipped = count(|outcome| matches!(outcome, CaseOutcome::Skip(_)));
    let errors = count(|outcome| matches!(outcome, CaseOutcome::Error(_))) + run.errors.len();
    let contradiction = |sentence: String| Err(QemuError::Contradiction(sentence));
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
            "it ended with {:?} after {passed} passed, {failed} failed, {skipped} skipped, {errors} errors",
            run.exit
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "SeaBIOS (version rel-1.16.2)\r\n\
        FRAME pf/read-unmapped 0 idt 0000000000000000 00000000001012a4 0000000000000008 0000000000010002 \
        0000000000140ff8 0000000000000010 0000000000000000 0000000000000000 0000000000500000 00000000ffff0ff0 \
        0000000000000000\r\n\
        PASS: pf/read-unmapped\r\n\
        SKIP: pf/insb: needs user\r\n\
        SUMMARY: pf: 1 passed, 0 failed, 1 skipped\r\n";

    const BAD: &str = "PASS: db/data-write\n\
        FAIL: db/single-step: event data expected 0x4000, got 0xe000\n\
        FAIL: db/single-step: DR6 expected 0xffffeff0, got 0xffff4ff0\n\
        FAIL: db/general-detect: entries expected 0x1, got 0x0\n\
        SUMMARY: db: 1 passed, 2 failed, 0 skipped\n";

    fn outcome<'a>(run: &'a ImageRun, case: &str) -> &'a CaseOutcome {
        &run.cases.iter().find(|known| known.case == case).unwrap().outcome
    }

    #[test]
    fn verdicts_and_frames_are_read() {
        let run = read(GOOD, ImageExit::Pass).unwrap();
        assert_eq!(run.cases.len(), 2);
        assert_eq!(outcome(&run, "read-unmapped"), &CaseOutcome::Pass);
        assert_eq!(outcome(&run, "insb"), &CaseOutcome::Skip("needs user".into()));
        let frame = &run.frames[0];
        assert_eq!((frame.case.as_str(), frame.number, frame.delivery.as_str()), ("read-unmapped", 0, "idt"));
        assert_eq!((frame.values[1], frame.values[8], frame.values[9]), (0x10_12A4, 0x50_0000, 0xFFFF_0FF0));
        assert!(frame.line.starts_with("FRAME pf/read-unmapped 0 idt 00"), "{}", frame.line);
    }

    #[test]
    fn each_wrong_field_is_kept_with_its_case() {
        let run = read(BAD, ImageExit::Fail).unwrap();
        let CaseOutcome::Fail(lines) = outcome(&run, "single-step") else { panic!("{run:?}") };
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0], FailLine { field: Field::EventData, expected: 0x4000, got: 0xE000 });
        assert!(matches!(outcome(&run, "general-detect"), CaseOutcome::Fail(lines) if lines.len() == 1));
    }

    #[test]
    fn an_image_that_cannot_go_on_says_why() {
        let run = read("PASS: nm/ts-movups\nERROR: nm: vector 6 came at boot, RIP 0x10\n", ImageExit::Error)
            .unwrap();
        assert_eq!(run.errors, ["vector 6 came at boot, RIP 0x10"]);
        let run = read("ERROR: nm/tilezero: no tiles\n", ImageExit::Error).unwrap();
        assert_eq!(outcome(&run, "tilezero"), &CaseOutcome::Error("no tiles".into()));
        assert_eq!(read("", ImageExit::Error).unwrap().cases, []);
    }

    #[test]
    fn an_event_where_none_may_be_ends_an_image_as_failed() {
        let event = "vector 13 came while no act was running, RIP 0x10";
        let of_case = read(&format!("PASS: db/step\nFAIL: db/merged: {event}\n"), ImageExit::Fail).unwrap();
        assert_eq!(outcome(&of_case, "merged"), &CaseOutcome::Broken(event.into()));
        let of_none = read(&format!("FAIL: db: {event}\n"), ImageExit::Fail).unwrap();
        assert_eq!(of_none.failures, [event]);
        assert!(read(&format!("FAIL: db: {event}\n"), ImageExit::Pass).is_err());
        let whole =
            format!("PASS: db/step\nFAIL: db/merged: {event}\nSUMMARY: db: 1 passed, 0 failed, 0 skipped\n");
        assert!(read(&whole, ImageExit::Pass).is_err());
    }

    #[test]
    fn exit_code_and_lines_must_agree() {
        for (output, exit) in [(GOOD, ImageExit::Fail), (GOOD, ImageExit::Skip), (BAD, ImageExit::Pass)] {
            let error = read(output, exit).unwrap_err();
            assert!(matches!(error, QemuError::Contradiction(_)), "{exit:?}: {error}");
        }
        let nothing = read("SUMMARY: pf: 0 passed, 0 failed, 0 skipped\n", ImageExit::Pass).unwrap_err();
        assert!(matches!(nothing, QemuError::Contradiction(_)));
    }

    #[test]
    fn a_lost_line_shows_in_the_summary() {
        let lost = GOOD.replace("PASS: pf/read-unmapped\r\n", "");
        assert_eq!(
            read(&lost, ImageExit::Pass).unwrap_err().to_string(),
            "the image contradicts itself: its summary says 1 passed, 0 failed, 1 skipped, its lines say 0, 0, 1"
        );
        let cut = &GOOD[..GOOD.find("SUMMARY").unwrap()];
        assert_eq!(
            read(cut, ImageExit::Pass).unwrap_err().to_string(),
            "the image contradicts itself: it printed no summary"
        );
    }

    #[test]
    fn garbled_lines_are_not_passed_over() {
        for line in [
            "PASS: read-unmapped",
            "PASS: pf/read unmapped",
            "SKIP: pf/insb",
            "FAIL: db/single-step: event data",
            "FAIL: db/single-step: event data expected 0x4000, got",
            "FAIL: db/single-step: event data expected 0x40FAIL: 00, got 0x0",
            "FRAME pf/read 0 idt 0000000000000000",
            "FRAME pf/read 0 idt 0 0 0 0 0 0 0 0 0 0 0",
            "SUMMARY: pf: 1 passed, 2 skipped",
            "SUMMARY: pf: x passed, 0 failed, 0 skipped",
        ] {
            let error = read(&format!("{line}\n"), ImageExit::Error).unwrap_err();
            assert!(matches!(error, QemuError::Garbled { .. }), "{line}: {error}");
        }
        let twice = read("PASS: pf/a\nPASS: pf/a\n", ImageExit::Error).unwrap_err();
        assert!(twice.to_string().contains("a second verdict"), "{twice}");
    }

    #[test]
    fn only_the_four_codes_are_an_images() {
        assert_eq!(
            [33, 35, 37, 39].map(exit_of),
            [Some(ImageExit::Pass), Some(ImageExit::Fail), Some(ImageExit::Error), Some(ImageExit::Skip)]
        );
        assert_eq!([0, 1, 16, 34].map(exit_of), [None; 4]);
    }
}
