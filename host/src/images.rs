//! The images of a run: those embedded in this binary, or files.

use crate::image::{Image, ImageError};
use std::path::PathBuf;

/// File name and bytes of each embedded image.
pub static EMBEDDED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/embedded_images.rs"));

/// There is no image to run.
#[derive(Debug, thiserror::Error)]
pub enum ImagesError {
    /// An image cannot be used.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The binary was built before the images were.
    #[error(
        "this midflight was built without images; run `make images` and build it again, or name image \
         files with --image"
    )]
    None,
    /// Two images have one name.
    #[error("two images are called `{0}`; scenario ids would not tell them apart")]
    Ambiguous(String),
}

/// Reads the images of a run: `files`, or the embedded ones when there are none.
///
/// # Errors
/// When there is no image, or one of them cannot be used.
pub fn load(files: &[PathBuf]) -> Result<Vec<Image>, ImagesError> {
    let images = if files.is_empty() {
        EMBEDDED.iter().map(|(name, bytes)| Image::parse(name, bytes)).collect::<Result<Vec<_>, _>>()?
    } else {
        files.iter().map(|file| Image::read(file)).collect::<Result<Vec<_>, _>>()?
    };
    for (index, image) in images.iter().enumerate() {
        if images[..index].iter().any(|other| other.name == image.name) {
            return Err(ImagesError::Ambiguous(image.name.clone()));
        }
    }
    if images.is_empty() { Err(ImagesError::None) } else { Ok(images) }
}
