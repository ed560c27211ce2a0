//! `midflight report`: the page, opened in a browser as a person opens it.

use crate::binary::{directory, embedded, file, midflight};
use crate::chromium::{Browser, program};
use serde_json::json;
use std::path::Path;

/// The results of a few scenarios, some of which fail, and the page of them; `None` without images.
fn page(name: &str) -> Option<(String, String)> {
    embedded("pf")?;
    let run = [
        "run",
        "pf/read-unmapped:fred:*",
        "--behaviour",
        "kernel-only-event-data",
        "--frames",
        "--format",
        "json",
    ];
    let ran = midflight(&run);
    assert_eq!(ran.code, 1, "{ran:?}");
    let results = file(&format!("{name}.jsonl"), ran.stdout.as_bytes());
    let output = format!("{}/{name}.html", env!("CARGO_TARGET_TMPDIR"));
    let written = midflight(&["report", &results, "-o", &output]);
    assert_eq!((written.code, written.stdout.as_str(), written.stderr.as_str()), (0, "", ""));
    Some((results, output))
}

fn open(name: &str, file: &str, size: (u32, u32), scheme: &str) -> Option<Browser> {
    Some(Browser::open(&program()?, &directory(&format!("{name}-profile")), file, size, scheme))
}

const FAILING: &str = "td.cell.fail[aria-label*='block@frame migrate:']";

#[test]
fn a_failing_cell_opens_what_was_expected_and_what_came() {
    let Some((_, output)) = page("clicked") else { return };
    let Some(mut browser) = open("clicked", &output, (1440, 900), "light") else { return };
    browser.picture("wide-light");
    browser.click(FAILING);
    assert_eq!(browser.value("document.getElementById('detail').open"), true);
    assert_eq!(
        browser.value("document.getElementById('detail-title').textContent"),
        "pf/read-unmapped:fred:block@frame:migrate"
    );
    let differs = "[...document.querySelectorAll('.differs > *')].map((e) => e.textContent)";
    assert_eq!(
        browser.value(differs),
        json!(["event data", "0x0000008000001a58 (linear address)", "0x0000000000000000 (linear address)"])
    );
    let text = browser.value("document.getElementById('detail-body').textContent");
    for part in [
        "Delivery 0 (FRED)",
        "vector 14, type 3 hardware exception, length 0, 64-bit mode",
        "queue at the cut#PF (14) pending=0 injected=1",
        "lost by the uAPIevent data of the injected exception",
        "midflight run pf/read-unmapped:fred:block@frame:migrate --machine model --behaviour kernel-only-event-data",
    ] {
        assert!(text.as_str().unwrap().contains(part), "{part}: {text}");
    }
    let legend = browser.value("document.getElementById('legend').textContent");
    for part in ["✓ pass", "≈ known", "✗ fail", "A cell shows the worst"] {
        assert!(legend.as_str().unwrap().contains(part), "{part}: {legend}");
    }
    browser.picture("wide-light-detail");
    browser.key("Escape");
    assert_eq!(browser.value("document.getElementById('detail').open"), false);
    assert_eq!(browser.complaints, [""; 0]);
}

#[test]
fn the_page_is_used_with_the_keyboard_alone() {
    let Some((_, output)) = page("keyboard") else { return };
    let Some(mut browser) = open("keyboard", &output, (1440, 900), "dark") else { return };
    browser.picture("wide-dark");
    // The only thing in the matrix that Tab reaches is the image.
    assert_eq!(browser.value("document.querySelectorAll('#matrix [tabindex=\"0\"]').length"), 1);
    browser.value("document.querySelector('#matrix [tabindex=\"0\"]').focus()");
    let label = "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent";
    assert_eq!(browser.value(label), "▸ pf");
    browser.key("Enter");
    assert_eq!(browser.value(label), "▾ pf");
    for (key, wanted) in [
        ("ArrowRight", "pf cold: 1 pass"),
        ("ArrowDown", "pf/read-unmapped:fred cold: 1 pass"),
        ("ArrowRight", "pf/read-unmapped:fred none: 1 pass"),
        ("ArrowUp", "pf none: 1 pass"),
        ("ArrowLeft", "pf cold: 1 pass"),
        ("ArrowLeft", "▾ pf"),
        ("ArrowUp", "▾ pf"),
    ] {
        browser.key(key);
        assert_eq!(browser.value(label), wanted, "{key}");
    }
    browser.value(&format!("document.querySelector(\"{FAILING}\").focus()"));
    browser.key("Enter");
    assert_eq!(browser.value("document.getElementById('detail').open"), true);
    browser.picture("wide-dark-detail");
    browser.key("Escape");
    assert_eq!(browser.value(label), "pf block@frame migrate: 1 fail", "focus returns to the cell");
    assert_eq!(browser.complaints, [""; 0]);
}

