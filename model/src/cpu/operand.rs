//! Reading and writing operands.

use super::core::Core;
use super::decoded::{Decoded, NO_REGISTER, Operand};
use crate::event::Event;
use crate::memory::Memory;
use crate::mmu::access::Place;
use crate::mmu::{Kind, Privilege};
use crate::segment::seg;
use crate::stop::{Step, Stop};
use fred::control::rflags;
use fred::event::vector;

/// CR0.AM: alignment is checked.
const CR0_AM: u64 = 1 << 18;

/// The low `size` bytes (1, 2, 4 or 8) set.
#[inline]
pub(crate) const fn mask(size: u8) -> u64 {
    match size {
        1 => 0xFF,
        2 => 0xFFFF,
        4 => 0xFFFF_FFFF,
        _ => u64::MAX,
    }
}

/// The sign bit of a number of `size` bytes.
#[inline]
pub(crate) const fn sign_bit(size: u8) -> u64 {
    1 << (size as u32 * 8 - 1)
}

/// A number of `size` bytes, sign-extended to 64 bits.
#[inline]
pub(crate) const fn sign_extend(value: u64, size: u8) -> u64 {
    let shift = 64 - size as u32 * 8;
    ((value << shift) as i64 >> shift) as u64
}

/// Where the result of a read-modify-write instruction goes: resolved for writing before anything
/// is computed, so that storing cannot fault.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    Register(Operand),
    Memory(Place),
}

impl Core {
    /// A general-purpose register's low `size` bytes.
    #[inline]
    pub(crate) fn gpr(&self, index: u8, size: u8) -> u64 {
        self.gpr[index as usize & 15] & mask(size)
    }

    /// Writes a general-purpose register: 4 bytes clear the upper half, 1 and 2 keep the rest.
    #[inline]
    pub(crate) fn set_gpr(&mut self, index: u8, size: u8, value: u64) {
        let register = &mut self.gpr[index as usize & 15];
        *register = match size {
            8 => value,
            4 => value & 0xFFFF_FFFF,
            _ => *register & !mask(size) | value & mask(size),
        };
    }

    fn register(&self, operand: Operand, size: u8) -> u64 {
        match operand {
            Operand::Gpr(index) => self.gpr(index, size),
            Operand::High(index) => self.gpr[index as usize & 15] >> 8 & 0xFF,
            Operand::Segment(index) => u64::from(self.segment(index).selector),
            _ => 0,
        }
    }

    fn set_register(&mut self, operand: Operand, size: u8, value: u64) {
        match operand {
            Operand::Gpr(index) => self.set_gpr(index, size, value),
            Operand::High(index) => {
                let register = &mut self.gpr[index as usize & 15];
                *register = *register & !0xFF00 | (value & 0xFF) << 8;
            }
            _ => {}
        }
    }

    /// The offset of the memory operand in its segment.
    #[inline]
    pub(crate) fn effective_address(&self, d: &Decoded) -> u64 {
        let m = &d.memory;
        let mut address = m.displacement;
        if m.base != NO_REGISTER {
            address = address.wrapping_add(self.gpr[m.base as usize & 15]);
        }
        if m.index != NO_REGISTER {
            address = address.wrapping_add(self.gpr[m.index as usize & 15].wrapping_mul(m.scale.into()));
        }
        if m.rip_relative {
            address = address.wrapping_add(self.rip);
        }
        address & mask(m.address_size)
    }

    /// Resolves `size` bytes at `offset` of a segment for an instruction's data access.
    #[inline]
    pub(crate) fn data(
        &mut self,
        memory: &mut Memory,
        segment: u8,
        offset: u64,
        size: usize,
        kind: Kind,
    ) -> Result<Place, Box<Stop>> {
        match self.known(memory, segment, offset, size, kind) {
            Some(gpa) => Ok(Place::whole(gpa, size)),
            None => self.data_in_full(memory, segment, offset, size, kind),
        }
    }

    /// Reads `size` bytes at `offset` of a segment for an instruction.
    #[inline]
    pub(crate) fn load(
        &mut self,
        memory: &mut Memory,
        segment: u8,
        offset: u64,
        size: u8,
    ) -> Result<u64, Box<Stop>> {
        if let Some(gpa) = self.known(memory, segment, offset, size.into(), Kind::Read) {
            return Ok(memory.load_inside(gpa, size.into()));
        }
        let place = self.data_in_full(memory, segment, offset, size.into(), Kind::Read)?;
        Ok(memory.load_number(&place, size.into()))
    }

    /// Writes the low `size` bytes of a number at `offset` of a segment for an instruction.
    #[inline]
    pub(crate) fn save(
        &mut self,
        memory: &mut Memory,
        segment: u8,
        offset: u64,
        size: u8,
        value: u64,
    ) -> Step {
        if let Some(gpa) = self.known(memory, segment, offset, size.into(), Kind::Write) {
            memory.store_inside(gpa, size.into(), value);
            return Ok(());
        }
        let place = self.data_in_full(memory, segment, offset, size.into(), Kind::Write)?;
        memory.store_number(&place, size.into(), value);
        Ok(())
    }

