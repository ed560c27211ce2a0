//! The pages that a delivery touches.

use super::bounds::inside;
use super::delivery::Place;
use super::error::Problem;
use protocol::note::ImageNote;

const PAGE: u64 = 4096;

/// The pages of an image that the delivery under test touches and that a host may refuse, as
/// guest-physical addresses in the order of [`Place::ALL`]. The PML4 page is not among them: no access does
/// without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryPages([u64; 7]);

impl DeliveryPages {
    /// The note's pages: each one page of the image's memory, and no two the same.
    pub(super) fn of(note: &ImageNote) -> Result<Self, Problem> {
        let pages = [
            (note.frame_page, "the frame page is not a page of the image's memory"),
            (note.frame_pt, "the frame page's page table is not a page of the image's memory"),
            (note.frame_pd, "the frame page's page directory is not a page of the image's memory"),
            (note.frame_pdpt, "the frame page's PDPT is not a page of the image's memory"),
            (note.idt, "the IDT is not a page of the image's memory"),
            (note.gdt, "the GDT is not a page of the image's memory"),
            (note.tss, "the TSS is not a page of the image's memory"),
            (note.mailbox, "the mailbox is not a page of the image's memory"),
        ];
        for (number, (page, otherwise)) in pages.iter().enumerate() {
            if !page.is_multiple_of(PAGE) || !inside(*page, PAGE) {
                return Err(Problem::BrokenNote(otherwise));
            }
            if pages[..number].iter().any(|(other, _)| other == page) {
                return Err(Problem::BrokenNote("two of the pages that it names are the same"));
            }
        }
        let [at @ .., _mailbox] = pages.map(|(page, _)| page);
        Ok(Self(at))
    }

    /// The page at a place.
    pub const fn at(&self, place: Place) -> u64 {
        self.0[place as usize]
    }
}
