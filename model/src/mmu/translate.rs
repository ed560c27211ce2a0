//! From a linear to a guest-physical address.

use super::tlb::{Rights, Translation};
use super::{Kind, Privilege};
use crate::cpu::core::Core;
use crate::memory::Memory;
use crate::stop::Stop;
use fred::control::CR0_PG;
use fred::msr::is_canonical;

impl Core {
    /// What a page's translation permits to instructions while RFLAGS.AC is clear, as SMAP is for
    /// [`Privilege::Implicit`] whatever that flag.
    fn rights(&self, page: &Translation) -> Rights {
        let permits =
            |kind, privilege| (kind != Kind::Write || page.dirty) && !self.refuses(page, kind, privilege);
        let mut rights = Rights::empty();
        rights.set(Rights::READ, permits(Kind::Read, Privilege::Implicit));
        rights.set(Rights::WRITE, permits(Kind::Write, Privilege::Implicit));
        rights.set(Rights::USER_READ, permits(Kind::Read, Privilege::User));
        rights.set(Rights::USER_WRITE, permits(Kind::Write, Privilege::User));
        rights
    }

    /// The privilege of an instruction's data accesses and fetches.
    pub(crate) fn privilege(&self) -> Privilege {
        if self.cpl() == 3 { Privilege::User } else { Privilege::Supervisor }
    }

    /// The guest-physical address of `linear`; the access stays inside the page.
    ///
    /// The second-stage page tables are checked, and accessed and dirty bits are set.
    #[inline]
    pub(crate) fn translate(
        &mut self,
        memory: &mut Memory,
        linear: u64,
        kind: Kind,
        privilege: Privilege,
    ) -> Result<u64, Box<Stop>> {
        if self.cr0 & CR0_PG == 0 {
            let gpa = linear & 0xFFFF_FFFF;
            memory.permit(gpa, kind == Kind::Write)?;
            return Ok(gpa);
        }
        let cached = !memory.is_counted();
        if cached && let Some(found) = self.tlb.find(linear, memory.epoch()) {
            let known_dirty = kind != Kind::Write || found.dirty;
            if known_dirty && !self.refuses(&found, kind, privilege) {
                return Ok(found.frame | linear & 0xFFF);
            }
        }
        let translation = self.walk(memory, linear, kind, privilege)?;
        let gpa = translation.frame | linear & 0xFFF;
        memory.permit(gpa, kind == Kind::Write)?;
        if cached && !memory.watches_writes(gpa) && is_canonical(linear) {
            self.tlb.insert(linear, memory.epoch(), translation, self.rights(&translation));
        }
        Ok(gpa)
    }
}
