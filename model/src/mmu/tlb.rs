//! A cache of translations.
//!
//! An entry holds only in the memory epoch it was made in, and the whole is flushed at every entry
//! and whenever a control register changes: a stale entry cannot be found.

/// The outcome of a walk.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Translation {
    /// Guest-physical address of the 4-KiB frame.
    pub(crate) frame: u64,
    /// U/S of every level set.
    pub(crate) user: bool,
    /// R/W of every level set.
    pub(crate) writable: bool,
    /// XD of any level set.
    pub(crate) no_execute: bool,
    /// The dirty bit is set.
    pub(crate) dirty: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    page: u64,
    epoch: u64,
    generation: u64,
    translation: Translation,
}

const SLOTS: usize = 64;

/// A direct-mapped translation cache.
#[derive(Clone)]
pub(crate) struct Tlb {
    slots: Box<[Slot; SLOTS]>,
    generation: u64,
}

impl Tlb {
    pub(crate) fn flush(&mut self) {
        self.generation += 1;
    }

    /// A number that changes with every flush.
    #[inline]
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    #[inline]
    pub(crate) fn find(&self, linear: u64, epoch: u64) -> Option<Translation> {
        let page = linear >> 12;
        let slot = &self.slots[page as usize % SLOTS];
        (slot.page == page && slot.epoch == epoch && slot.generation == self.generation)
            .then_some(slot.translation)
    }

    pub(crate) fn insert(&mut self, linear: u64, epoch: u64, translation: Translation) {
        let page = linear >> 12;
        self.slots[page as usize % SLOTS] = Slot { page, epoch, generation: self.generation, translation };
    }
}

impl Default for Tlb {
    fn default() -> Self {
        // Generation 0 is that of slots never filled.
        Self { slots: Box::new([Slot::default(); SLOTS]), generation: 1 }
    }
}
