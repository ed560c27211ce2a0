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
//! Pages 2, 3 and 4 show the same memory. At 1 TiB is the frame stack, by tables of its own
//! ([`FRAME_TABLES`]); the identity map leaves its page out. At 1.5 TiB is a page whose walk a case makes
//! as it likes ([`set_own`]). Every other linear address above 2 MiB is unmapped.

use crate::address::Address;
use crate::layout::{
    FRAME_PAGE, FRAME_STACK, FRAME_TABLES, OWN_TABLES, PAGE, PAGE_TABLES, Pages, USER_STACK, WINDOW_PAGE,
};
use core::arch::asm;

/// The first window.
const WINDOWS: u64 = 0x80_0000_0000;
/// A page that is never mapped.
pub const UNMAPPED: u64 = WINDOWS + 0x1000;
/// Top of a stack that is not mapped: [`UNMAPPED`] is the page below.
pub const UNMAPPED_TOP: Address = Address::new(UNMAPPED).plus(PAGE);
/// A read-only page.
pub const READ_ONLY: u64 = WINDOWS + 0x2000;
/// A page that cannot be executed.
pub const NO_EXECUTE: u64 = WINDOWS + 0x3000;
/// A writable page; the next one is never mapped.
pub const WRITABLE: u64 = WINDOWS + 0x4000;
/// The case's own page; nothing else is mapped in the 512 GiB that it begins.
pub const OWN: u64 = 0x180_0000_0000;
/// Where [`NO_EXECUTE`] has a UD2, so that a machine that executes it gets a wrong vector.
pub const UD2_OFFSET: u64 = 0x40;

/// Present, writable, user, accessed: page-table entries above the last level. Accessed and dirty are
/// set from the start, so that no walk writes to a table and every delivery makes the same accesses.
pub(crate) const TABLE: u64 = 0x27;
/// Present, writable, accessed, dirty.
pub(crate) const LEAF: u64 = 0x63;
const PRESENT: u64 = 1 << 0;
const WRITE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
/// Accessed and dirty: an update of either would be a write in the middle of something else.
const USED: u64 = 0b11 << 5;
const PS: u64 = 1 << 7;
const NX: u64 = 1 << 63;

/// Which page of [`PAGE_TABLES`] is the PML4, and the last level of the identity map and of the windows.
const PML4: usize = 0;
const IDENTITY: usize = 3;
const WINDOW: usize = 6;
/// Which page of [`FRAME_TABLES`] is the PDPT, and so on.
const PDPT: usize = 0;
const PD: usize = 1;
const PT: usize = 2;

unsafe extern "C" {
    static user_start: u8;
    static user_end: u8;
}

/// Maps the frame stack and the windows, and opens the pages that ring 3 uses.
pub(crate) fn init() {
    map_frame_stack();
    let page = WINDOW_PAGE.start().value();
    // SAFETY: the window page is only ever reached through raw pointers and windows.
    unsafe { (page as *mut u8).add(UD2_OFFSET as usize).cast::<[u8; 2]>().write_volatile([0x0F, 0x0B]) };
    for (address, flags) in
        [(READ_ONLY, PRESENT), (NO_EXECUTE, PRESENT | WRITE | NX), (WRITABLE, PRESENT | WRITE)]
    {
        set(&PAGE_TABLES, WINDOW, address, page | flags);
    }
    let (start, end) = (&raw const user_start, &raw const user_end);
    for page in (start.addr()..end.addr()).step_by(PAGE) {
        set(&PAGE_TABLES, IDENTITY, page as u64, page as u64 | PRESENT | USER | USED);
    }
    let stack = USER_STACK.start().value();
    set(&PAGE_TABLES, IDENTITY, stack, stack | PRESENT | WRITE | USER | NX | USED);
}

/// Makes the next access to the frame stack walk its tables: INVLPG drops what is cached of them too.
pub(crate) fn forget_frame_stack() {
    invalidate(FRAME_STACK);
}

