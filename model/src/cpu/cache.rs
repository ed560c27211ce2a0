//! Decoded instructions, kept by guest-physical page.
//!
//! A cached page holds the very page of memory that it was decoded from. Memory never changes a
//! page that is held outside it: it copies it first. So the same pointer means the same bytes, and
//! neither self-modifying code, nor a change of page tables, nor a restored memory can make an
//! entry stale.

use super::decoded::Decoded;
use crate::memory::{PAGE, Page};
use std::sync::Arc;

/// The instructions of a page.
pub(crate) struct CodePage {
    source: Page,
    /// Code size in bits that it was decoded for.
    bits: u32,
    /// For each byte one more than the index into `decoded`, or 0.
    slots: Box<[u16; PAGE]>,
    decoded: Vec<Decoded>,
}

impl CodePage {
    /// The instruction at `offset`, if it was decoded.
    #[inline]
    pub(crate) fn at(&self, offset: usize) -> Option<&Decoded> {
        self.decoded.get(usize::from(self.slots[offset % PAGE]).wrapping_sub(1))
    }

    /// Where that is in this page.
    #[inline]
    pub(crate) fn slot(&self, offset: usize) -> Option<usize> {
        usize::from(self.slots[offset % PAGE]).checked_sub(1)
    }
}

/// The cache.
#[derive(Default)]
pub(crate) struct DecodeCache {
    pages: Vec<Option<CodePage>>,
    held: Option<Decoded>,
    windows: [Window; WINDOWS],
}

/// How many pages of code are remembered: calls and returns go back and forth between a few.
const WINDOWS: usize = 8;

/// A page that instructions were fetched from, and the conditions under which the next fetch from it needs no
/// translation: see `Core::window`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Window {
    /// Linear page number.
    pub(crate) page: u64,
    /// Index of the guest-physical page.
    pub(crate) index: usize,
    /// What memory's translations were; 0, which no memory has, before the first fetch.
    pub(crate) epoch: u64,
    /// What the TLB's were.
    pub(crate) generation: u64,
    pub(crate) cpl: u8,
}

/// Where an instruction is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) page: usize,
    pub(crate) slot: usize,
}

impl DecodeCache {
    /// The window of a linear page number, if that page was the last one to be put there.
    #[inline]
    pub(crate) fn window(&self, page: u64) -> &Window {
        &self.windows[page as usize % WINDOWS]
    }

    /// Remembers a page.
    pub(crate) fn open_window(&mut self, window: Window) {
        self.windows[window.page as usize % WINDOWS] = window;
    }

    /// The window's page, if memory, whose page there is `page`, still has the very page that its instructions were decoded
    /// from, in 64-bit mode.
    #[inline]
    pub(crate) fn in_window(&self, window: &Window, page: Option<&Page>) -> Option<&CodePage> {
        let code = self.pages.get(window.index)?.as_ref()?;
        (code.bits == 64 && Arc::ptr_eq(&code.source, page?)).then_some(code)
    }

    /// Where the instruction at `offset` of the page at `index`, whose memory is now `page`, is kept.
    #[inline]
    pub(crate) fn find(&self, index: usize, page: &Page, offset: usize, bits: u32) -> Option<Place> {
        let code = self.pages.get(index)?.as_ref()?;
        if !Arc::ptr_eq(&code.source, page) || code.bits != bits {
            return None;
        }
        Some(Place { page: index, slot: code.slot(offset)? })
    }

    /// The instruction at a place that was just found; `None` never.
    #[inline]
    pub(crate) fn get(&self, place: Place) -> Option<&Decoded> {
        self.pages.get(place.page)?.as_ref()?.decoded.get(place.slot)
    }

    /// Holds an instruction that cannot be kept, until the next one.
    pub(crate) fn hold(&mut self, decoded: Decoded) -> &Decoded {
        self.held.insert(decoded)
    }

    /// Keeps an instruction that lies in one page.
    pub(crate) fn insert(&mut self, index: usize, page: &Page, offset: usize, bits: u32, decoded: Decoded) {
        if self.pages.len() <= index {
            self.pages.resize_with(index + 1, || None);
        }
        let slot = &mut self.pages[index];
        let stale = slot.as_ref().is_none_or(|code| !Arc::ptr_eq(&code.source, page) || code.bits != bits);
        if stale {
            *slot = None;
        }
        let code = slot.get_or_insert_with(|| CodePage {
            source: Arc::clone(page),
            bits,
            slots: Box::new([0; PAGE]),
            decoded: Vec::new(),
        });
        code.decoded.push(decoded);
        code.slots[offset % PAGE] = code.decoded.len() as u16;
    }
}

impl std::fmt::Debug for DecodeCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DecodeCache ({} pages)", self.pages.iter().flatten().count())
    }
}
