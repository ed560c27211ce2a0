//! Segmentation: from a segment and an offset to a linear address.

use crate::cpu::core::Core;
use crate::event::Event;
use crate::memory::PAGE;
use crate::segment::{Segment, seg};
use crate::stop::Stop;
use fred::event::vector;
use fred::msr::is_canonical;

use super::Kind;

impl Core {
    /// `offset` in segment `index` of 64-bit mode, where FS and GS alone have a base.
    #[inline]
    pub(super) fn flat(&self, index: u8, offset: u64) -> u64 {
        let base = if index >= seg::FS { self.segment(index).base } else { 0 };
        base.wrapping_add(offset)
    }

    /// The linear address of `size` bytes at `offset` in segment `index`.
    ///
    /// # Errors
    /// #SS(0) for SS and #GP(0) for the others: not canonical, beyond the limit, a null selector,
    /// an access that the segment's type does not allow.
    #[inline]
    pub(crate) fn linear(&self, index: u8, offset: u64, size: usize, kind: Kind) -> Result<u64, Box<Stop>> {
        if self.is_64_bit() {
            let linear = self.flat(index, offset);
            let last = linear.wrapping_add(size as u64 - 1);
            // What lies in one page is canonical or not as a whole.
            if is_canonical(linear) && (linear ^ last < PAGE as u64 || is_canonical(last)) {
                return Ok(linear);
            }
            return Err(segment_fault(index));
        }
        let segment = self.segment(index);
        let offset = offset & 0xFFFF_FFFF;
        if self.is_real_mode() {
            if offset + size as u64 - 1 > u64::from(segment.limit) {
                return Err(segment_fault(index));
            }
        } else if segment.unusable || !allows(segment, kind) || !holds(segment, offset, size as u64) {
            return Err(segment_fault(index));
        }
        Ok(segment.base.wrapping_add(offset) & 0xFFFF_FFFF)
    }
}

fn segment_fault(index: u8) -> Box<Stop> {
    let vector = if index == seg::SS { vector::SS } else { vector::GP };
    Stop::Fault(Event::with_error_code(vector, 0)).into()
}

fn allows(segment: &Segment, kind: Kind) -> bool {
    let (code, read_write) = (segment.segment_type & 8 != 0, segment.segment_type & 2 != 0);
    match kind {
        Kind::Read => !code || read_write,
        Kind::Write => !code && read_write,
        Kind::Execute => code,
    }
}

fn holds(segment: &Segment, offset: u64, size: u64) -> bool {
    let last = offset + size - 1;
    let limit = u64::from(segment.limit);
    // Expand-down data: valid above the limit.
    if segment.segment_type & 0xC == 4 {
        let top = if segment.db { 0xFFFF_FFFF } else { 0xFFFF };
        return offset > limit && last <= top;
    }
    last <= limit
}
