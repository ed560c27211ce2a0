//! The page walk: 4-level paging (SDM vol. 3, ch. 5).

use super::tlb::Translation;
use super::{Kind, Privilege};
use crate::cpu::core::Core;
use crate::event::Event;
use crate::memory::{Memory, Refused};
use crate::stop::Stop;
use fred::control::{CR0_WP, CR4_SMAP, CR4_SMEP, EFER_LMA, EFER_NXE, rflags};

const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const LARGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;
/// The address of the next table, or of the page.
const FRAME: u64 = 0x000F_FFFF_FFFF_F000;

/// Bits of #PF's error code.
pub(crate) mod error {
    pub(crate) const PROTECTION: u32 = 1 << 0;
    pub(crate) const WRITE: u32 = 1 << 1;
    pub(crate) const USER: u32 = 1 << 2;
    pub(crate) const RESERVED: u32 = 1 << 3;
    pub(crate) const FETCH: u32 = 1 << 4;
}

impl Core {
    /// Walks the tables for one access, checks it, and sets accessed and dirty bits when it is
    /// allowed.
    pub(super) fn walk(
        &mut self,
        memory: &mut Memory,
        linear: u64,
        kind: Kind,
        privilege: Privilege,
    ) -> Result<Translation, Box<Stop>> {
        if self.efer & EFER_LMA == 0 {
            return Err(Stop::Unsupported("paging outside IA-32e mode").into());
        }
        let fault =
            |bits| Box::new(Stop::Fault(Event::page_fault(linear, bits | self.error_bits(kind, privilege))));
        let mut table = self.cr3 & FRAME;
        let mut found = Translation { user: true, writable: true, ..Translation::default() };
        let mut path = [(0, 0); 4];
        let mut depth = 0;
        for level in (0..4u32).rev() {
            let address = table + (linear >> (12 + 9 * level) & 0x1FF) * 8;
            let entry = memory.read_entry(address)?;
            if entry & PRESENT == 0 {
                return Err(fault(0));
            }
            let leaf = level == 0 || level < 3 && entry & LARGE != 0;
            if entry & self.reserved_bits(level, leaf) != 0 {
                return Err(fault(error::PROTECTION | error::RESERVED));
            }
            path[depth] = (address, entry);
            depth += 1;
            found.user &= entry & USER != 0;
            found.writable &= entry & WRITABLE != 0;
            found.no_execute |= entry & NO_EXECUTE != 0;
            if leaf {
                let offset = (1u64 << (12 + 9 * level)) - 1;
                found.frame = (entry & FRAME & !offset) | linear & offset & !0xFFF;
                found.dirty = entry & DIRTY != 0 || kind == Kind::Write;
                break;
            }
            table = entry & FRAME;
        }
        if self.refuses(&found, kind, privilege) {
            return Err(fault(error::PROTECTION));
        }
        mark_used(memory, &path[..depth], kind)?;
        Ok(found)
    }

    /// Whether a translation does not allow an access.
    #[inline]
    pub(super) fn refuses(&self, page: &Translation, kind: Kind, privilege: Privilege) -> bool {
        match (kind, privilege) {
            (Kind::Execute, Privilege::User) => !page.user || page.no_execute,
            (Kind::Execute, _) => page.no_execute || page.user && self.cr4 & CR4_SMEP != 0,
            (Kind::Read, Privilege::User) => !page.user,
            (Kind::Write, Privilege::User) => !page.user || !page.writable,
            (Kind::Read, _) => self.smap_refuses(page, privilege),
            (Kind::Write, _) => {
                self.smap_refuses(page, privilege) || !page.writable && self.cr0 & CR0_WP != 0
            }
        }
    }

    fn smap_refuses(&self, page: &Translation, privilege: Privilege) -> bool {
        let lifted = privilege == Privilege::Supervisor && self.rflags & rflags::AC != 0;
        page.user && self.cr4 & CR4_SMAP != 0 && !lifted
    }

    fn error_bits(&self, kind: Kind, privilege: Privilege) -> u32 {
        let mut bits = if privilege == Privilege::User { error::USER } else { 0 };
        if kind == Kind::Write {
            bits |= error::WRITE;
        }
        if kind == Kind::Execute && (self.efer & EFER_NXE != 0 || self.cr4 & CR4_SMEP != 0) {
            bits |= error::FETCH;
        }
        bits
    }

    /// Bits that must be 0 in a present entry (SDM vol. 3, "Reserved bits in paging entries").
    fn reserved_bits(&self, level: u32, leaf: bool) -> u64 {
        let above_physical = 0x000F_FFFF_FFFF_FFFF & !((1u64 << self.features.physical_bits) - 1);
        let no_execute = if self.efer & EFER_NXE == 0 { NO_EXECUTE } else { 0 };
        let size = match (level, leaf) {
            (3, _) => LARGE,
            (2, true) if !self.features.page_1g => LARGE,
            (2, true) => 0x3FFF_E000,
            (1, true) => 0x001F_E000,
            _ => 0,
        };
        above_physical | no_execute | size
    }
}

/// Sets the accessed bits of the entries that a walk has read, and the last one's dirty bit for a write.
fn mark_used(memory: &mut Memory, path: &[(u64, u64)], kind: Kind) -> Result<(), Refused> {
    for (n, &(address, entry)) in path.iter().enumerate() {
        let dirty = if n + 1 == path.len() && kind == Kind::Write { DIRTY } else { 0 };
        let updated = entry | ACCESSED | dirty;
        if updated != entry {
            memory.write_entry(address, updated)?;
        }
    }
    Ok(())
}
