//! Areas for XSAVE, XRSTOR and FXSAVE, in quadwords (SDM vol. 1 ch. 13, "XSAVE Area").

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The quadword of the header that is XSTATE_BV.
pub const XSTATE_BV: usize = 512 / 8;
/// How many quadwords an area in the standard format has that ends with TILEDATA.
pub const WITH_TILES: usize = 0x2B00 / 8;
/// Where TILECFG begins in it: eight quadwords.
pub const TILECFG: usize = 0xAC0 / 8;
/// Where TILEDATA begins in it: 1024 quadwords, 128 for each tile.
pub const TILEDATA_AT: usize = 0xB00 / 8;

/// One area or several, one after the other, in all of so many quadwords.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Areas<const QUADWORDS: usize>([AtomicU64; QUADWORDS]);

impl<const QUADWORDS: usize> Areas<QUADWORDS> {
    /// All of it 0.
    #[expect(clippy::new_without_default, reason = "it is the value of a static")]
    pub const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; QUADWORDS])
    }

    /// One quadword.
    pub fn word(&self, index: usize) -> u64 {
        self.0[index].load(Relaxed)
    }

    /// Writes one quadword.
    pub fn set(&self, index: usize, value: u64) {
        self.0[index].store(value, Relaxed);
    }

    /// Writes the same to all of these quadwords.
    pub fn fill(&self, indices: Range<usize>, value: u64) {
        indices.for_each(|index| self.set(index, value));
    }

    /// Where this quadword lies, for an instruction.
    pub fn at(&self, index: usize) -> *const AtomicU64 {
        self.0.as_ptr().wrapping_add(index)
    }
}
