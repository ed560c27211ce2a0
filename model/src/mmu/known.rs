//! The way of most accesses: to a page that was translated before, by a plain instruction that nothing watches.

use super::Kind;
use super::tlb::Rights;
use crate::cpu::core::Core;
use crate::memory::{Memory, PAGE};
use fred::control::rflags;

/// The rights that a page must have for an access of a plain instruction to need nothing more than its translation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    read: Rights,
    write: Rights,
}

impl Default for Known {
    fn default() -> Self {
        Self { read: Rights::NONE, write: Rights::NONE }
    }
}

impl Known {
    fn rights(self, kind: Kind) -> Rights {
        match kind {
            Kind::Read => self.read,
            Kind::Write => self.write,
            Kind::Execute => Rights::NONE,
        }
    }
}

impl Core {
    /// Before a run of plain instructions, which are of 64-bit mode and meet no breakpoint: [`known`](Self::known) may
    /// answer, unless #AC can come or the accesses are counted.
    pub(crate) fn begin_known(&mut self, memory: &Memory) {
        self.scratch.known = if self.flag(rflags::AC) || memory.is_counted() {
            Known::default()
        } else if self.cpl() == 3 {
            Known { read: Rights::USER_READ, write: Rights::USER_WRITE }
        } else {
            Known { read: Rights::READ, write: Rights::WRITE }
        };
    }

    /// After it.
    pub(crate) fn end_known(&mut self) {
        self.scratch.known = Known::default();
    }

    /// The guest-physical address of `size` bytes at `offset` of a segment, if the page's translation is known and
    /// permits the access. `None` decides nothing: then the access is made in full.
    #[inline]
    pub(crate) fn known(
        &self,
        memory: &Memory,
        segment: u8,
        offset: u64,
        size: usize,
        kind: Kind,
    ) -> Option<u64> {
        let linear = self.flat(segment, offset);
        if linear as usize % PAGE + size > PAGE {
            return None;
        }
        self.tlb.permitted(linear, memory.epoch(), self.scratch.known.rights(kind))
    }
}
