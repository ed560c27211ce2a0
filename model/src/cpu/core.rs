//! What instructions and event delivery work on: the architectural state, and scratch beside it.

use super::features::Features;
use super::scratch::Scratch;
use crate::mmu::tlb::Tlb;
use crate::state::CpuState;
use std::ops::{Deref, DerefMut};

/// The architectural state, and scratch that is neither saved nor seen by the guest.
#[derive(Clone)]
pub(crate) struct Core {
    pub(crate) state: CpuState,
    /// Of `state.cpuid`, as it was at the last entry.
    pub(crate) features: Features,
    pub(crate) scratch: Scratch,
    pub(crate) tlb: Tlb,
}

impl Core {
    pub(crate) fn new(state: CpuState) -> Self {
        let features = Features::of(&state.cpuid);
        Self { state, features, scratch: Scratch::default(), tlb: Tlb::default() }
    }
}

impl Deref for Core {
    type Target = CpuState;

    #[inline]
    fn deref(&self) -> &CpuState {
        &self.state
    }
}

impl DerefMut for Core {
    #[inline]
    fn deref_mut(&mut self) -> &mut CpuState {
        &mut self.state
    }
}