fn map_frame_stack() {
    let table = |page: usize| FRAME_TABLES.start().plus(page * PAGE).value() | TABLE;
    write(&PAGE_TABLES, PML4, (FRAME_STACK >> 39) as usize, table(PDPT));
    write(&FRAME_TABLES, PDPT, 0, table(PD));
    write(&FRAME_TABLES, PD, 0, table(PT));
    let page = FRAME_PAGE.start().value();
    set(&FRAME_TABLES, PT, FRAME_STACK, page | LEAF | NX);
    set(&PAGE_TABLES, IDENTITY, page, 0);
}

/// Makes the walk of [`OWN`]: the flags of its entries in PML4, PDPT, PD and PT. The tables are its own, and the
/// page shows the memory of the windows. An entry with PS set maps a large page at physical address 0.
pub fn set_own(flags: [u64; 4]) {
    let index = |level: u32| (OWN >> (39 - 9 * level) & 0x1FF) as usize;
    let frame = |level: usize| match (flags[level] & PS, level) {
        (0, 3) => WINDOW_PAGE.start().value(),
        (0, _) => OWN_TABLES.start().plus(level * PAGE).value(),
        _ => 0,
    };
    write(&PAGE_TABLES, PML4, index(0), flags[0] | frame(0));
    write(&OWN_TABLES, PDPT, index(1), flags[1] | frame(1));
    write(&OWN_TABLES, PD, index(2), flags[2] | frame(2));
    write(&OWN_TABLES, PT, index(3), flags[3] | frame(3));
    invalidate(OWN);
}

/// Bits 11:0 of the four entries that lead to [`OWN`], PML4's in the highest 12 bits of 48.
pub fn own() -> u64 {
    let entry = |tables: u64, shift: u32| {
        let entry = (tables + (OWN >> shift & 0x1FF) * 8) as *const u64;
        // SAFETY: an entry of a page table, which nothing refers to.
        unsafe { entry.read_volatile() & 0xFFF }
    };
    let table = |page: usize| OWN_TABLES.start().plus(page * PAGE).value();
    entry(PAGE_TABLES.start().value(), 39) << 36
        | entry(table(PDPT), 30) << 24
        | entry(table(PD), 21) << 12
        | entry(table(PT), 12)
}

/// The quadword at an offset of the memory that the windows show.
pub fn window(offset: u64) -> u64 {
    // SAFETY: the callers' offsets are inside the page, whose bytes are only reached through raw pointers.
    unsafe { ((WINDOW_PAGE.start().value() + offset) as *const u64).read_unaligned() }
}

/// Writes a quadword at an offset of the memory that the windows show.
pub fn set_window(offset: u64, value: u64) {
    // SAFETY: as for reading.
    unsafe { ((WINDOW_PAGE.start().value() + offset) as *mut u64).write_unaligned(value) }
}

/// One byte of physical memory, wherever it is.
pub(crate) fn peek(physical: u64) -> u8 {
    set(&PAGE_TABLES, WINDOW, WINDOWS, physical & !0xFFF | PRESENT);
    // SAFETY: the window was mapped just now; reading memory that the boot loader owns is harmless.
    unsafe { core::ptr::with_exposed_provenance::<u8>((WINDOWS | physical & 0xFFF) as usize).read_volatile() }
}

/// Writes the last-level entry of `address` in one page of `tables`.
fn set<const N: usize>(tables: &'static Pages<N>, page: usize, address: u64, entry: u64) {
    write(tables, page, (address >> 12 & 0x1FF) as usize, entry);
    invalidate(address);
}

/// Writes entry `index`, below 512, in one page of `tables`.
fn write<const N: usize>(tables: &'static Pages<N>, page: usize, index: usize, entry: u64) {
    let entries = tables.start().plus(page * PAGE).value() as *mut u64;
    // SAFETY: the callers' indices are below 512 and nothing holds a reference into page tables. The
    // windows, the frame stack and the user pages hold nothing that compiled code refers to.
    unsafe { entries.add(index).write_volatile(entry) }
}

fn invalidate(address: u64) {
    // SAFETY: what is dropped is walked again.
    unsafe { asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags)) }
}
