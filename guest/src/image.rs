//! What makes a list of cases an image.

use crate::case::Image;
use crate::layout::{ACT_STACK, FRAME_PAGE, FRAME_TABLES, GDT, IDT, MAILBOX, PAGE, PAGE_TABLES, TSS};
use crate::note::Pages;

unsafe extern "Rust" {
    /// The image that this kernel is linked into.
    #[link_name = "MIDFLIGHT_IMAGE"]
    pub(crate) safe static IMAGE: Image;
}

/// The pages that the note names.
pub const PAGES: Pages = Pages {
    mailbox: crate::address::Address::of(&raw const MAILBOX),
    frame_page: FRAME_PAGE.start(),
    frame_pdpt: FRAME_TABLES.start(),
    frame_pd: FRAME_TABLES.start().plus(PAGE),
    frame_pt: FRAME_TABLES.start().plus(2 * PAGE),
    act_stack: ACT_STACK.start(),
    page_tables: PAGE_TABLES.start(),
    page_tables_end: PAGE_TABLES.end(),
    entry_page: crate::entry::fred_setup::ENTRY_PAGE,
    idt: IDT.start(),
    gdt: GDT.start(),
    tss: TSS.start(),
};

/// Makes an image of cases: its table and its note, both from the one list.
#[macro_export]
macro_rules! image {
    (
        name: $name:literal, rule: $rule:literal, spec: $spec:literal,
        cases: [$($case:path),* $(,)?] $(,)?
    ) => {
        static CASES: [$crate::case::Case; const { [$(stringify!($case)),*].len() }] =
            [$($case.without_rule()),*];

        #[used]
        #[unsafe(link_section = ".note.midflight")]
        static NOTE: $crate::protocol::note::Note<
            $crate::address::Address,
            { [$(stringify!($case)),*].len() },
        > = $crate::note::note(
            $crate::note::Description { name: $name, rule: $rule, spec: $spec },
            $crate::image::PAGES,
            &[$($case),*],
        );

        /// What the kernel runs.
        #[unsafe(no_mangle)]
        static MIDFLIGHT_IMAGE: $crate::case::Image = $crate::case::Image { name: $name, cases: &CASES };
    };
}
