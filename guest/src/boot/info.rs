//! What the boot loader left in memory: only the command line matters.

use crate::paging::peek;

/// EAX at entry from a Multiboot2 loader.
const MULTIBOOT2: u32 = 0x36D7_6289;
/// The first word of PVH's `start_info`.
const START_INFO: u32 = 0x336E_C578;
/// Multiboot2: the tag that holds the command line.
const COMMAND_LINE_TAG: u32 = 1;
/// Multiboot2: the last tag.
const END_TAG: u32 = 0;
/// More tags than any loader has.
const MOST_TAGS: usize = 64;
/// Longest command line looked at, in bytes.
const LONGEST: usize = 512;

/// Copies the command line into `line` and returns it; empty when there is none or it is not UTF-8.
///
/// `magic` and `information` are EAX and EBX at entry. Physical addresses are read through a
/// window of the page tables, wherever below 2^52 they are.
pub(crate) fn command_line(magic: u32, information: u32, line: &mut [u8; LONGEST]) -> &str {
    let Some(address) = find(magic, information as u64) else { return "" };
    let mut length = 0;
    for byte in line.iter_mut() {
        *byte = peek(address + length as u64);
        if *byte == 0 {
            break;
        }
        length += 1;
    }
    core::str::from_utf8(&line[..length]).unwrap_or_default()
}

fn find(magic: u32, information: u64) -> Option<u64> {
    if magic == MULTIBOOT2 {
        let mut tag = information + 8;
        for _ in 0..MOST_TAGS {
            let size = peek_u32(tag + 4);
            match peek_u32(tag) {
                COMMAND_LINE_TAG => return Some(tag + 8),
                END_TAG => return None,
                _ => tag += (size as u64 + 7) & !7,
            }
        }
        return None;
    }
    if peek_u32(information) != START_INFO {
        return None;
    }
    let address = peek_u32(information + 24) as u64 | (peek_u32(information + 28) as u64) << 32;
    (address != 0).then_some(address)
}

fn peek_u32(address: u64) -> u32 {
    u32::from_le_bytes(core::array::from_fn(|byte| peek(address + byte as u64)))
}
