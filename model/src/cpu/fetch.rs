//! Instruction fetch.

use super::cache::{CodePage, DecodeCache, Place, Window};
use super::core::Core;
use super::decode::{LONGEST, Undecodable};
use super::decoded::Decoded;
use crate::event::Event;
use crate::memory::{Memory, PAGE};
use crate::mmu::Kind;
use crate::segment::seg;
use crate::stop::Stop;

impl Core {
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
    #[inline]
    pub(crate) fn fetch<'c>(
        &mut self,
        memory: &mut Memory,
        cache: &'c mut DecodeCache,
    ) -> Result<&'c Decoded, Box<Stop>> {
        if let Some(place) = self.known_code(memory, cache) {
            return cache.get(place).ok_or_else(|| Stop::Unknown.into());
        }
        let linear = self.linear_code(self.rip)?;
        let bits = self.code_bits();
        let gpa = self.translate(memory, linear, Kind::Execute, self.privilege())?;
        let (index, offset) = ((gpa / PAGE as u64) as usize, gpa as usize % PAGE);
        cache.open_window(Window {
            page: self.rip >> 12,
            index,
            epoch: memory.epoch(),
            generation: self.tlb.generation(),
            cpl: self.cpl(),
        });
        let found = memory.page(index).and_then(|page| cache.find(index, page, offset, bits));
        if let Some(place) = found
            && cache.get(place).is_some_and(|decoded| self.ends_inside_limit(decoded.length))
        {
            return cache.get(place).ok_or_else(|| Stop::Unknown.into());
        }
        let (decoded, inside) = self.decode(memory, gpa, bits)?;
        if inside && let Some(page) = memory.page(index) {
            cache.insert(index, page, offset, bits, decoded);
        }
        Ok(cache.hold(decoded))
    }

    /// The page of code that RIP is in, and its window, when an earlier fetch was from it and nothing can have changed
    /// since: the same page by the same translation with the same right, in 64-bit mode.
    #[inline]
    pub(crate) fn window<'c>(
        &self,
        memory: &Memory,
        cache: &'c DecodeCache,
    ) -> Option<(&'c CodePage, &'c Window)> {
        let window = cache.window(self.rip >> 12);
        let same = self.rip >> 12 == window.page
            && memory.epoch() == window.epoch
            && self.tlb.generation() == window.generation
            && self.cpl() == window.cpl
            && self.is_64_bit();
        if same { Some((cache.in_window(window, memory.page(window.index))?, window)) } else { None }
    }

    /// Where the instruction at RIP is kept, if its page is such a one.
    #[inline]
    fn known_code(&self, memory: &Memory, cache: &DecodeCache) -> Option<Place> {
        let (code, window) = self.window(memory, cache)?;
        Some(Place { page: window.index, slot: code.slot(self.rip as usize)? })
    }

    /// Decodes the instruction at RIP, whose first byte is at `gpa`. The flag says whether all of it
    /// lies in that page.
    fn decode(&mut self, memory: &mut Memory, gpa: u64, bits: u32) -> Result<(Decoded, bool), Box<Stop>> {
        let mut bytes = [0; LONGEST];
        let first = LONGEST.min(PAGE - gpa as usize % PAGE);
        memory.load(gpa, &mut bytes[..first]);
        let mut inside = true;
        let mut decoded = Decoded::new(&bytes[..first], bits);
        if decoded.as_ref().err() == Some(&Undecodable::TooShort) && first < LONGEST {
            let next = self.linear_code(self.rip.wrapping_add(first as u64))?;
            let gpa = self.translate(memory, next, Kind::Execute, self.privilege())?;
            memory.load(gpa, &mut bytes[first..]);
            decoded = Decoded::new(&bytes, bits);
            inside = false;
        }
        match decoded {
            Ok(decoded) if self.ends_inside_limit(decoded.length) => Ok((decoded, inside)),
            Err(Undecodable::Invalid) => Err(Stop::Fault(Event::ud()).into()),
            // Beyond the limit, or longer than an instruction can be. No byte after the longest is ever
            // fetched, so that it cannot fault.
            Ok(_) | Err(Undecodable::TooShort | Undecodable::TooLong) => {
                Err(Stop::Fault(Event::gp(0)).into())
            }
        }
    }

    fn linear_code(&self, rip: u64) -> Result<u64, Box<Stop>> {
        if self.is_real_mode() || self.is_64_bit() {
            return self.linear(seg::CS, rip, 1, Kind::Execute);
        }
        if self.segments.cs.unusable || rip & 0xFFFF_FFFF > u64::from(self.segments.cs.limit) {
            return Err(Stop::Fault(Event::gp(0)).into());
        }
        Ok(self.segments.cs.base.wrapping_add(rip) & 0xFFFF_FFFF)
    }

    fn ends_inside_limit(&self, length: u8) -> bool {
        self.is_64_bit()
            || (self.rip & 0xFFFF_FFFF) + u64::from(length) - 1 <= u64::from(self.segments.cs.limit)
    }
}
