//! Linear addresses by the guest's own page tables.

use fred::control::{CR0_PG, CR4_LA57};
use kvm_bindings::kvm_sregs;

/// Present, in an entry of a page table.
const PRESENT: u64 = 1;
/// The entry maps a large page.
const LARGE: u64 = 1 << 7;
/// The address in an entry.
const ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;

/// The guest-physical address of a linear one; `None` where nothing is mapped, or a table lies outside of `memory`.
pub(super) fn physical(memory: &[u8], sregs: &kvm_sregs, linear: u64) -> Option<u64> {
    if sregs.cr0 & CR0_PG == 0 {
        return Some(linear);
    }
    let levels = if sregs.cr4 & CR4_LA57 == 0 { 4 } else { 5 };
    let mut table = sregs.cr3 & ADDRESS;
    for level in (0..levels).rev() {
        let shift = 12 + 9 * level;
        let entry = quadword(memory, table + (linear >> shift & 0x1FF) * 8)?;
        if entry & PRESENT == 0 {
            return None;
        }
        if level == 0 || (level <= 2 && entry & LARGE != 0) {
            let offset = (1 << shift) - 1;
            return Some(entry & ADDRESS & !offset | linear & offset);
        }
        table = entry & ADDRESS;
    }
    None
}

fn quadword(memory: &[u8], address: u64) -> Option<u64> {
    let start = usize::try_from(address).ok()?;
    memory.get(start..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_each_size_are_found_and_holes_are_not() {
        let mut memory = vec![0; 0x6000];
        let mut put =
            |address: usize, entry: u64| memory[address..address + 8].copy_from_slice(&entry.to_le_bytes());
        put(0x1000, 0x2000 | PRESENT);
        put(0x2000, 0x3000 | PRESENT);
        put(0x2008, 0x4000_0000 | PRESENT | LARGE);
        put(0x3000, 0x4000 | PRESENT);
        put(0x3008, 0x20_0000 | PRESENT | LARGE);
        put(0x4008, 0x8000_0000_0000_5000 | PRESENT);
        put(0x3010, 0xFFFF_F000 | PRESENT);
        let sregs = kvm_sregs { cr0: CR0_PG, cr3: 0x1018, ..Default::default() };
        let found = |linear| physical(&memory, &sregs, linear);
        assert_eq!(found(0x1234), Some(0x5234));
        assert_eq!(found(0x2345), None, "not present");
        assert_eq!(found(0x20_1234), Some(0x20_1234));
        assert_eq!(found(0x4012_3456), Some(0x4012_3456));
        assert_eq!(found(0x40_0000), None, "its table is outside of memory");
        assert_eq!(found(1 << 39), None);
        assert_eq!(physical(&memory, &kvm_sregs::default(), 0x77), Some(0x77), "without paging");
    }
}
