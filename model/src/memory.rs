//! Guest-physical memory and its second-stage page tables.
//!
//! Pages are shared, copy on write: cloning a [`Memory`] copies pointers, so a fork costs eight
//! bytes a page. The second-stage page tables, like EPT, let the host refuse guest accesses: a
//! blocked page refuses every one, and the n-th access of an event delivery can be refused.

mod access;
mod second_stage;

pub use second_stage::Access;
pub(crate) use second_stage::Refused;
use second_stage::SecondStage;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Size of a page in bytes.
pub const PAGE: usize = 4096;

/// A page that several memories can share.
pub type Page = Arc<[u8; PAGE]>;

/// A guest-physical range is not in guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("guest-physical {address:#x}..+{length:#x} is outside the guest's {size:#x} bytes of memory")]
pub struct OutsideMemory {
    /// Start of the range.
    pub address: u64,
    /// Its length in bytes.
    pub length: u64,
    /// Size of guest memory in bytes.
    pub size: u64,
}

/// Guest-physical memory from address 0 on.
#[derive(Debug)]
pub struct Memory {
    pages: Vec<Option<Page>>,
    second_stage: SecondStage,
    /// What depends on each page since [`Self::epoch`] began.
    uses: Vec<Uses>,
    /// A number that no other state of any memory's translations has: see [`Self::epoch`].
    epoch: u64,
}

bitflags::bitflags! {
    /// What a processor has taken from a page and keeps.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Uses: u8 {
        /// A page walk has read it.
        const WALKED = 1 << 0;
        /// Decoded instructions from it are executed without looking at it again.
        const EXECUTED = 1 << 1;
    }
}

/// No value is used twice, so that two memories cannot be mistaken for each other.
static EPOCHS: AtomicU64 = AtomicU64::new(1);

fn next_epoch() -> u64 {
    EPOCHS.fetch_add(1, Ordering::Relaxed)
}

impl Clone for Memory {
    fn clone(&self) -> Self {
        Self {
            pages: self.pages.clone(),
            second_stage: self.second_stage.fork(),
            uses: vec![Uses::empty(); self.pages.len()],
            epoch: next_epoch(),
        }
    }
}

impl Memory {
    /// `size` bytes of zeros, rounded up to whole pages.
    pub fn new(size: u64) -> Self {
        Self::from_pages(vec![None; usize::try_from(size.div_ceil(PAGE as u64)).unwrap_or(0)])
    }

    /// Memory made of pages: page `n` is guest-physical `n * 4096`, `None` is zeros. Nothing is
    /// blocked, and everything is mapped.
    pub fn from_pages(pages: Vec<Option<Page>>) -> Self {
        let count = pages.len();
        Self {
            pages,
            second_stage: SecondStage::new(count),
            uses: vec![Uses::empty(); count],
            epoch: next_epoch(),
        }
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        (self.pages.len() * PAGE) as u64
    }

    /// Every page, in order.
    pub fn pages(&self) -> &[Option<Page>] {
        &self.pages
    }

    /// Copies `bytes.len()` bytes at `gpa` out. A host access: the second-stage page tables do not apply.
    ///
    /// # Errors
    /// When the range is not in memory; nothing is copied then.
    pub fn read(&self, gpa: u64, bytes: &mut [u8]) -> Result<(), OutsideMemory> {
        self.check(gpa, bytes.len())?;
        let mut done = 0;
        while done < bytes.len() {
            let (index, offset) = split(gpa + done as u64);
            let count = (PAGE - offset).min(bytes.len() - done);
            let target = &mut bytes[done..done + count];
            match &self.pages[index] {
                Some(page) => target.copy_from_slice(&page[offset..offset + count]),
                None => target.fill(0),
            }
            done += count;
        }
        Ok(())
    }

    /// Copies `bytes` in at `gpa`. A host access: the second-stage page tables do not apply.
    ///
    /// # Errors
    /// When the range is not in memory; nothing is written then.
    pub fn write(&mut self, gpa: u64, bytes: &[u8]) -> Result<(), OutsideMemory> {
        self.check(gpa, bytes.len())?;
        let mut done = 0;
        while done < bytes.len() {
            let (index, offset) = split(gpa + done as u64);
            let count = (PAGE - offset).min(bytes.len() - done);
            if !self.uses[index].is_empty() {
                self.forget();
            }
            self.store(index, offset, &bytes[done..done + count]);
            done += count;
        }
        Ok(())
    }

