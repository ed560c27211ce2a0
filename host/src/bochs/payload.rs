//! The vmlinux that a bzImage holds.

use super::linux::{ELF, Header, word};
use super::vmlinux;
use crate::decompress::decompress;

/// Fields of `struct setup_header`, by their offsets in the file.
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24C;
const GZIP: [u8; 2] = [0x1F, 0x8B];
/// Larger than what any bzImage holds, in bytes.
const LARGEST: usize = 512 << 20;

/// The vmlinux in a bzImage, if it has a PVH entry point: an emulated processor then has nothing to decompress, which
/// takes it longer than to boot. `None` means that the bzImage itself is to be entered.
pub(crate) fn unpacked(kernel: &[u8]) -> Option<Vec<u8>> {
    let header = Header::of(kernel).ok()?;
    let start = header.setup_size.checked_add(word(kernel, PAYLOAD_OFFSET) as usize)?;
    let payload = kernel.get(start..start.checked_add(word(kernel, PAYLOAD_LENGTH) as usize)?)?;
    // All but gzip, which has its own, are followed by the size (scripts/Makefile.lib, size_append).
    let whole =
        if payload.starts_with(&GZIP) { payload } else { &payload[..payload.len().checked_sub(4)?] };
    let vmlinux = decompress(whole, LARGEST).ok()?;
    (vmlinux.starts_with(ELF) && vmlinux::check(&vmlinux).is_ok()).then_some(vmlinux)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bochs::linux::tests::kernel;
    use crate::bochs::linux::{CODE, SECTOR};

    /// An ELF file with a segment of 8 bytes at 1 MiB, and with the note of a PVH entry point at 1 MiB.
    fn vmlinux() -> Vec<u8> {
        let mut file = b"\x7FELF\x02\x01\x01".to_vec();
        file.resize(16, 0);
        // e_type to e_version; e_entry, e_phoff, e_shoff; e_flags, e_ehsize, e_phentsize, e_phnum, …
        file.extend([2, 62].map(u16::to_le_bytes).concat());
        file.extend(1_u32.to_le_bytes());
        file.extend([CODE, 64, 0].map(u64::to_le_bytes).concat());
        file.extend([0, 0, 64, 56, 2, 64, 0, 0].map(u16::to_le_bytes).concat());
        // p_type and p_flags; p_offset, p_vaddr, p_paddr, p_filesz, p_memsz, p_align.
        for (kind, size) in [(1, 8), (4, 20)] {
            file.extend([kind, 5].map(u32::to_le_bytes).concat());
            file.extend([176, CODE, CODE, size, size, 4].map(u64::to_le_bytes).concat());
        }
        // XEN_ELFNOTE_PHYS32_ENTRY.
        file.extend([4, 4, 18].map(u32::to_le_bytes).concat());
        file.extend(b"Xen\0");
        file.extend((CODE as u32).to_le_bytes());
        file
    }

    #[test]
    fn what_a_bz_image_holds_is_entered_where_it_can_be() {
        let holds = |payload: &[u8]| {
            let mut kernel = kernel(1024);
            kernel[PAYLOAD_OFFSET..PAYLOAD_OFFSET + 4].copy_from_slice(&16_u32.to_le_bytes());
            kernel[PAYLOAD_LENGTH..PAYLOAD_LENGTH + 4].copy_from_slice(&(payload.len() as u32).to_le_bytes());
            let at = 2 * SECTOR + 16;
            kernel[at..at + payload.len()].copy_from_slice(payload);
            unpacked(&kernel)
        };
        let (whole, size) = (vmlinux(), [0; 4]);
        assert_eq!(holds(&[&whole[..], &size].concat()).as_ref(), Some(&whole));
        // Without an entry point, and in a format that is not known.
        let mut other = whole.clone();
        other[176 + 8] = 17;
        assert_eq!(holds(&[&other[..], &size].concat()), None);
        assert_eq!((holds(b"LZO and more"), holds(b"x"), unpacked(&kernel(1024))), (None, None, None));
        assert_eq!(unpacked(&kernel(1024)[..1900]), None);
    }
}
