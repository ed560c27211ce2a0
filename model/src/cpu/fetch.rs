//! Instruction fetch.

use super::Stop;
use super::decoded::{Decoded, Undecodable};
use crate::event::Event;
use crate::memory::{Memory, PAGE};
use crate::mmu::Kind;
use crate::mmu::linear::seg;
use crate::processor::Processor;

/// The longest instruction.
const LONGEST: usize = 15;

impl Processor {
    /// 16, 32 or 64.
    pub(crate) fn code_bits(&self) -> u32 {
        if self.is_64_bit() {
            64
        } else if self.segments.cs.db && !self.is_real_mode() {
            32
        } else {
            16
        }
    }

    /// The instruction at RIP.
    pub(crate) fn fetch(&mut self, memory: &mut Memory) -> Result<Decoded, Stop> {
        let linear = self.linear_code(self.rip)?;
        let bits = self.code_bits();
        let gpa = self.translate(memory, linear, Kind::Execute, self.privilege())?;
        let (index, offset) = ((gpa / PAGE as u64) as usize, gpa as usize % PAGE);
        if let Some(page) = memory.page(index)
            && let Some(found) = self.cache.find(index, page, offset, bits)
            && self.ends_inside_limit(found.length)
        {
            return Ok(*found);
        }
        let mut bytes = [0; LONGEST];
        let first = LONGEST.min(PAGE - offset);
        memory.load(gpa, &mut bytes[..first]);
        match Decoded::new(&bytes[..first], bits) {
            Ok(decoded) => {
                if !self.ends_inside_limit(decoded.length) {
                    return Err(Stop::Fault(Event::gp(0)));
                }
                if let Some(page) = memory.page(index) {
                    self.cache.insert(index, page, offset, bits, decoded);
                }
                Ok(decoded)
            }
            Err(Undecodable::Invalid) => Err(Stop::Fault(Event::ud())),
            // Longer than an instruction can be.
            Err(Undecodable::TooShort) if first == LONGEST => Err(Stop::Fault(Event::gp(0))),
            Err(Undecodable::TooShort) => {
                let next = self.linear_code(self.rip.wrapping_add(first as u64))?;
                let gpa = self.translate(memory, next, Kind::Execute, self.privilege())?;
                memory.load(gpa, &mut bytes[first..]);
                match Decoded::new(&bytes, bits) {
                    Ok(decoded) if self.ends_inside_limit(decoded.length) => Ok(decoded),
                    Ok(_) | Err(Undecodable::TooShort) => Err(Stop::Fault(Event::gp(0))),
                    Err(Undecodable::Invalid) => Err(Stop::Fault(Event::ud())),
                }
            }
        }
    }

    fn linear_code(&self, rip: u64) -> Result<u64, Stop> {
        if self.is_real_mode() || self.is_64_bit() {
            return self.linear(seg::CS, rip, 1, Kind::Execute);
        }
        if self.segments.cs.unusable || rip & 0xFFFF_FFFF > u64::from(self.segments.cs.limit) {
            return Err(Stop::Fault(Event::gp(0)));
        }
        Ok(self.segments.cs.base.wrapping_add(rip) & 0xFFFF_FFFF)
    }

    fn ends_inside_limit(&self, length: u8) -> bool {
        self.is_64_bit()
            || (self.rip & 0xFFFF_FFFF) + u64::from(length) - 1 <= u64::from(self.segments.cs.limit)
    }
}
