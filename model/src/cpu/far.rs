//! Far jumps, calls and returns between code segments.
//!
//! Outside IA-32e mode gates and task switches are not modelled.

use super::core::Core;
use super::decoded::{Decoded, Handler, Operand};
use super::load_segment::{Descriptor, selector_fault};
use super::operand::mask;
use crate::memory::Memory;
use crate::mmu::Kind;
use crate::mmu::access::Place;
use crate::segment::Segment;
use crate::segment::seg;
use crate::stop::{Step, Stop, gp0};
use fred::event::vector;
use fred::msr::is_canonical;
use iced_x86::{Code, Mnemonic};

pub(super) fn handler(mnemonic: Mnemonic) -> Option<Handler> {
    match mnemonic {
        Mnemonic::Retf => Some(retf),
        Mnemonic::Lss => Some(|p, m, d| load_pointer(p, m, d, seg::SS)),
        Mnemonic::Lfs => Some(|p, m, d| load_pointer(p, m, d, seg::FS)),
        Mnemonic::Lgs => Some(|p, m, d| load_pointer(p, m, d, seg::GS)),
        _ => None,
    }
}

/// LSS, LFS and LGS. Unlike MOV SS, LSS holds nothing back.
fn load_pointer(p: &mut Core, m: &mut Memory, d: &Decoded, index: u8) -> Step {
    let (selector, offset) = pointer_in_memory(p, m, d, d.size[0])?;
    p.load_segment(m, index, selector)?;
    p.write(m, d, 0, offset)
}

/// Selector and offset of a far pointer in memory; the offset has `size` bytes and comes first.
fn pointer_in_memory(p: &mut Core, m: &mut Memory, d: &Decoded, size: u8) -> Result<(u16, u64), Box<Stop>> {
    let at = usize::from(size);
    let place = p.memory_operand(m, d, at + 2, Kind::Read)?;
    let mut bytes = [0; 10];
    m.load_place(&place, &mut bytes[..at + 2]);
    let mut offset = [0; 8];
    offset[..at].copy_from_slice(&bytes[..at]);
    Ok((u16::from_le_bytes([bytes[at], bytes[at + 1]]), u64::from_le_bytes(offset)))
}

/// Selector, offset and operand size of a far pointer operand.
fn pointer(p: &mut Core, m: &mut Memory, d: &Decoded) -> Result<(u16, u64, u8), Box<Stop>> {
    if d.operands[0] == Operand::Memory {
        let size = d.size[0] - 2;
        let (selector, offset) = pointer_in_memory(p, m, d, size)?;
        return Ok((selector, offset, size));
    }
    let i = &d.instruction;
    if i.op0_kind() == iced_x86::OpKind::FarBranch16 {
        Ok((i.far_branch_selector(), i.far_branch16().into(), 2))
    } else {
        Ok((i.far_branch_selector(), i.far_branch32().into(), 4))
    }
}

impl Core {
    /// The code segment of a far jump or call, checked; `offset` lies in it.
    fn far_target(&mut self, m: &mut Memory, selector: u16, offset: u64) -> Result<Segment, Box<Stop>> {
        if self.is_real_mode() {
            return Ok(Segment { selector, base: u64::from(selector) << 4, ..self.segments.cs });
        }
        if selector & !3 == 0 {
            return Err(gp0());
        }
        let descriptor = self.descriptor(m, selector)?;
        if !descriptor.s() {
            return Err(Stop::Unsupported("a far branch through a gate or a task-state segment").into());
        }
        let cpl = self.cpl();
        let allowed = if descriptor.is_conforming() {
            descriptor.dpl() <= cpl
        } else {
            (selector & 3) as u8 <= cpl && descriptor.dpl() == cpl
        };
        if !descriptor.is_code() || !allowed {
            return Err(selector_fault(vector::GP, selector));
        }
        self.finish_far(m, selector & !3 | u16::from(cpl), descriptor, offset)
    }

    /// The checks that every far transfer to a code segment ends with.
    fn finish_far(
        &mut self,
        m: &mut Memory,
        selector: u16,
        descriptor: Descriptor,
        offset: u64,
    ) -> Result<Segment, Box<Stop>> {
        if self.is_long_mode_active() && descriptor.l() && descriptor.db() {
            return Err(selector_fault(vector::GP, selector));
        }
        if !descriptor.present() {
            return Err(selector_fault(vector::NP, selector));
        }
        let mut segment = descriptor.load(selector);
        if self.is_long_mode_active() && descriptor.l() {
            if !is_canonical(offset) {
                return Err(gp0());
            }
        } else if offset & 0xFFFF_FFFF > u64::from(segment.limit) {
            return Err(gp0());
        }
        self.mark_accessed(m, selector, descriptor)?;
        if !self.is_long_mode_active() {
            segment.l = false;
        }
        Ok(segment)
    }

