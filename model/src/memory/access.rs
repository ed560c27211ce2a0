//! Which accesses the second-stage page tables permit: the hypervisor's changes, the processor's checks.

use super::second_stage::{Access, PageState, Refused};
use super::{Memory, PAGE, split};

/// The hypervisor's changes to the second-stage page tables. Addresses outside memory have no effect.
impl Memory {
    /// Makes the page that holds `gpa` refuse every guest access.
    pub fn block(&mut self, gpa: u64) {
        self.set(gpa, PageState::BLOCKED, true);
    }

    /// Undoes [`block`](Self::block).
    pub fn unblock(&mut self, gpa: u64) {
        self.set(gpa, PageState::BLOCKED, false);
    }

    /// Sets whether the page that holds `gpa` refuses guest writes.
    pub fn write_protect(&mut self, gpa: u64, protected: bool) {
        self.set(gpa, PageState::READ_ONLY, protected);
    }

    /// Unmaps the page that holds `gpa` from the second-stage page tables.
    ///
    /// Accesses of event deliveries are refused until the page is [mapped](Self::map). Any other access
    /// maps it at once: no event is in flight then, so an exit would make no difference.
    pub fn zap(&mut self, gpa: u64) {
        self.set(gpa, PageState::MISSING, true);
    }

    /// Unmaps every page from the second-stage page tables.
    pub fn zap_all(&mut self) {
        self.set_all(PageState::MISSING, true);
    }

    /// Maps the page that holds `gpa` in the second-stage page tables; returns whether it was missing.
    pub fn map(&mut self, gpa: u64) -> bool {
        // A missing translation cannot be stale: the epoch stays.
        let Some(page) = self.second_stage.pages.get_mut(split(gpa).0) else { return false };
        let missing = page.contains(PageState::MISSING);
        page.remove(PageState::MISSING);
        missing
    }

    /// Whether the second-stage page tables map the page that holds `gpa`.
    pub fn is_mapped(&self, gpa: u64) -> bool {
        !self.second_stage.state(split(gpa).0).intersects(PageState::MISSING | PageState::BLOCKED)
    }

    /// Sets whether the next guest write to the page that holds `gpa` is logged.
    pub fn log_write(&mut self, gpa: u64, wanted: bool) {
        self.set(gpa, PageState::CLEAN, wanted);
    }

    /// Logs the next guest write to every page.
    pub fn log_all_writes(&mut self) {
        self.set_all(PageState::CLEAN, true);
    }

    /// The pages that were written and logged since the last call, oldest first.
    pub fn take_logged(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.second_stage.log).into_iter().map(|page| (page * PAGE) as u64).collect()
    }

    /// Whether a write to the page that holds `gpa` must be made in full.
    pub(crate) fn watches_writes(&self, gpa: u64) -> bool {
        self.second_stage.state(split(gpa).0).intersects(PageState::READ_ONLY | PageState::CLEAN)
    }

    fn set(&mut self, gpa: u64, flag: PageState, on: bool) {
        if let Some(page) = self.second_stage.pages.get_mut(split(gpa).0) {
            page.set(flag, on);
            self.forget();
        }
    }

    fn set_all(&mut self, flag: PageState, on: bool) {
        self.second_stage.pages.iter_mut().for_each(|page| page.set(flag, on));
        self.forget();
    }
}

/// The accesses of event deliveries.
impl Memory {
    /// Refuses the `n`-th memory access (0-based) of the next event delivery, once; `None` refuses
    /// none. A delivery that meets an unmapped page does not count: it is begun again.
    ///
    /// Every page-walk entry read, accessed or dirty update, descriptor, gate and TSS read and
    /// frame store counts; the deliveries of exceptions met on the way are part of the same count.
    pub fn refuse_access(&mut self, n: Option<u64>) {
        self.second_stage.refuse = n;
    }

    /// Refuses the `n`-th memory access (0-based) of the next event return (ERETS, ERETU, IRET), once: page-walk
    /// entry reads, accessed updates, frame and descriptor reads. A return that faults before it makes any does not
    /// count.
    pub fn refuse_return_access(&mut self, n: u64) {
        self.second_stage.refuse_return = Some(n);
    }

    /// How many memory accesses the last event delivery made, the refused one not counted.
    pub fn delivery_accesses(&self) -> u64 {
        self.second_stage.delivery_accesses()
    }

    /// Whether the accesses of deliveries are recorded, for [`take_accesses`](Self::take_accesses).
    pub fn record_accesses(&mut self, on: bool) {
        self.second_stage.recorded = on.then(Vec::new);
    }

    /// The accesses of the deliveries since recording began or they were last taken.
    pub fn take_accesses(&mut self) -> Vec<Access> {
        self.second_stage.recorded.as_mut().map(std::mem::take).unwrap_or_default()
    }
}

/// The processor's checks.
impl Memory {
    /// Starts the count of one delivery's accesses.
    pub(crate) fn begin_delivery(&mut self) {
        self.second_stage.begin_delivery();
    }

    /// Ends the count; a refusal that is still to come is cancelled.
    pub(crate) fn end_delivery(&mut self) {
        self.second_stage.end_delivery();
    }

    /// An event return begins.
    pub(crate) fn begin_return(&mut self) {
        self.second_stage.begin_return();
    }

    /// It has ended; a refusal that is still to come is cancelled.
    pub(crate) fn end_return(&mut self) {
        self.second_stage.end_return();
    }

    /// Sets whether every access is the hypervisor's, which the second-stage page tables permit.
    pub(crate) fn set_unchecked(&mut self, unchecked: bool) {
        self.second_stage.unchecked = unchecked;
    }

    /// Whether every access must be made in full: a delivery is being counted, or the
    /// hypervisor makes it.
    #[inline]
    pub(crate) fn is_counted(&self) -> bool {
        self.second_stage.is_counted()
    }

    /// Checks one access inside the page that holds `gpa` against the second-stage page tables.
    pub(crate) fn permit(&mut self, gpa: u64, write: bool) -> Result<(), Refused> {
        self.second_stage.permit(split(gpa).0, gpa, write)
    }
}
