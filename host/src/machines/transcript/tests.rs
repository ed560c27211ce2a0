//! Lines as images print them, and lines as they do not.

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
    assert_eq!(lines[0], FailLine { field: Field::EventData, delivery: None, expected: 0x4000, got: 0xE000 });
    assert!(matches!(outcome(&run, "general-detect"), CaseOutcome::Fail(lines) if lines.len() == 1));
}

#[test]
fn an_image_that_cannot_go_on_says_why() {
    let run =
        read("PASS: nm/ts-movups\nERROR: nm: vector 6 came at boot, RIP 0x10\n", ImageExit::Error).unwrap();
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
        assert!(matches!(error, TranscriptError::Contradiction(_)), "{exit:?}: {error}");
    }
    let nothing = read("SUMMARY: pf: 0 passed, 0 failed, 0 skipped\n", ImageExit::Pass).unwrap_err();
    assert!(matches!(nothing, TranscriptError::Contradiction(_)));
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
        assert!(matches!(error, TranscriptError::Garbled { .. }), "{line}: {error}");
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
