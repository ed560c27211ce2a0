//! Loading segment registers.

use super::core::Core;
use crate::event::Event;
use crate::memory::Memory;
use crate::segment::Segment;
use crate::segment::seg;
use crate::stop::{Step, Stop};
use fred::event::vector;

/// A segment descriptor, eight bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Descriptor(pub(crate) u64);

impl Descriptor {
    pub(crate) fn segment_type(self) -> u8 {
        (self.0 >> 40) as u8 & 15
    }

    pub(crate) fn s(self) -> bool {
        self.0 >> 44 & 1 != 0
    }

    pub(crate) fn dpl(self) -> u8 {
        (self.0 >> 45) as u8 & 3
    }

    pub(crate) fn present(self) -> bool {
        self.0 >> 47 & 1 != 0
    }

    pub(crate) fn l(self) -> bool {
        self.0 >> 53 & 1 != 0
    }

    pub(crate) fn db(self) -> bool {
        self.0 >> 54 & 1 != 0
    }

    pub(crate) fn is_code(self) -> bool {
        self.s() && self.segment_type() & 8 != 0
    }

    pub(crate) fn is_conforming(self) -> bool {
        self.segment_type() & 4 != 0
    }

    /// The segment register that holds this descriptor, its accessed bit set.
    pub(crate) fn load(self, selector: u16) -> Segment {
        let raw = (self.0 & 0xFFFF | self.0 >> 32 & 0xF_0000) as u32;
        let g = self.0 >> 55 & 1 != 0;
        let accessed = u8::from(self.s());
        Segment {
            selector,
            base: self.0 >> 16 & 0xFF_FFFF | self.0 >> 56 << 24,
            limit: if g { raw << 12 | 0xFFF } else { raw },
            segment_type: self.segment_type() | accessed,
            dpl: self.dpl(),
            present: self.present(),
            s: self.s(),
            l: self.l(),
            db: self.db(),
            g,
            unusable: false,
        }
    }
}

/// An exception with a selector as its error code.
pub(crate) fn selector_fault(vector: u8, selector: u16) -> Box<Stop> {
    Stop::Fault(Event::with_error_code(vector, u32::from(selector & !3))).into()
}

fn is_null(selector: u16) -> bool {
    selector & !3 == 0
}

/// A register that a null selector was loaded into.
pub(crate) fn null_segment(selector: u16, dpl: u8) -> Segment {
    Segment { selector, dpl, unusable: true, ..Segment::default() }
}

/// A flat segment of `segment_type` as SYSCALL, FRED delivery and ERETU make it.
pub(crate) fn flat(selector: u16, segment_type: u8, dpl: u8, long: bool) -> Segment {
    Segment {
        selector,
        limit: 0xFFFF_FFFF,
        segment_type,
        dpl,
        present: true,
        s: true,
        l: long,
        db: !long,
        g: true,
        ..Segment::default()
    }
}

impl Core {
    /// CS and SS as SYSCALL, SYSRET, FRED delivery and ERETU to 64-bit mode load them.
    pub(crate) fn load_flat(&mut self, cs: u16, ss: u16, cpl: u8) {
        self.segments.cs = flat(cs, 11, cpl, true);
        self.segments.ss = Segment { db: true, ..flat(ss, 3, cpl, false) };
    }

    /// The linear address of a selector's descriptor; `None` beyond its table's limit.
    pub(crate) fn descriptor_address(&self, selector: u16, size: u64) -> Option<u64> {
        let offset = u64::from(selector & !7);
        let (base, limit) = if selector & 4 == 0 {
            (self.gdtr.base, u64::from(self.gdtr.limit))
        } else if self.segments.ldtr.unusable || !self.segments.ldtr.present {
            return None;
        } else {
            (self.segments.ldtr.base, u64::from(self.segments.ldtr.limit))
        };
        (offset + size - 1 <= limit).then(|| base.wrapping_add(offset))
    }

    /// Reads a selector's descriptor from GDT or LDT; #GP(selector) beyond the table's limit.
    pub(crate) fn descriptor(&mut self, memory: &mut Memory, selector: u16) -> Result<Descriptor, Box<Stop>> {
        let address =
            self.descriptor_address(selector, 8).ok_or_else(|| selector_fault(vector::GP, selector))?;
        Ok(Descriptor(self.read_system(memory, address, 8)?))
    }

