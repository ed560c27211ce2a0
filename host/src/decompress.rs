//! Files as distributions compress kernels and their modules.

use std::io::{Error, Read, Result};

/// What `bytes` hold, by their magic number: xz, gzip or zstd, else themselves; at most `largest` bytes.
///
/// # Errors
/// When they are damaged, or hold more.
pub(crate) fn decompress(bytes: &[u8], largest: usize) -> Result<Vec<u8>> {
    let reader: Box<dyn Read + '_> = match bytes {
        [0xFD, b'7', b'z', b'X', b'Z', 0, ..] => Box::new(lzma_rust2::XzReader::new(bytes, true)),
        [0x1F, 0x8B, ..] => Box::new(flate2::read::MultiGzDecoder::new(bytes)),
        [0x28, 0xB5, 0x2F, 0xFD, ..] => {
            Box::new(ruzstd::decoding::StreamingDecoder::new(bytes).map_err(Error::other)?)
        }
        _ => Box::new(bytes),
    };
    let mut whole = Vec::new();
    reader.take(largest as u64 + 1).read_to_end(&mut whole)?;
    if whole.len() > largest {
        return Err(Error::other(format!("it is larger than {largest} bytes")));
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_compression_of_a_distribution_is_read() {
        // What `printf module | gzip -n`, `xz --check=crc32` and `zstd` write.
        const GZ: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\xcd\x4f\x29\xcd\x49\x05\x00\x28\x26\x24\x0c\x06\x00\x00\x00";
        const XZ: &[u8] = b"\xfd\x37\x7a\x58\x5a\x00\x00\x01\x69\x22\xde\x36\x02\x00\x21\x01\x16\x00\x00\x00\x74\x2f\xe5\xa3\x01\x00\x05\x6d\x6f\x64\x75\x6c\x65\x00\x00\x00\x28\x26\x24\x0c\x00\x01\x1a\x06\xc5\xea\xc8\x79\x90\x42\x99\x0d\x01\x00\x00\x00\x00\x01\x59\x5a";
        const ZST: &[u8] = b"\x28\xb5\x2f\xfd\x04\x58\x31\x00\x00\x6d\x6f\x64\x75\x6c\x65\x5d\x89\xa9\x8d";
        for bytes in [GZ, XZ, ZST, b"module"] {
            assert_eq!(decompress(bytes, 6).unwrap(), b"module");
            assert!(decompress(bytes, 5).unwrap_err().to_string().contains("larger than 5 bytes"));
        }
        for damaged in [&GZ[..20], &XZ[..20], &ZST[..10]] {
            assert!(decompress(damaged, 6).is_err());
        }
    }
}
