//! The IDT: 32 interrupt gates, each with an interrupt stack of its own kind.

use super::stubs::IDT_STUBS;
use crate::layout::IDT;
use crate::segments::{IST_DOUBLE_FAULT, IST_NMI, IST_OTHER, IST_TESTED};
use x86_64::VirtAddr;
use x86_64::structures::DescriptorTablePointer;

/// Gates: the exceptions. Interrupts stay disabled.
const GATES: u64 = 32;
/// Bytes of one stub.
const STUB: u64 = 16;
/// Present, DPL 0, 64-bit interrupt gate, selector 0x08.
const GATE: u64 = 0x0000_8E00_0008_0000;

/// Fills the IDT and loads it. In FRED mode it stays unused.
pub(crate) fn init() {
    let idt = IDT.start().value();
    for vector in 0..GATES {
        let ist = match vector {
            1 | 7 | 14 => IST_TESTED,
            8 => IST_DOUBLE_FAULT,
            2 | 18 => IST_NMI,
            _ => IST_OTHER,
        };
        let stub = IDT_STUBS.value() + STUB * vector;
        let low = GATE | stub & 0xFFFF | ist << 32 | (stub >> 16 & 0xFFFF) << 48;
        // SAFETY: the page has room for 256 gates of 16 bytes and only the processor reads it.
        unsafe { ((idt + 16 * vector) as *mut [u64; 2]).write_volatile([low, stub >> 32]) };
    }
    let pointer = DescriptorTablePointer { limit: (16 * GATES - 1) as u16, base: VirtAddr::new(idt) };
    // SAFETY: every gate leads to a stub that captures and either returns to the act or ends the image.
    unsafe { x86_64::instructions::tables::lidt(&pointer) };
}
