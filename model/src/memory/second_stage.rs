//! What the second stage has to say about each page.

use super::{Memory, PAGE, split};

bitflags::bitflags! {
    /// What keeps a guest access to a page from being made at once; nothing, for most.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct PageState: u8 {
        /// Every access is refused.
        const BLOCKED = 1 << 0;
        /// Every write is refused.
        const READ_ONLY = 1 << 1;
        /// The second-stage page tables do not map the page.
        const MISSING = 1 << 2;
        /// The next write is logged.
        const CLEAN = 1 << 3;
    }
}

impl PageState {
    /// Whether the page refuses an access whatever the hypervisor does about it.
    #[inline]
    pub(super) fn refuses(self, write: bool) -> bool {
        self.contains(Self::BLOCKED) || write && self.contains(Self::READ_ONLY)
    }
}

/// The second stage of a memory.
#[derive(Clone, Debug)]
pub(super) struct SecondStage {
    pages: Vec<PageState>,
    /// Pages written since the log was taken, oldest first: page-modification logging, which is no
    /// exit.
    log: Vec<u64>,
}

impl SecondStage {
    /// Of so many pages: everything is mapped, and nothing refused or logged.
    pub(super) fn new(pages: usize) -> Self {
        Self { pages: vec![PageState::empty(); pages], log: Vec::new() }
    }

    /// The state of page number `index`; outside memory all is refused.
    #[inline]
    pub(super) fn state(&self, index: usize) -> PageState {
        self.pages.get(index).copied().unwrap_or(PageState::BLOCKED)
    }

    /// An access is made: the page is mapped by now, and a write is logged.
    #[inline]
    pub(super) fn accessed(&mut self, index: usize, write: bool) {
        let Some(state) = self.pages.get_mut(index) else { return };
        if state.is_empty() {
            return;
        }
        state.remove(PageState::MISSING);
        if write && state.contains(PageState::CLEAN) {
            state.remove(PageState::CLEAN);
            self.log.push((index * PAGE) as u64);
        }
    }
}

/// What the hypervisor does to the second stage. Addresses outside memory have no effect.
impl Memory {
    /// Makes the page that holds `gpa` refuse every guest access.
    pub fn block(&mut self, gpa: u64) {
        self.set(gpa, PageState::BLOCKED, true);
    }

    /// Undoes [`block`](Self::block).
    pub fn unblock(&mut self, gpa: u64) {
        self.set(gpa, PageState::BLOCKED, false);
    }

    /// Whether the page that holds `gpa` is blocked.
    pub fn is_blocked(&self, gpa: u64) -> bool {
        self.second_stage.pages.get(split(gpa).0).is_some_and(|page| page.contains(PageState::BLOCKED))
    }

    /// Makes the page that holds `gpa` refuse guest writes, or no longer.
    pub fn write_protect(&mut self, gpa: u64, protected: bool) {
        self.set(gpa, PageState::READ_ONLY, protected);
    }

    /// Takes the page that holds `gpa` out of the second-stage page tables.
    ///
    /// The next access of an event delivery is refused until somebody [maps](Self::map) the page. Any
    /// other access maps it: nothing is in flight then, and nobody could tell the exit.
    pub fn zap(&mut self, gpa: u64) {
        self.set(gpa, PageState::MISSING, true);
    }

    /// Takes every page out of the second-stage page tables.
    pub fn zap_all(&mut self) {
        self.set_all(PageState::MISSING, true);
    }

    /// Puts the page that holds `gpa` into the second-stage page tables; says whether it was missing.
    pub fn map(&mut self, gpa: u64) -> bool {
        // A translation that was not there cannot be stale: the epoch stays.
        let Some(page) = self.second_stage.pages.get_mut(split(gpa).0) else { return false };
        let missing = page.contains(PageState::MISSING);
        page.remove(PageState::MISSING);
        missing
    }

    /// Whether the second-stage page tables map the page that holds `gpa`.
    pub fn is_mapped(&self, gpa: u64) -> bool {
        !self.second_stage.state(split(gpa).0).intersects(PageState::MISSING | PageState::BLOCKED)
    }

    /// Logs the next guest write to the page that holds `gpa`, or no longer.
    pub fn log_write(&mut self, gpa: u64, wanted: bool) {
        self.set(gpa, PageState::CLEAN, wanted);
    }

    /// Logs the next guest write to every page.
    pub fn log_all_writes(&mut self) {
        self.set_all(PageState::CLEAN, true);
    }

    /// The pages that were written and logged since this was last asked, oldest first.
    pub fn take_logged(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.second_stage.log)
    }

    /// Whether a write to the page that holds `gpa` must be made in full.
    pub(crate) fn watches_writes(&self, gpa: u64) -> bool {
        self.second_stage.state(split(gpa).0).intersects(PageState::READ_ONLY | PageState::CLEAN)
    }

    fn set(&mut self, gpa: u64, flag: PageState, on: bool) {
        if let Some(page) = self.second_stage.pages.get_mut(split(gpa).0) {
            page.set(flag, on);
            self.forget_translations();
        }
    }

    fn set_all(&mut self, flag: PageState, on: bool) {
        self.second_stage.pages.iter_mut().for_each(|page| page.set(flag, on));
        self.forget_translations();
    }
}
