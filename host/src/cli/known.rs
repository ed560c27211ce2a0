//! Which list of known issues a command line means.

use super::CliError;
use super::args::KnownArgs;
use crate::images::{self, ImagesError};
use crate::report::known::{KnownIssues, Loaded};
use std::path::PathBuf;

/// The list in the file that was given, or the built-in one. What a list names must exist: among the images in
/// `image_files`, or the built-in ones where there are none. Only where these are `all` that a run can
/// meet does an image that is not among them not exist.
pub(super) fn known_issues(
    known: &KnownArgs,
    image_files: &[PathBuf],
    all: bool,
) -> Result<KnownIssues, CliError> {
    let built_in = loaded(&[])?;
    // An image that a build of one's own leaves out is no mistake of the lists built in.
    let built_in = Loaded { images: &built_in, all: false };
    let Some(file) = &known.known_issues else {
        let known = KnownIssues::built_in()?;
        built_in.check(&known.issues)?;
        built_in.check(&known.predictions)?;
        return Ok(known);
    };
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| CliError::File { file: name.clone(), error })?;
    let known = KnownIssues::read(&name, &text)?;
    built_in.check(&known.predictions)?;
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
