//! The way of most accesses: to a page that was translated before, by an instruction of 64-bit mode that nothing watches.

use super::Kind;
use super::tlb::Rights;
use crate::cpu::core::Core;
use crate::memory::{Memory, PAGE};
use crate::segment::seg;
use fred::control::rflags;
use fred::msr::is_canonical;

impl Core {
    /// The guest-physical address of `size` bytes at `offset` of a segment, if the page's translation is known and
    /// permits the access, and neither #AC nor a data breakpoint can come of it. `None` decides nothing: then the access
    /// is made in full.
    #[inline]
    pub(crate) fn known(
        &self,
        memory: &Memory,
        segment: u8,
        offset: u64,
        size: usize,
        kind: Kind,
    ) -> Option<u64> {
        let plain =
            self.is_64_bit() && !self.flag(rflags::AC) && !self.has_breakpoints() && !memory.is_counted();
        let base = if segment >= seg::FS { self.segment(segment).base } else { 0 };
        let linear = base.wrapping_add(offset);
        let in_one_page = linear as usize % PAGE + size <= PAGE;
        if !plain || !in_one_page || !is_canonical(linear) {
            return None;
        }
        self.tlb.permitted(linear, memory.epoch(), Rights::of(kind, self.cpl()))
    }
}