#[test]
fn filters_leave_what_they_say_on_a_narrow_screen() {
    let Some((_, output)) = page("narrow") else { return };
    let Some(mut browser) = open("narrow", &output, (390, 844), "dark") else { return };
    browser.picture("narrow-dark");
    let wide = "document.documentElement.scrollWidth > innerWidth";
    assert_eq!(browser.value(wide), false, "the page is wider than the screen");
    let cells = "document.querySelectorAll('#matrix td.cell').length";
    let all = browser.value(cells).as_u64().unwrap();
    browser.click("#outcome-pass");
    let failing = browser.value(cells).as_u64().unwrap();
    assert!(0 < failing && failing < all, "{failing} of {all}");
    assert_eq!(browser.value("document.querySelectorAll('#matrix td.pass').length"), 0);
    browser.value("document.getElementById('text').focus()");
    browser.call("Input.insertText", json!({"text": "evict"}));
    assert_eq!(browser.value(cells), 0);
    assert_eq!(browser.value("document.getElementById('attention-title').textContent"), "Nothing failed");
    browser.value("document.getElementById('text').value = ''; document.getElementById('text').dispatchEvent(new Event('input'))");
    browser.click("#attention button");
    browser.click("#detail-body button");
    assert_eq!(browser.value(wide), false, "the dialog is wider than the screen");
    browser.picture("narrow-dark-detail");
    browser.click("#back");
    assert_eq!(browser.value("document.querySelectorAll('#detail-body li').length > 1"), true);
    assert_eq!(browser.complaints, [""; 0]);
}

#[test]
fn fifty_thousand_results_of_two_machines_are_one_page() {
    let Some((results, _)) = page("many") else { return };
    let lines = std::fs::read_to_string(results).unwrap();
    let line = lines.lines().find(|line| line.contains("\"fail\"")).unwrap();
    let object: serde_json::Value = serde_json::from_str(line).unwrap();
    let mut many = String::new();
    for number in 0..50_000 {
        let (machine, case, stop) = (["model", "kvm"][number % 2], number / 200, number / 2 % 100);
        let mut one = object.clone();
        one["id"] = json!(format!("pf/c{case}:fred:access@{stop}:migrate"));
        one["machine"] = json!(machine);
        one["duration_us"] = json!(number);
        one["outcome"] = json!(if number % 7 == 0 { "fail" } else { "pass" });
        many.push_str(&format!("{one}\n"));
    }
    let results = file("fifty-thousand.jsonl", many.as_bytes());
    let output = format!("{}/fifty-thousand.html", env!("CARGO_TARGET_TMPDIR"));
    let written = midflight(&["report", &results, "--output", &output]);
    assert_eq!(written.code, 0, "{written:?}");
    let size = std::fs::metadata(&output).unwrap().len();
    assert!(size < many.len() as u64 / 10, "{size} of {}", many.len());
    let Some(mut browser) = open("many", &output, (1440, 900), "light") else { return };
    let counts = "[...document.querySelectorAll('#outcomes label')].filter((e) => !e.hidden).map((e) => e.textContent)";
    assert_eq!(browser.value(counts), json!(["fail 3,572", "pass 21,428"]));
    browser.value(
        "document.getElementById('section').value = '1'; \
         document.getElementById('section').dispatchEvent(new Event('change'))",
    );
    assert_eq!(browser.value(counts), json!(["fail 3,571", "pass 21,429"]));
    browser.click("#matrix button");
    assert_eq!(browser.value("document.querySelectorAll('#matrix tr.case').length"), 250);
    // No summary: the run is not over, or was killed.
    let said = browser.value("document.getElementById('sentences').textContent");
    assert!(said.as_str().unwrap().contains("the last object is missing"), "{said}");
}

#[test]
fn what_is_no_report_is_refused() {
    let none = midflight(&["report", "/nonexistent/results"]);
    none.refused("/nonexistent/results");
    midflight(&["report", &file("no-results", b"{\"x\": 1}\n<html>\n")]).refused("holds no result (line 2: ");
    let output = format!("{}/never.html", env!("CARGO_TARGET_TMPDIR"));
    let refused = midflight(&["report", &file("empty-results", b""), "-o", &output]);
    refused.refused("holds no result: give what");
    assert!(!Path::new(&output).exists());
}

#[test]
fn the_mutants_matrix_is_a_page_too() {
    let Some(_) = embedded("nmx") else { return };
    let image = file("nmx-alone", &embedded("nmx").unwrap());
    let ran = midflight(&["mutants", "--format", "html", "--image", &image]);
    assert!(ran.code == 1 && ran.stdout.starts_with("<!doctype html>"), "{} {}", ran.code, ran.stderr);
    let page = file("mutants.html", ran.stdout.as_bytes());
    let Some(mut browser) = open("mutants", &page, (1440, 900), "light") else { return };
    let heading = browser.value("document.getElementById('attention-title').textContent");
    assert!(
        heading.as_str().unwrap().starts_with("Defects of the suite: "),
        "one image catches too little: {heading}"
    );
    browser.click("#matrix td.caught[aria-label^='nmx']");
    assert_eq!(browser.value("document.getElementById('detail').open"), true);
    browser.picture("mutants");
    assert_eq!(browser.complaints, [""; 0]);
}