    /// [`data`](Self::data) for an access whose page is not [`known`](Self::known), or that something watches.
    #[inline(never)]
    fn data_in_full(
        &mut self,
        memory: &mut Memory,
        segment: u8,
        offset: u64,
        size: usize,
        kind: Kind,
    ) -> Result<Place, Box<Stop>> {
        let linear = self.linear(segment, offset, size, kind)?;
        if self.flag(rflags::AC) {
            self.check_alignment(linear, size)?;
        }
        let place = self.resolve(memory, linear, size, kind, self.privilege())?;
        self.watch_data(linear, size as u64, kind);
        Ok(place)
    }

    /// Remembers the data breakpoints that an access of the current instruction hits.
    #[inline]
    fn watch_data(&mut self, linear: u64, size: u64, kind: Kind) {
        if self.has_breakpoints() {
            self.scratch.breakpoints |= self.hit_by_data(linear, size, kind);
        }
    }

    /// #AC(0) for an item of 2, 4 or 8 bytes that is not aligned to its size, at CPL 3 with CR0.AM
    /// and RFLAGS.AC (SDM vol. 3, "Interrupt 17").
    #[cold]
    fn check_alignment(&self, linear: u64, size: usize) -> Step {
        let checked = self.cr0 & CR0_AM != 0 && self.cpl() == 3 && matches!(size, 2 | 4 | 8);
        if checked && !linear.is_multiple_of(size as u64) {
            return Err(Stop::Fault(Event::with_error_code(vector::AC, 0)).into());
        }
        Ok(())
    }

    /// Resolves the memory operand, `size` bytes, for an access.
    #[inline]
    pub(crate) fn memory_operand(
        &mut self,
        memory: &mut Memory,
        d: &Decoded,
        size: usize,
        kind: Kind,
    ) -> Result<Place, Box<Stop>> {
        let offset = self.effective_address(d);
        self.data(memory, d.memory.segment, offset, size, kind)
    }

    /// The value of operand `n`, as wide as the operand.
    #[inline]
    pub(crate) fn read(&mut self, memory: &mut Memory, d: &Decoded, n: usize) -> Result<u64, Box<Stop>> {
        let size = d.size[n];
        match d.operands[n] {
            Operand::Gpr(index) => Ok(self.gpr(index, size)),
            Operand::Immediate => Ok(d.immediate & mask(size)),
            Operand::Memory => self.load(memory, d.memory.segment, self.effective_address(d), size),
            other => Ok(self.register(other, size)),
        }
    }

    /// Writes operand `n`.
    #[inline]
    pub(crate) fn write(&mut self, memory: &mut Memory, d: &Decoded, n: usize, value: u64) -> Step {
        let size = d.size[n];
        if d.operands[n] == Operand::Memory {
            return self.save(memory, d.memory.segment, self.effective_address(d), size, value);
        }
        self.set_register(d.operands[n], size, value);
        Ok(())
    }

    /// Operand `n` for reading and writing: where it is and its value. A fault is a write's.
    #[inline]
    pub(crate) fn modify(
        &mut self,
        memory: &mut Memory,
        d: &Decoded,
        n: usize,
    ) -> Result<(Target, u64), Box<Stop>> {
        let size = d.size[n];
        if d.operands[n] == Operand::Memory {
            let place = self.memory_operand(memory, d, size.into(), Kind::Write)?;
            Ok((Target::Memory(place), memory.load_number(&place, size.into())))
        } else {
            Ok((Target::Register(d.operands[n]), self.register(d.operands[n], size)))
        }
    }

    /// Stores a result; cannot fault.
    #[inline]
    pub(crate) fn store(&mut self, memory: &mut Memory, target: Target, size: u8, value: u64) {
        match target {
            Target::Register(operand) => self.set_register(operand, size, value),
            Target::Memory(place) => memory.store_number(&place, size.into(), value),
        }
    }

    /// Bytes of the stack pointer: 2, 4 or 8.
    pub(crate) fn stack_size(&self) -> u8 {
        if self.is_64_bit() {
            8
        } else if self.segments.ss.db {
            4
        } else {
            2
        }
    }

    /// The stack pointer `bytes` further up, within its size.
    pub(crate) fn stack_at(&self, bytes: i64) -> u64 {
        self.gpr[4].wrapping_add(bytes as u64) & mask(self.stack_size())
    }

    /// Sets the stack pointer, as wide as it is.
    pub(crate) fn set_stack(&mut self, value: u64) {
        self.set_gpr(4, self.stack_size(), value);
    }

    /// Pushes `size` bytes. On a fault nothing has changed.
    pub(crate) fn push(&mut self, memory: &mut Memory, value: u64, size: u8) -> Step {
        let top = self.stack_at(-i64::from(size));
        self.save(memory, seg::SS, top, size, value)?;
        self.set_stack(top);
        Ok(())
    }

    /// Reads `size` bytes at `offset` bytes above the stack pointer, which stays.
    pub(crate) fn peek(&mut self, memory: &mut Memory, offset: i64, size: u8) -> Result<u64, Box<Stop>> {
        let at = self.stack_at(offset);
        self.load(memory, seg::SS, at, size)
    }

    /// Reads a descriptor table, the TSS or the like: supervisor whatever the CPL.
    pub(crate) fn read_system(
        &mut self,
        memory: &mut Memory,
        linear: u64,
        size: usize,
    ) -> Result<u64, Box<Stop>> {
        let linear = if self.is_long_mode_active() { linear } else { linear & 0xFFFF_FFFF };
        self.read_linear(memory, linear, size, Privilege::Implicit)
    }
}
