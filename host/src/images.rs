//! The images of a run: those embedded in this binary, or files.

use crate::decompress::decompress;
use crate::image::{Image, ImageError};
use std::path::PathBuf;
use std::sync::LazyLock;

/// File name and compressed bytes of each embedded image.
static COMPRESSED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/embedded_images.rs"));

/// More than any file that a user embeds: what `host/build.rs` has compressed needs no bound.
const LARGEST: usize = 1 << 30;

/// File name and bytes of each embedded image.
pub static EMBEDDED: LazyLock<Vec<(&str, Vec<u8>)>> = LazyLock::new(|| {
    // What cannot be decompressed is no image, and says so when it is read.
    let whole = |bytes| decompress(bytes, LARGEST).unwrap_or_default();
    COMPRESSED.iter().map(|(name, bytes)| (*name, whole(bytes))).collect()
});

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
    #[error("{} and {} are both images called `{name}`; scenario ids could not distinguish them", files[0], files[1])]
    Ambiguous {
        /// The name in both notes.
        name: String,
        /// The files.
        files: [String; 2],
    },
}

/// Reads the images of a run: `files`, or the embedded ones when there are none. Fails when there is no
/// image, or one of them cannot be used.
pub fn load(files: &[PathBuf]) -> Result<Vec<Image>, ImagesError> {
    let named = |file: String, image: Result<Image, ImageError>| Ok((file, image?));
    let images = if files.is_empty() {
        let embedded =
            EMBEDDED.iter().map(|(name, bytes)| named((*name).to_owned(), Image::parse(name, bytes)));
        embedded.collect::<Result<Vec<_>, ImagesError>>()?
    } else {
        let read = files.iter().map(|file| named(file.display().to_string(), Image::read(file)));
        read.collect::<Result<_, ImagesError>>()?
    };
    for (index, (file, image)) in images.iter().enumerate() {
        if let Some((other, _)) = images[..index].iter().find(|(_, other)| other.name == image.name) {
            let files = [other.clone(), file.clone()];
            return Err(ImagesError::Ambiguous { name: image.name.clone(), files });
        }
    }
    if images.is_empty() {
        return Err(ImagesError::None);
    }
    Ok(images.into_iter().map(|(_, image)| image).collect())
}
