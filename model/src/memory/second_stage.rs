//! The second-stage page tables' entry for each page, and the count of one delivery's accesses.

bitflags::bitflags! {
    /// Why a guest access to a page needs a check; for most pages there is no reason.
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

/// An EPT violation: the second-stage page tables refused a guest access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) gpa: u64,
    pub(crate) write: bool,
}

/// A memory access of an event delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Guest-physical address.
    pub gpa: u64,
    /// Whether it is a write.
    pub write: bool,
    /// Whether it was an EPT violation.
    pub refused: bool,
}

/// The count of a delivery's accesses.
#[derive(Clone, Copy, Debug, Default)]
struct Delivery {
    active: bool,
    accesses: u64,
    /// It met a page that is not mapped.
    missed: bool,
}

/// The count of an event return's accesses.
#[derive(Clone, Copy, Debug, Default)]
struct Return {
    accesses: u64,
    /// It met a page that is not mapped, and will be begun again.
    missed: bool,
}

/// The second-stage page tables of a memory.
#[derive(Clone, Debug)]
pub(super) struct SecondStage {
    pub(super) pages: Vec<PageState>,
    /// Numbers of pages written since the log was taken, oldest first: page-modification logging, which is
    /// no exit.
    pub(super) log: Vec<usize>,
    delivery: Delivery,
    /// The access of the next delivery that is refused.
    pub(super) refuse: Option<u64>,
    /// The event return under way, while one of its accesses is to be refused.
    returning: Option<Return>,
    /// The access of the next event return that is refused.
    pub(super) refuse_return: Option<u64>,
    /// Whether the accesses are the hypervisor's own.
    pub(super) unchecked: bool,
    /// The accesses of the deliveries since they were last taken, while they are recorded.
    pub(super) recorded: Option<Vec<Access>>,
}

impl SecondStage {
    /// Of so many pages: everything is mapped, and nothing refused or logged.
    pub(super) fn new(pages: usize) -> Self {
        Self {
            pages: vec![PageState::empty(); pages],
            log: Vec::new(),
            delivery: Delivery::default(),
            refuse: None,
            returning: None,
            refuse_return: None,
            unchecked: false,
            recorded: None,
        }
    }

    /// For a copy of the memory, whose accesses are not recorded yet.
    pub(super) fn fork(&self) -> Self {
        Self { unchecked: false, recorded: None, ..self.clone() }
    }

    /// The state of page number `index`; outside memory all is refused.
    #[inline]
    pub(super) fn state(&self, index: usize) -> PageState {
        self.pages.get(index).copied().unwrap_or(PageState::BLOCKED)
    }

    pub(super) fn begin_delivery(&mut self) {
        self.delivery = Delivery { active: true, accesses: 0, missed: false };
    }

    pub(super) fn end_delivery(&mut self) {
        self.delivery.active = false;
        // An exception that is intercepted has made no access, and is delivered later.
        if self.delivery.accesses > 0 && !self.delivery.missed {
            self.refuse = None;
        }
    }

    pub(super) fn delivery_accesses(&self) -> u64 {
        self.delivery.accesses
    }

    #[inline]
    pub(super) fn is_counted(&self) -> bool {
        self.delivery.active || self.returning.is_some() || self.unchecked
    }

    pub(super) fn begin_return(&mut self) {
        self.returning = self.refuse_return.map(|_| Return::default());
    }

    pub(super) fn end_return(&mut self) {
        // One that was refused before it read its frame, as ERETS without FRED, has made no access.
        if self.returning.take().is_some_and(|one| one.accesses > 0 && !one.missed) {
            self.refuse_return = None;
        }
    }

    /// One access at `gpa`, which lies in page number `index`.
    pub(super) fn permit(&mut self, index: usize, gpa: u64, write: bool) -> Result<(), Refused> {
        if self.unchecked {
            // What a hypervisor stores for its guest is logged: `mark_page_dirty`.
            if write {
                self.accessed(index, write);
            }
            return Ok(());
        }
        let state = self.state(index);
        let mut refused = state.refuses(write);
        if self.delivery.active {
            refused = refused || self.refuses_delivery(state);
            if let Some(recorded) = &mut self.recorded {
                recorded.push(Access { gpa, write, refused });
            }
            self.delivery.accesses += u64::from(!refused);
        }
        if let Some(returning) = &mut self.returning {
            returning.missed = state.contains(PageState::MISSING);
            refused = refused || returning.missed || self.refuse_return == Some(returning.accesses);
            returning.accesses += 1;
        }
        if refused {
            return Err(Refused { gpa, write });
        }
        self.accessed(index, write);
        Ok(())
    }

    /// Whether a delivery stops at an access that is permitted otherwise: at an unmapped page, or at the access
    /// that is to be refused.
    fn refuses_delivery(&mut self, state: PageState) -> bool {
        if state.contains(PageState::MISSING) {
            self.delivery.missed = true;
            return true;
        }
        let refused = self.refuse == Some(self.delivery.accesses);
        if refused {
            self.refuse = None;
        }
        refused
    }

    /// An access is made: the page is mapped by now, and a write is logged.
    #[inline]
    fn accessed(&mut self, index: usize, write: bool) {
        let Some(state) = self.pages.get_mut(index) else { return };
        if state.is_empty() {
            return;
        }
        state.remove(PageState::MISSING);
        if write && state.contains(PageState::CLEAN) {
            state.remove(PageState::CLEAN);
            self.log.push(index);
        }
    }
}
