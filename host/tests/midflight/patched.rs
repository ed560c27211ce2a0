//! Where things lie in the embedded image `pf`, and that image with other code in it.

use crate::binary::embedded;
use midflight::image::Image;

/// Where the bytes at guest-physical `address` lie in the file.
fn offset_of(bytes: &[u8], address: u64) -> usize {
    let elf = goblin::elf::Elf::parse(bytes).unwrap();
    let holds = |h: &&goblin::elf::ProgramHeader| {
        h.p_type == goblin::elf::program_header::PT_LOAD
            && (h.p_paddr..h.p_paddr + h.p_filesz).contains(&address)
    };
    let header = elf.program_headers.iter().find(holds).unwrap();
    usize::try_from(header.p_offset + address - header.p_paddr).unwrap()
}

/// Where the descriptor of midflight's note lies in the file.
pub(crate) fn descriptor(bytes: &[u8]) -> usize {
    let name = *b"midflight\0\0\0";
    (0..bytes.len() - 12).find(|at| bytes[*at..*at + 12] == name).unwrap() + 12
}

/// The image with `code` where the act of `read-unmapped` is, as long as it may be; the bytes after
/// the act is overwritten, too.
pub(crate) fn with_code(code: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = embedded("pf")?;
    let image = Image::parse("pf", &bytes).unwrap();
    let (_, case) = image.case("read-unmapped").unwrap();
    let at = offset_of(&bytes, case.act);
    bytes[at..at + code.len()].copy_from_slice(code);
    Some(bytes)
}
