//! Which list of known issues a command line means.

use super::CliError;
use super::args::KnownArgs;
use crate::images::{self, ImagesError};
use crate::report::known::{KnownIssues, Loaded};
use std::path::PathBuf;

/// The list in the file that was given, or the built-in one. What a given list names must exist: among the images in
/// `image_files`, or the built-in ones where there are none. Only where these are `all` that a run can
/// meet does an image that is not among them not exist. Of the lists built in a test checks that.
pub(super) fn known_issues(
    known: &KnownArgs,
    image_files: &[PathBuf],
    all: bool,
) -> Result<KnownIssues, CliError> {
    // A prediction holds only for a series that is stated.
    let predictions = if known.host_facts.is_empty() { Vec::new() } else { KnownIssues::predicted()? };
    let Some(file) = &known.known_issues else {
        return Ok(KnownIssues { predictions, ..KnownIssues::listed()? });
    };
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| CliError::File { file: name.clone(), error })?;
    let known = KnownIssues { predictions, ..KnownIssues::parse(&name, &text)? };
    let unjudged = Loaded { images: &loaded(image_files)?, all }.check(&known.issues)?;
    if !unjudged.is_empty() {
        let images = unjudged.into_iter().collect::<Vec<_>>().join(", ");
        eprintln!("midflight: {name}: not checked for images that are not loaded: {images}");
    }
    Ok(known)
}

/// The images; none where this midflight was built without.
fn loaded(files: &[PathBuf]) -> Result<Vec<crate::image::Image>, CliError> {
    match images::load(files) {
        Err(ImagesError::None) => Ok(Vec::new()),
        images => Ok(images?),
    }
}
