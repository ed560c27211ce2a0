//! Names that scenario ids cannot hold, or cannot distinguish.

use crate::binary::{embedded, file, midflight};
use crate::patched::descriptor;
use protocol::note::{CaseNote, ImageNote};
use std::mem::offset_of;

/// Where the name of the second case lies in the descriptor.
const SECOND: usize = size_of::<ImageNote>() + size_of::<CaseNote>() + offset_of!(CaseNote, name);

/// The image `pf` with another text at a place of its note's descriptor.
fn with_text(at: usize, room: usize, text: &str) -> Option<Vec<u8>> {
    let mut bytes = embedded("pf")?;
    let descriptor = descriptor(&bytes);
    let place = &mut bytes[descriptor + at..][..room];
    place.fill(0);
    place[..text.len()].copy_from_slice(text.as_bytes());
    Some(bytes)
}

fn refused(name: &str, bytes: &[u8], sentence: &str) {
    let image = file(name, bytes);
    let ran = midflight(&["list", "--image", &image]);
    assert!(ran.code == 2 && ran.stdout.is_empty(), "{ran:?}");
    assert!(ran.stderr.starts_with(&format!("midflight: {}: {sentence}", image)), "{ran:?}");
}

#[test]
fn a_name_that_ids_cannot_hold_is_named_with_the_rule() {
    const RULE: &str = "a name is lower-case letters, digits and dashes, and begins with a letter\n";
    for wrong in ["", "Pf", "p_f", "-pf", "7pf", "p/f", "pf:idt", "pf*", "p\0f"] {
        let of_image = offset_of!(ImageNote, name);
        let Some(image) = with_text(of_image, 16, wrong) else { return };
        refused("wrong-names", &image, &format!("calls the image {wrong:?}, which ids cannot hold: {RULE}"));
        let case = with_text(SECOND, 32, wrong).unwrap();
        refused("wrong-names", &case, &format!("calls its case 2 {wrong:?}, which ids cannot hold: {RULE}"));
    }
}

#[test]
fn two_cases_of_one_name_are_refused() {
    let Some(image) = with_text(SECOND, 32, "read-unmapped") else { return };
    refused(
        "same-names",
        &image,
        "has two cases called `read-unmapped`; scenario ids could not distinguish them\n",
    );
}

#[test]
fn two_images_of_one_name_are_refused_with_both_files() {
    let Some(bytes) = embedded("pf") else { return };
    let files = ["one-pf", "other-pf"].map(|name| file(name, &bytes));
    let ran = midflight(&["list", "--image", &files[0], "--image", &files[1]]);
    let sentence = format!("midflight: {} and {} are both images called `pf`", files[0], files[1]);
    assert!(ran.code == 2 && ran.stderr.starts_with(&sentence), "{ran:?}");
}
