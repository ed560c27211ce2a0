//! Pages that stand alone: stacks, page tables, descriptor tables, the mailbox.
//!
//! Each is a page of its own, identity-mapped but for the frame page, so that a host can block one
//! and know what touches it.

use crate::address::Address;
use core::cell::UnsafeCell;
use protocol::mailbox::Mailbox;

/// Size of a page in bytes.
pub const PAGE: usize = 4096;

/// `N` pages that start zeroed and belong to hardware or to assembly.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Pages<const N: usize>(UnsafeCell<[[u8; PAGE]; N]>);

// SAFETY: there is one processor and interrupts stay disabled; access goes through raw pointers.
unsafe impl<const N: usize> Sync for Pages<N> {}

impl<const N: usize> Pages<N> {
    const fn zeroed() -> Self {
        Self(UnsafeCell::new([[0; PAGE]; N]))
    }

    /// The first page's first byte.
    pub const fn start(&'static self) -> Address {
        Address::of(self)
    }

    /// Just past the last byte: the top of a stack.
    pub const fn end(&'static self) -> Address {
        Address::of(self).plus(N * PAGE)
    }
}

/// What the stacks that frames land on are filled with before an act, so that a part of a frame that is not
/// written shows.
const POISON: u64 = 0xA5A5_A5A5_A5A5_A5A5;

/// Of a stack, what an act's frames reach: a redzone, and a frame for each of a few events.
pub(crate) const REACHED: usize = 0x400;

/// Fills the upper `bytes` of every page that a frame can land on with poison. Nothing must be running on these
/// stacks.
pub(crate) fn poison(bytes: usize) {
    for page in [
        FRAME_STACK,
        ACT_STACK.start().value(),
        OTHER_STACK.start().value(),
        NMI_STACK.start().value(),
        DOUBLE_FAULT_STACK.start().value(),
    ] {
        // SAFETY: the page is a stack that is not in use, and nothing refers to it.
        unsafe {
            core::arch::asm!(
                "rep stosq",
                inout("rdi") page + (PAGE - bytes) as u64 => _, inout("rcx") bytes / 8 => _, in("rax") POISON,
                options(nostack, preserves_flags),
            );
        }
    }
}

/// Where the frame of the event under test lands: nothing else uses this page. Its linear address is
/// [`FRAME_STACK`] and no other.
pub static FRAME_PAGE: Pages<1> = Pages::zeroed();
/// PDPT, PD and PT of [`FRAME_STACK`]: nothing else is reached by them.
pub static FRAME_TABLES: Pages<3> = Pages::zeroed();
/// The stack that acts run on in ring 0.
pub static ACT_STACK: Pages<1> = Pages::zeroed();
/// The stack that acts run on in ring 3.
pub static USER_STACK: Pages<1> = Pages::zeroed();
/// The stack of handlers once their stubs have captured everything.
pub static HANDLER_STACK: Pages<1> = Pages::zeroed();
/// The stack of compiled code.
pub static MAIN_STACK: Pages<4> = Pages::zeroed();
/// #DF's stack.
pub static DOUBLE_FAULT_STACK: Pages<1> = Pages::zeroed();
/// The stack of NMI and #MC under the IDT.
pub static NMI_STACK: Pages<1> = Pages::zeroed();
/// The stack of events that are not under test.
pub static OTHER_STACK: Pages<1> = Pages::zeroed();
/// PML4, then PDPT, PD and PT of the identity map, then PDPT, PD and PT of the windows. The PML4 is
/// every address's, the frame stack's too.
pub static PAGE_TABLES: Pages<7> = Pages::zeroed();
/// PDPT, PD and PT of the case's own page, [`crate::paging::OWN`]. Nothing else is reached by them.
pub static OWN_TABLES: Pages<3> = Pages::zeroed();
/// The GDT.
pub static GDT: Pages<1> = Pages::zeroed();
/// The IDT.
pub static IDT: Pages<1> = Pages::zeroed();
/// The TSS.
pub static TSS: Pages<1> = Pages::zeroed();
/// The page that the mapped windows show.
pub static WINDOW_PAGE: Pages<1> = Pages::zeroed();

/// The linear address of [`FRAME_PAGE`]. A PML4 entry of its own, so that the tables below it are
/// walked for this stack alone.
pub const FRAME_STACK: u64 = 0x0000_0100_0000_0000;
/// Just past the frame stack: its top.
pub const FRAME_TOP: Address = Address::new(FRAME_STACK).plus(PAGE);

/// How far below their stack's end acts start: not a multiple of 16, so that a frame which saved
/// an aligned RSP shows.
pub const ACT_HEADROOM: usize = 0x28;
/// RSP while an act runs in ring 0.
pub const ACT_RSP: Address = ACT_STACK.start().plus(PAGE - ACT_HEADROOM);
/// RSP while an act runs in ring 3.
pub const USER_RSP: Address = USER_STACK.start().plus(PAGE - ACT_HEADROOM);

/// The mailbox's page.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct MailboxPage(UnsafeCell<Mailbox>);

// SAFETY: the host writes only while the processor is stopped at a doorbell, and access goes
// through volatile reads and writes.
unsafe impl Sync for MailboxPage {}

impl MailboxPage {
    /// The mailbox, for volatile access to its fields.
    pub const fn get(&self) -> *mut Mailbox {
        self.0.get()
    }
}

/// The mailbox. The host writes into it before the image runs.
pub static MAILBOX: MailboxPage =
    MailboxPage(UnsafeCell::new(Mailbox { magic: 0, version: 0, ..Mailbox::EMPTY }));
