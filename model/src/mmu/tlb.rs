//! A cache of translations.
//!
//! An entry holds only in the memory epoch it was made in, and the whole is flushed whenever a control register
//! changes, whoever changes it: a stale entry cannot be found.

bitflags::bitflags! {
    /// What the data accesses of an instruction may do in a page without another walk, while RFLAGS.AC is clear.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(crate) struct Rights: u8 {
        /// Read at CPL 0 to 2.
        const READ = 1 << 0;
        /// Write at CPL 0 to 2: the dirty bit is set already.
        const WRITE = 1 << 1;
        /// Read at CPL 3.
        const USER_READ = 1 << 2;
        /// Write at CPL 3.
        const USER_WRITE = 1 << 3;
        /// What no page has.
        const NONE = 1 << 7;
    }
}

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
    rights: Rights,
}

const SLOTS: usize = 64;

/// A direct-mapped translation cache.
#[derive(Clone)]
pub(crate) struct Tlb {
    slots: Box<[Slot; SLOTS]>,
    generation: u64,
    /// The control registers at the last entry.
    control: [u64; 4],
}

impl Tlb {
    pub(crate) fn flush(&mut self) {
        self.generation += 1;
    }

    /// At an entry, with the control registers that translations depend on: the host may have changed them.
    pub(crate) fn enter(&mut self, control: [u64; 4]) {
        if self.control != control {
            self.control = control;
            self.flush();
        }
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

    /// The guest-physical address of `linear`, if its page is known and has these rights.
    #[inline]
    pub(crate) fn permitted(&self, linear: u64, epoch: u64, rights: Rights) -> Option<u64> {
        let page = linear >> 12;
        let slot = &self.slots[page as usize % SLOTS];
        (slot.page == page
            && slot.epoch == epoch
            && slot.generation == self.generation
            && slot.rights.contains(rights))
        .then_some(slot.translation.frame | linear & 0xFFF)
    }

    pub(crate) fn insert(&mut self, linear: u64, epoch: u64, translation: Translation, rights: Rights) {
        let page = linear >> 12;
        self.slots[page as usize % SLOTS] =
            Slot { page, epoch, generation: self.generation, translation, rights };
    }
}

impl Default for Tlb {
    fn default() -> Self {
        // Generation 0 is that of slots never filled.
        Self { slots: Box::new([Slot::default(); SLOTS]), generation: 1, control: [0; 4] }
    }
}
