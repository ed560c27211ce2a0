//! Accesses by linear address: resolved as a whole before a byte moves, so that a fault in the
//! second page of an access that straddles two leaves nothing partly done.

use super::{Kind, Privilege};
use crate::cpu::core::Core;
use crate::memory::Memory;
use crate::stop::Stop;

/// Where up to 4096 bytes of linear memory lie in guest-physical memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    first: u64,
    /// Bytes in the first page.
    split: usize,
    second: u64,
}

impl Place {
    /// A place inside one page.
    pub(crate) fn whole(gpa: u64, size: usize) -> Self {
        Self { first: gpa, split: size, second: 0 }
    }

    /// Whether two places of `size` bytes, each in one page, have a byte in common.
    pub(crate) fn overlaps(&self, other: &Self, size: usize) -> bool {
        self.first.abs_diff(other.first) < size as u64
    }
}

impl Core {
    /// Resolves `size` bytes at `linear` for one access. A fault's address is `linear` when the
    /// first page refuses and the second page's first byte otherwise.
    #[inline]
    pub(crate) fn resolve(
        &mut self,
        memory: &mut Memory,
        linear: u64,
        size: usize,
        kind: Kind,
        privilege: Privilege,
    ) -> Result<Place, Box<Stop>> {
        let left = 0x1000 - (linear as usize & 0xFFF);
        let first = self.translate(memory, linear, kind, privilege)?;
        if size <= left {
            return Ok(Place::whole(first, size));
        }
        let mut next = linear.wrapping_add(left as u64);
        if !self.is_long_mode_active() {
            next &= 0xFFFF_FFFF;
        }
        let second = self.translate(memory, next, kind, privilege)?;
        Ok(Place { first, split: left, second })
    }

    /// Reads `size` bytes (1 to 8) as a little-endian number.
    pub(crate) fn read_linear(
        &mut self,
        memory: &mut Memory,
        linear: u64,
        size: usize,
        privilege: Privilege,
    ) -> Result<u64, Box<Stop>> {
        let place = self.resolve(memory, linear, size, Kind::Read, privilege)?;
        Ok(memory.load_number(&place, size))
    }
}

impl Memory {
    /// Whether a write to the page in which a place begins changes the epoch.
    pub(crate) fn is_used_at(&self, place: &Place) -> bool {
        self.is_used(place.first)
    }

    /// Copies a resolved place out.
    pub(crate) fn load_place(&self, place: &Place, bytes: &mut [u8]) {
        let split = place.split.min(bytes.len());
        let (first, second) = bytes.split_at_mut(split);
        self.load(place.first, first);
        if !second.is_empty() {
            self.load(place.second, second);
        }
    }

    /// Copies bytes to a resolved place.
    pub(crate) fn store_place(&mut self, place: &Place, bytes: &[u8]) {
        let (first, second) = bytes.split_at(place.split.min(bytes.len()));
        self.save(place.first, first);
        if !second.is_empty() {
            self.save(place.second, second);
        }
    }

    /// A resolved place of `size` bytes (1 to 8) as a little-endian number.
    #[inline]
    pub(crate) fn load_number(&self, place: &Place, size: usize) -> u64 {
        if place.split >= size {
            return self.load_inside(place.first, size);
        }
        let mut bytes = [0; 8];
        self.load_place(place, &mut bytes[..size]);
        u64::from_le_bytes(bytes)
    }

    /// The same inside one page.
    #[inline]
    pub(crate) fn load_inside(&self, gpa: u64, size: usize) -> u64 {
        // Of a constant length, so that it is one load.
        match size {
            8 => u64::from_le_bytes(self.load_array(gpa)),
            4 => u32::from_le_bytes(self.load_array(gpa)).into(),
            2 => u16::from_le_bytes(self.load_array(gpa)).into(),
            1 => u8::from_le_bytes(self.load_array(gpa)).into(),
            _ => {
                let mut bytes = [0; 8];
                self.load(gpa, &mut bytes[..size]);
                u64::from_le_bytes(bytes)
            }
        }
    }

    /// Stores the low `size` bytes (1 to 8) of a number.
    #[inline]
    pub(crate) fn store_number(&mut self, place: &Place, size: usize, value: u64) {
        if place.split >= size {
            self.store_inside(place.first, size, value);
        } else {
            self.store_place(place, &value.to_le_bytes()[..size]);
        }
    }

    /// The same inside one page.
    #[inline]
    pub(crate) fn store_inside(&mut self, gpa: u64, size: usize, value: u64) {
        match size {
            8 => self.save(gpa, &value.to_le_bytes()),
            4 => self.save(gpa, &(value as u32).to_le_bytes()),
            2 => self.save(gpa, &(value as u16).to_le_bytes()),
            1 => self.save(gpa, &[value as u8]),
            _ => self.save(gpa, &value.to_le_bytes()[..size]),
        }
    }
}
