//! Guest memory in a stream: only pages that differ from what both sides have.

use crate::image::Image;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use vm::{MemoryImage, PAGE};

/// Pages that differ from a base.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pages {
    /// Numbers of pages that are zeros and are not in the base.
    zero: Vec<u32>,
    /// Numbers of the pages whose bytes follow.
    full: Vec<u32>,
    /// Their bytes.
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
}

impl Pages {
    /// The part of `memory` that differs from `base`.
    pub(super) fn of(memory: &MemoryImage, base: &MemoryImage) -> Self {
        let mut pages = Self::default();
        for (number, page) in (0_u32..).zip(&memory.pages) {
            let shared = base.pages.get(number as usize).and_then(Option::as_ref);
            match page {
                None if shared.is_none() => {}
                None => pages.zero.push(number),
                Some(page) if shared.is_some_and(|shared| shared == page) => {}
                Some(page) => {
                    pages.full.push(number);
                    pages.bytes.extend_from_slice(page.as_slice());
                }
            }
        }
        pages
    }

    /// The memory of `count` pages that these make of `base`.
    pub(super) fn on(&self, base: &MemoryImage, count: usize) -> Result<MemoryImage, String> {
        if base.pages.len() > count {
            return Err(format!("the image needs {} pages, the guest has {count}", base.pages.len()));
        }
        if self.bytes.len() != self.full.len() * PAGE {
            return Err(format!("{} bytes are not those of {} pages", self.bytes.len(), self.full.len()));
        }
        let mut pages = base.pages.clone();
        pages.resize(count, None);
        for numbers in [&self.zero, &self.full] {
            if numbers.windows(2).any(|pair| pair[0] >= pair[1]) {
                return Err("page numbers are not in ascending order".to_owned());
            }
        }
        for number in &self.zero {
            *page(&mut pages, *number)? = None;
        }
        for (number, bytes) in self.full.iter().zip(self.bytes.chunks_exact(PAGE)) {
            let Some(bytes) = bytes.first_chunk() else { continue };
            *page(&mut pages, *number)? = Some(Arc::new(*bytes));
        }
        Ok(MemoryImage { pages })
    }
}

type Page = Option<Arc<[u8; PAGE]>>;

fn page(pages: &mut [Page], number: u32) -> Result<&mut Page, String> {
    pages.get_mut(number as usize).ok_or_else(|| format!("page {number} is outside the guest's memory"))
}

/// Memory that holds only `image`: both sides have it.
pub fn base_of(image: &Image) -> MemoryImage {
    let end = image.segments.iter().map(|segment| segment.address + segment.bytes.len() as u64).max();
    let mut bytes = vec![0; (end.unwrap_or(0) as usize).next_multiple_of(PAGE)];
    for segment in &image.segments {
        let start = segment.address as usize;
        bytes[start..start + segment.bytes.len()].copy_from_slice(&segment.bytes);
    }
    let pages = bytes.chunks_exact(PAGE).map(|page| {
        let page: &[u8; PAGE] = page.first_chunk()?;
        (*page != [0; PAGE]).then(|| Arc::new(*page))
    });
    MemoryImage { pages: pages.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(pages: &[u8]) -> MemoryImage {
        let page = |fill: &u8| (*fill != 0).then(|| Arc::new([*fill; PAGE]));
        MemoryImage { pages: pages.iter().map(page).collect() }
    }

    #[test]
    fn only_pages_that_differ_travel() {
        let base = memory(&[0, 1, 2, 3]);
        let guest = memory(&[0, 1, 0, 9, 0, 5]);
        let pages = Pages::of(&guest, &base);
        assert_eq!((pages.zero.as_slice(), pages.full.as_slice()), ([2].as_slice(), [3, 5].as_slice()));
        assert_eq!(pages.on(&base, 6).unwrap().pages, guest.pages);
    }

    #[test]
    fn pages_that_cannot_be_are_refused() {
        let base = memory(&[1]);
        let with = |zero: &[u32], full: &[u32], bytes: usize| {
            Pages { zero: zero.into(), full: full.into(), bytes: vec![7; bytes] }.on(&base, 2).err()
        };
        assert_eq!(with(&[], &[1], PAGE), None);
        for wrong in [
            with(&[], &[1], PAGE - 1),
            with(&[], &[1], 2 * PAGE),
            with(&[2], &[], 0),
            with(&[], &[u32::MAX], PAGE),
            with(&[1, 1], &[], 0),
            with(&[], &[1, 0], 2 * PAGE),
            Pages::default().on(&memory(&[1, 1, 1]), 2).err(),
        ] {
            assert!(wrong.is_some());
        }
    }
}