    fn check(&self, address: u64, length: usize) -> Result<(), OutsideMemory> {
        match address.checked_add(length as u64) {
            Some(end) if end <= self.size() => Ok(()),
            _ => Err(OutsideMemory { address, length: length as u64, size: self.size() }),
        }
    }

    #[inline]
    fn store(&mut self, index: usize, offset: usize, bytes: &[u8]) {
        let page = self.pages[index].get_or_insert_with(|| Arc::new([0; PAGE]));
        Arc::make_mut(page)[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    /// What was taken from pages may no longer hold.
    fn forget(&mut self) {
        self.epoch = next_epoch();
        self.uses.fill(Uses::empty());
    }
}

/// What the processor uses.
impl Memory {
    /// A number that changes whenever what was taken from this memory may no longer hold: a write to a page that a walk
    /// has read or that is [executed](Self::note_executed), a change of the second-stage page tables. No two memories share one.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The page at `index`, for a cache of what was decoded from it to hold. A page that is held
    /// is never changed in place, so the same pointer means the same bytes.
    pub(crate) fn page(&self, index: usize) -> Option<&Page> {
        self.pages.get(index)?.as_ref()
    }

    /// From now on a write to the page at `index` changes the [epoch](Self::epoch).
    pub(crate) fn note_executed(&mut self, index: usize) {
        if let Some(uses) = self.uses.get_mut(index) {
            *uses |= Uses::EXECUTED;
        }
    }

    /// Reads a page-table entry and remembers that its page is one that walks read.
    pub(crate) fn read_entry(&mut self, gpa: u64) -> Result<u64, Refused> {
        self.permit(gpa, false)?;
        if let Some(uses) = self.uses.get_mut(split(gpa).0) {
            *uses |= Uses::WALKED;
        }
        Ok(u64::from_le_bytes(self.load_array(gpa)))
    }

    /// Whether a write to the page that holds `gpa` changes the [epoch](Self::epoch).
    pub(crate) fn is_used(&self, gpa: u64) -> bool {
        self.uses.get(split(gpa).0).is_some_and(|uses| !uses.is_empty())
    }

    /// Sets accessed and dirty bits. They change no translation, so the epoch stays unless the page is executed.
    pub(crate) fn write_entry(&mut self, gpa: u64, entry: u64) -> Result<(), Refused> {
        self.permit(gpa, true)?;
        let (index, offset) = split(gpa);
        if index < self.pages.len() {
            if self.uses[index].contains(Uses::EXECUTED) {
                self.forget();
            }
            self.store(index, offset, &entry.to_le_bytes());
        }
        Ok(())
    }

    /// Reads inside one page after [`permit`](Self::permit).
    pub(crate) fn load(&self, gpa: u64, bytes: &mut [u8]) {
        let (index, offset) = split(gpa);
        match self.pages.get(index) {
            Some(Some(page)) => bytes.copy_from_slice(&page[offset..offset + bytes.len()]),
            _ => bytes.fill(0),
        }
    }

    /// The same for a length known beforehand.
    #[inline]
    pub(crate) fn load_array<const N: usize>(&self, gpa: u64) -> [u8; N] {
        let mut bytes = [0; N];
        let (index, offset) = split(gpa);
        if let Some(Some(page)) = self.pages.get(index)
            && let Some(source) = page.get(offset..offset + N)
        {
            bytes.copy_from_slice(source);
        }
        bytes
    }

    /// Writes inside one page after [`permit`](Self::permit).
    #[inline]
    pub(crate) fn save(&mut self, gpa: u64, bytes: &[u8]) {
        let (index, offset) = split(gpa);
        if index < self.pages.len() {
            if !self.uses[index].is_empty() {
                self.forget();
            }
            self.store(index, offset, bytes);
        }
    }
}

#[inline]
fn split(gpa: u64) -> (usize, usize) {
    (usize::try_from(gpa / PAGE as u64).unwrap_or(usize::MAX), gpa as usize % PAGE)
}
