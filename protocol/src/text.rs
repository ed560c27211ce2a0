//! Short texts in fixed places: NUL-padded UTF-8.

/// `text` in `N` bytes, padded with NULs. In a `const` a text that does not fit stops the build.
///
/// # Panics
/// When `text` is longer than `N` bytes.
pub const fn fixed<const N: usize>(text: &str) -> [u8; N] {
    let bytes = text.as_bytes();
    assert!(bytes.len() <= N, "the text is longer than its place");
    let mut place = [0; N];
    let mut at = 0;
    while at < bytes.len() {
        place[at] = bytes[at];
        at += 1;
    }
    place
}

/// The text in `place`, up to its first NUL; `None` when it is not UTF-8.
pub fn read(place: &[u8]) -> Option<&str> {
    let length = place.iter().position(|byte| *byte == 0).unwrap_or(place.len());
    core::str::from_utf8(&place[..length]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_round_trip() {
        assert_eq!(read(&fixed::<8>("pf")), Some("pf"));
        assert_eq!(read(&fixed::<2>("pf")), Some("pf"));
        assert_eq!(read(&[0xFF, 0]), None);
    }
}
