//! docs/catalogue.md: what the images prove, and which rule of the manual has which cases.
//!
//! The page is written by this test: `make docs/catalogue.md`. Image, case, rule and section come from the images' notes,
//! the bugs from the head of the image's source, the event data from a run on the model that the guest's judge has
//! compared with its literals and passed. rules.toml beside this file lists the manual's rules.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers belong to tests, which may panic")]

mod events;
mod head;
mod page;
mod rules;

use midflight::image::Image;
use midflight::images::{self, ImagesError};
use rules::Rules;
use std::path::{Path, PathBuf};

/// Set, the test writes the page.
const WRITE: &str = "MIDFLIGHT_WRITE_CATALOGUE";

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/catalogue.md")
}

/// The images; none where `make images` has not run.
fn images() -> Option<Vec<Image>> {
    match images::load(&[]) {
        Err(ImagesError::None) => None,
        images => Some(images.unwrap()),
    }
}

#[test]
fn the_committed_catalogue_is_that_of_the_images() {
    let Some(images) = images() else { return };
    let text = page::catalogue(&images, &Rules::committed());
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(committed(), &text).unwrap();
    }
    let same = std::fs::read_to_string(committed()).unwrap() == text;
    assert!(same, "the images or the rules are others: write the page anew with `make docs/catalogue.md`");
}

#[test]
fn every_rule_has_a_case_or_a_reason_and_every_case_a_rule() {
    let Some(images) = images() else { return };
    let defects = Rules::committed().defects(&rules::cases(&images));
    assert!(defects.is_empty(), "{}", defects.join("\n"));
}
