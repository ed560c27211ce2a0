//! Windows: linear addresses at 512 GiB whose pages the cases fault on, and access to memory
//! outside the identity map.
//!
//! | page | address | mapped |
//! |---|---|---|
//! | 0 | 0x80_0000_0000 | to whatever the boot loader left, while it is read |
//! | 1 | 0x80_0000_1000 | not |
//! | 2 | 0x80_0000_2000 | read-only |
//! | 3 | 0x80_0000_3000 | no-execute, UD2 at offset 0x40 |
//! | 4 | 0x80_0000_4000 | writable |
//! | 5 | 0x80_0000_5000 | not |
//!
//! Pages 2, 3 and 4 show the same memory. Every other linear address above 2 MiB is unmapped.

use crate::layout::{PAGE_TABLES, USER_STACK, WINDOW_PAGE};
use core::arch::asm;

/// The first window.
const WINDOWS: u64 = 0x80_0000_0000;
/// A page that is never mapped.
pub const UNMAPPED: u64 = WINDOWS + 0x1000;
/// A read-only page.
pub const READ_ONLY: u64 = WINDOWS + 0x2000;
/// A page that cannot be executed.
pub const NO_EXECUTE: u64 = WINDOWS + 0x3000;
/// A writable page; the one behind it is never mapped.
pub const WRITABLE: u64 = WINDOWS + 0x4000;
/// Where [`NO_EXECUTE`] has a UD2, so that a machine that executes it gets a wrong vector.
pub const UD2_OFFSET: u64 = 0x40;

const PRESENT: u64 = 1 << 0;
const WRITE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const NX: u64 = 1 << 63;

/// Which page of [`PAGE_TABLES`] is the last level of the identity map, and of the windows.
const IDENTITY: usize = 3;
const WINDOW: usize = 6;

unsafe extern "C" {
    static user_start: u8;
    static user_end: u8;
}

/// Maps the windows, and opens the pages that ring 3 uses.
pub(crate) fn init() {
    let page = WINDOW_PAGE.start().value();
    // SAFETY: the window page is only ever reached through raw pointers and windows.
    unsafe { (page as *mut u8).add(UD2_OFFSET as usize).cast::<[u8; 2]>().write_volatile([0x0F, 0x0B]) };
    for (address, flags) in
        [(READ_ONLY, PRESENT), (NO_EXECUTE, PRESENT | WRITE | NX), (WRITABLE, PRESENT | WRITE)]
    {
        set(WINDOW, address, page | flags);
    }
    let (start, end) = (&raw const user_start, &raw const user_end);
    for page in (start.addr()..end.addr()).step_by(crate::layout::PAGE) {
        set(IDENTITY, page as u64, page as u64 | PRESENT | USER);
    }
    let stack = USER_STACK.start().value();
    set(IDENTITY, stack, stack | PRESENT | WRITE | USER | NX);
}

/// One byte of physical memory, wherever it is.
pub(crate) fn peek(physical: u64) -> u8 {
    set(WINDOW, WINDOWS, physical & !0xFFF | PRESENT);
    // SAFETY: the window was mapped just now; reading memory that the boot loader owns is harmless.
    unsafe { core::ptr::with_exposed_provenance::<u8>((WINDOWS | physical & 0xFFF) as usize).read_volatile() }
}

/// Writes the last-level entry of `address` in the given page of [`PAGE_TABLES`].
fn set(table: usize, address: u64, entry: u64) {
    let entries = PAGE_TABLES.start().plus(table * crate::layout::PAGE).value() as *mut u64;
    let index = (address >> 12 & 0x1FF) as usize;
    // SAFETY: the index is below 512 and nothing holds a reference into page tables. The windows
    // and the user pages hold nothing that compiled code refers to.
    unsafe {
        entries.add(index).write_volatile(entry);
        asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags));
    }
}
