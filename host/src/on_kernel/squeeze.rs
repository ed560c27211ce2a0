//! Output made smaller for the serial port: reports repeat themselves, and each character costs the emulator an I/O
//! instruction or an interrupt.
//!
//! A raw DEFLATE stream for each of the two outputs, flushed after each piece, so that a piece can be read as soon as
//! it has come. A lost piece damages those after it; the run is an error then anyway.

use flate2::Compression;
use flate2::write::{DeflateDecoder, DeflateEncoder};
use std::io::{Result, Write};

/// Makes pieces smaller.
#[derive(Debug)]
pub(super) struct Squeeze(DeflateEncoder<Vec<u8>>);

impl Default for Squeeze {
    fn default() -> Self {
        Self(DeflateEncoder::new(Vec::new(), Compression::fast()))
    }
}

impl Squeeze {
    /// The next piece.
    pub(super) fn piece(&mut self, bytes: &[u8]) -> Result<Vec<u8>> {
        self.0.write_all(bytes)?;
        self.0.flush()?;
        Ok(std::mem::take(self.0.get_mut()))
    }
}

/// Gives back what pieces were made of.
#[derive(Debug)]
pub(super) struct Expand(DeflateDecoder<Vec<u8>>);

impl Default for Expand {
    fn default() -> Self {
        Self(DeflateDecoder::new(Vec::new()))
    }
}

impl Expand {
    /// The bytes of the next piece.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn bytes(&mut self, piece: &[u8]) -> Result<Vec<u8>> {
        self.0.write_all(piece)?;
        self.0.flush()?;
        Ok(std::mem::take(self.0.get_mut()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_piece_comes_back_at_once_and_repetition_is_cheap() {
        let (mut squeeze, mut expand) = (Squeeze::default(), Expand::default());
        let (mut sent, mut original) = (0, 0);
        for number in 0..200 {
            let text =
                format!("{{\"Scenario\":{{\"report\":{{\"scenario\":\"pf/case-{number}:idt:cold\"}}}}}}\n");
            let piece = squeeze.piece(text.as_bytes()).unwrap();
            (sent, original) = (sent + piece.len(), original + text.len());
            assert_eq!(expand.bytes(&piece).unwrap(), text.as_bytes());
        }
        assert!(sent * 2 < original, "{sent} of {original}");
        let long: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        assert_eq!(expand.bytes(&squeeze.piece(&long).unwrap()).unwrap(), long);
    }

    #[test]
    fn what_is_no_piece_is_an_error() {
        assert!(Expand::default().bytes(b"\xFF\xFF\xFF\xFF text").is_err());
    }
}
