//! Segmentation: from a segment and an offset to a linear address.

use crate::event::Event;
use crate::processor::Processor;
use crate::segment::{Segment, seg};
use crate::stop::Stop;
use fred::control::{CR0_PE, EFER_LMA, rflags};
use fred::event::vector;
use fred::msr::is_canonical;

use super::Kind;

impl Processor {
    /// EFER.LMA.
    #[inline]
    pub(crate) fn is_long_mode_active(&self) -> bool {
        self.efer & EFER_LMA != 0
    }

    /// 64-bit mode: LMA and CS.L.
    #[inline]
    pub(crate) fn is_64_bit(&self) -> bool {
        self.efer & EFER_LMA != 0 && self.segments.cs.l
    }

    /// Real-address mode.
    pub(crate) fn is_real_mode(&self) -> bool {
        self.cr0 & CR0_PE == 0 || self.rflags & rflags::VM != 0
    }

    /// A segment register by its encoding.
    #[inline]
    pub(crate) fn segment(&self, index: u8) -> &Segment {
        match index {
            seg::ES => &self.segments.es,
            seg::CS => &self.segments.cs,
            seg::SS => &self.segments.ss,
            seg::FS => &self.segments.fs,
            seg::GS => &self.segments.gs,
            _ => &self.segments.ds,
        }
    }

    pub(crate) fn segment_mut(&mut self, index: u8) -> &mut Segment {
        match index {
            seg::ES => &mut self.segments.es,
            seg::CS => &mut self.segments.cs,
            seg::SS => &mut self.segments.ss,
            seg::FS => &mut self.segments.fs,
            seg::GS => &mut self.segments.gs,
            _ => &mut self.segments.ds,
        }
    }

    /// The linear address of `size` bytes at `offset` in segment `index`.
    ///
    /// # Errors
    /// #SS(0) for SS and #GP(0) for the others: not canonical, beyond the limit, a null selector,
    /// an access that the segment's type does not allow.
    #[inline]
    pub(crate) fn linear(&self, index: u8, offset: u64, size: usize, kind: Kind) -> Result<u64, Stop> {
        if self.is_64_bit() {
            let base = if index >= seg::FS { self.segment(index).base } else { 0 };
            let linear = base.wrapping_add(offset);
            let last = linear.wrapping_add(size as u64 - 1);
            if is_canonical(linear) && is_canonical(last) {
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

fn segment_fault(index: u8) -> Stop {
    let vector = if index == seg::SS { vector::SS } else { vector::GP };
    Stop::Fault(Event::with_error_code(vector, 0))
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
