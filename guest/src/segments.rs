//! Selectors, GDT and TSS.
//!
//! | selector | segment | required by |
//! |---|---|---|
//! | 0x08 | ring-0 code, 64-bit | IA32_STAR 47:32 |
//! | 0x10 | ring-0 data: a real SS, FRED's ERETS compares it | STAR 47:32 + 8 |
//! | 0x1B | ring-3 code, compatibility mode | STAR 63:48 |
//! | 0x23 | ring-3 data | STAR 63:48 + 8 |
//! | 0x2B | ring-3 code, 64-bit | STAR 63:48 + 16 |
//! | 0x30 | TSS | |
//! | 0x40 | ring-0 data, not present | cases of #NP and #SS |
//! | 0x48, 0x50, 0x58 | the case's own: [`set_descriptor`] | the last is the last inside the limit |
//!
//! Interrupt stacks under the IDT:
//!
//! | IST | events |
//! |---|---|
//! | 1 | #PF, #DB, #NM: the frame page |
//! | 2 | #DF |
//! | 3 | NMI, #MC |
//! | 4 | every other |
//! | 5 | a page that is not mapped: see [`crate::routes`] |

use crate::layout::{DOUBLE_FAULT_STACK, FRAME_TOP, GDT, NMI_STACK, OTHER_STACK, TSS};
use crate::paging::UNMAPPED_TOP;
use core::arch::asm;
use x86_64::VirtAddr;
use x86_64::instructions::tables::{lgdt, load_tss};
use x86_64::structures::DescriptorTablePointer;
use x86_64::structures::gdt::SegmentSelector;

/// IA32_STAR.
pub(crate) const STAR: u64 = 0x001B_0008_0000_0000;
/// IST of #PF, #DB and #NM.
pub const IST_TESTED: u64 = 1;
/// IST of #DF.
pub(crate) const IST_DOUBLE_FAULT: u64 = 2;
/// IST of NMI and #MC.
pub(crate) const IST_NMI: u64 = 3;
/// IST of every other event.
pub const IST_OTHER: u64 = 4;
/// IST whose stack is not mapped.
pub const IST_UNMAPPED: u64 = 5;

/// Limit of a TSS without I/O permission map.
const TSS_LIMIT: u64 = 103;

/// Loads GDT, TSS and the segment registers that matter.
pub(crate) fn init() {
    let tss = TSS.start().value();
    let stacks = [
        (IST_TESTED, FRAME_TOP),
        (IST_DOUBLE_FAULT, DOUBLE_FAULT_STACK.end()),
        (IST_NMI, NMI_STACK.end()),
        (IST_OTHER, OTHER_STACK.end()),
        (IST_UNMAPPED, UNMAPPED_TOP),
    ];
    for (ist, top) in stacks {
        // SAFETY: IST n lies at offset 0x1C + 8 n of the TSS (SDM vol. 3, "64-Bit Task State
        // Segment"), four bytes off alignment; only the processor reads it.
        unsafe { ((tss + 0x1C + 8 * ist) as *mut u64).write_unaligned(top.value()) };
    }
    // RSP0, for events from ring 3 without an IST; and no I/O permission map.
    // SAFETY: as above, offsets 4 and 0x66.
    unsafe {
        ((tss + 4) as *mut u64).write_unaligned(OTHER_STACK.end().value());
        ((tss + 0x66) as *mut u16).write_unaligned(TSS_LIMIT as u16 + 1);
    }
    let descriptors = [
        0,
        0x00AF_9B00_0000_FFFF,
        0x00CF_9300_0000_FFFF,
        0x00CF_FB00_0000_FFFF,
        0x00CF_F300_0000_FFFF,
        0x00AF_FB00_0000_FFFF,
        TSS_LIMIT | (tss & 0xFF_FFFF) << 16 | 0x89 << 40 | (tss >> 24 & 0xFF) << 56,
        tss >> 32,
        0x00CF_1300_0000_FFFF,
        0,
        0,
        0,
    ];
    let gdt = GDT.start().value();
    // SAFETY: the GDT's page is only read by the processor. Its first three descriptors equal
    // those in use, and the TSS descriptor describes the TSS filled in above.
    unsafe {
        (gdt as *mut [u64; 12]).write_volatile(descriptors);
        lgdt(&DescriptorTablePointer {
            limit: size_of_val(&descriptors) as u16 - 1,
            base: VirtAddr::new(gdt),
        });
        asm!("mov ss, {:e}", in(reg) 0x10, options(nostack, preserves_flags));
        load_tss(SegmentSelector(0x30));
    }
}

/// Writes the descriptor of `selector`, one of the case's own, or one beyond the limit of the GDT.
pub fn set_descriptor(selector: u16, descriptor: u64) {
    let entry = GDT.start().value() + u64::from(selector & !7);
    // SAFETY: the page has room for 512 descriptors, is only read by the processor, and the callers' are in no use.
    unsafe { (entry as *mut u64).write_volatile(descriptor) }
}

/// The descriptor of `selector`, as it lies in the GDT now.
pub fn descriptor(selector: u16) -> u64 {
    let entry = GDT.start().value() + u64::from(selector & !7);
    // SAFETY: as for writing.
    unsafe { (entry as *const u64).read_volatile() }
}