    /// Sets the accessed bit of a code or data descriptor in its table when it is clear.
    pub(crate) fn mark_accessed(
        &mut self,
        memory: &mut Memory,
        selector: u16,
        descriptor: Descriptor,
    ) -> Step {
        if descriptor.segment_type() & 1 != 0 {
            return Ok(());
        }
        self.write_descriptor_type(memory, selector, descriptor, 1)
    }

    /// Sets bits of a descriptor's type field in its table.
    pub(crate) fn write_descriptor_type(
        &mut self,
        memory: &mut Memory,
        selector: u16,
        descriptor: Descriptor,
        bits: u64,
    ) -> Step {
        use crate::mmu::{Kind, Privilege};
        let Some(address) = self.descriptor_address(selector, 8) else { return Ok(()) };
        let place = self.resolve(memory, address.wrapping_add(5), 1, Kind::Write, Privilege::Implicit)?;
        memory.store_number(&place, 1, (descriptor.0 | bits << 40) >> 40 & 0xFF);
        Ok(())
    }

    /// MOV to, or POP of, a data segment register or SS.
    pub(crate) fn load_segment(&mut self, memory: &mut Memory, index: u8, selector: u16) -> Step {
        let loaded = self.checked_segment(memory, index, selector)?;
        *self.segment_mut(index) = loaded;
        Ok(())
    }

    /// MOV SS or POP SS has loaded SS: interrupts, NMIs and debug exceptions wait for the next
    /// instruction, and its own single-step trap does not come (SDM vol. 3, "Masking exceptions and
    /// interrupts when switching stacks").
    ///
    /// Of several in a row only the first is guaranteed to hold anything back. Here the others do not,
    /// as in KVM's instruction emulator (`toggle_interruptibility`): see `docs/open-questions.md`.
    pub(crate) fn loaded_ss(&mut self) {
        let first = !self.mov_ss_blocking;
        (self.scratch.mov_ss, self.scratch.no_single_step) = (first, first);
    }

    /// What loading `selector` into ES, SS, DS, FS or GS gives (SDM vol. 2, MOV).
    ///
    /// # Errors
    /// The instruction's faults.
    pub(crate) fn checked_segment(
        &mut self,
        memory: &mut Memory,
        index: u8,
        selector: u16,
    ) -> Result<Segment, Box<Stop>> {
        if index == seg::CS {
            return Err(crate::stop::ud());
        }
        if self.is_real_mode() {
            return Ok(Segment { selector, base: u64::from(selector) << 4, ..*self.segment(index) });
        }
        let cpl = self.cpl();
        let rpl = (selector & 3) as u8;
        if is_null(selector) {
            if index != seg::SS {
                return Ok(null_segment(selector, 0));
            }
            if self.is_64_bit() && cpl < 3 && rpl == cpl {
                return Ok(null_segment(selector, cpl));
            }
            return Err(crate::stop::gp0());
        }
        let descriptor = self.descriptor(memory, selector)?;
        if !is_loadable(index, descriptor, rpl, cpl) {
            return Err(selector_fault(vector::GP, selector));
        }
        if !descriptor.present() {
            let absent = if index == seg::SS { vector::SS } else { vector::NP };
            return Err(selector_fault(absent, selector));
        }
        self.mark_accessed(memory, selector, descriptor)?;
        Ok(descriptor.load(selector))
    }
}

/// Whether the type and the privilege of a descriptor are those of a stack for SS, of readable memory else.
fn is_loadable(index: u8, descriptor: Descriptor, rpl: u8, cpl: u8) -> bool {
    let kind = descriptor.segment_type();
    let (code, read_write, dpl) = (kind & 8 != 0, kind & 2 != 0, descriptor.dpl());
    if index == seg::SS {
        return descriptor.s() && !code && read_write && rpl == cpl && dpl == cpl;
    }
    let checked = !code || !descriptor.is_conforming();
    descriptor.s() && (!code || read_write) && (!checked || rpl <= dpl && cpl <= dpl)
}