    /// Where CS and RIP are pushed, nothing stored yet.
    pub(super) fn two_pushes(&mut self, m: &mut Memory, size: u8) -> Result<[Place; 2], Box<Stop>> {
        let mut at = |n: i64| {
            let offset = self.stack_at(-n * i64::from(size));
            self.data(m, seg::SS, offset, size.into(), Kind::Write)
        };
        Ok([at(1)?, at(2)?])
    }

    /// The code segment that IRET, RETF or ERETU returns to, checked.
    pub(crate) fn return_segment(
        &mut self,
        m: &mut Memory,
        selector: u16,
        offset: u64,
    ) -> Result<Segment, Box<Stop>> {
        if selector & !3 == 0 {
            return Err(gp0());
        }
        let descriptor = self.descriptor(m, selector)?;
        let rpl = (selector & 3) as u8;
        let privilege =
            if descriptor.is_conforming() { descriptor.dpl() <= rpl } else { descriptor.dpl() == rpl };
        if !descriptor.is_code() || rpl < self.cpl() || !privilege {
            return Err(selector_fault(vector::GP, selector));
        }
        self.finish_far(m, selector, descriptor, offset)
    }

    /// The stack segment of a return to CPL `rpl`, checked.
    pub(crate) fn return_stack(
        &mut self,
        m: &mut Memory,
        selector: u16,
        rpl: u8,
        long: bool,
    ) -> Result<Segment, Box<Stop>> {
        if selector & !3 == 0 {
            if long && rpl < 3 && (selector & 3) as u8 == rpl {
                return Ok(super::load_segment::null_segment(selector, rpl));
            }
            return Err(gp0());
        }
        let descriptor = self.descriptor(m, selector)?;
        let kind = descriptor.segment_type();
        let data = descriptor.s() && kind & 0xA == 2;
        if (selector & 3) as u8 != rpl || !data || descriptor.dpl() != rpl {
            return Err(selector_fault(vector::GP, selector));
        }
        if !descriptor.present() {
            return Err(selector_fault(vector::SS, selector));
        }
        self.mark_accessed(m, selector, descriptor)?;
        Ok(descriptor.load(selector))
    }

    /// Makes the data segments that a less privileged CPL must not keep null.
    pub(crate) fn drop_privileged_segments(&mut self) {
        let cpl = self.cpl();
        for index in [0, 3, 4, 5] {
            let segment = self.segment_mut(index);
            let conforming = segment.segment_type & 0xC == 0xC;
            if !segment.unusable && segment.s && !conforming && segment.dpl < cpl {
                *segment = super::load_segment::null_segment(0, 0);
            }
        }
    }
}

pub(super) fn jmp(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    let (selector, offset, size) = pointer(p, m, d)?;
    if let Some(gate) = p.call_gate(m, selector)? {
        return p.jump_through(m, &gate);
    }
    let segment = p.far_target(m, selector, offset)?;
    p.segments.cs = segment;
    p.jump_to(offset & mask(size));
    Ok(())
}

pub(super) fn call(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    let (selector, offset, size) = pointer(p, m, d)?;
    if let Some(gate) = p.call_gate(m, selector)? {
        return p.call_through(m, &gate);
    }
    let segment = p.far_target(m, selector, offset)?;
    let places = p.two_pushes(m, size)?;
    m.store_number(&places[0], size.into(), p.segments.cs.selector.into());
    m.store_number(&places[1], size.into(), p.scratch.next_rip);
    p.set_stack(p.stack_at(-2 * i64::from(size)));
    p.segments.cs = segment;
    p.jump_to(offset);
    Ok(())
}

fn retf(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    let size: u8 = match d.instruction.code() {
        Code::Retfw | Code::Retfw_imm16 => 2,
        Code::Retfd | Code::Retfd_imm16 => 4,
        _ => 8,
    };
    let step = i64::from(size);
    let released = (d.immediate & 0xFFFF) as i64;
    let offset = p.peek(m, 0, size)?;
    let selector = p.peek(m, step, size)? as u16;
    if p.is_real_mode() {
        let above = p.stack_at(2 * step + released);
        p.segments.cs = Segment { selector, base: u64::from(selector) << 4, ..p.segments.cs };
        p.jump_to(offset);
        p.set_stack(above);
        return Ok(());
    }
    let rpl = (selector & 3) as u8;
    if p.fred() && rpl != p.cpl() {
        return Err(selector_fault(vector::GP, selector));
    }
    let cs = p.return_segment(m, selector, offset)?;
    if rpl == p.cpl() {
        let above = p.stack_at(2 * step + released);
        p.segments.cs = cs;
        p.set_stack(above);
    } else {
        let rsp = p.peek(m, 2 * step + released, size)?;
        let ss = p.peek(m, 3 * step + released, size)? as u16;
        let ss = p.return_stack(m, ss, rpl, cs.l)?;
        p.segments.cs = cs;
        p.segments.ss = Segment { dpl: rpl, ..ss };
        p.set_stack(rsp.wrapping_add(released as u64));
        p.drop_privileged_segments();
    }
    p.jump_to(offset & mask(size));
    Ok(())
}
