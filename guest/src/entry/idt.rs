//! The IDT: 32 interrupt gates, each with an interrupt stack of its own kind.

use super::stubs::IDT_STUBS;
use crate::layout::IDT;
use crate::segments::{IST_DOUBLE_FAULT, IST_NMI, IST_OTHER, IST_TESTED};
use fred::event::vector;
use x86_64::VirtAddr;
use x86_64::structures::DescriptorTablePointer;

/// Gates: the exceptions. Interrupts stay disabled.
const GATES: u8 = 32;
/// Bytes of one stub.
const STUB: u64 = 16;
/// Present, DPL 3 for INT n of ring 3, 64-bit interrupt gate, selector 0x08.
const GATE: u64 = 0x0000_EE00_0008_0000;

/// Fills the IDT and loads it. In FRED mode it stays unused.
pub(crate) fn init() {
    for vector in 0..GATES {
        set_usual_gate(vector);
    }
    let pointer =
        DescriptorTablePointer { limit: 16 * u16::from(GATES) - 1, base: VirtAddr::new(IDT.start().value()) };
    // SAFETY: every gate leads to a stub that captures and either returns to the act or ends the image.
    unsafe { x86_64::instructions::tables::lidt(&pointer) };
}

/// Gives the gate of a vector below 32 its usual interrupt stack.
pub(crate) fn set_usual_gate(vector: u8) {
    let ist = match vector {
        vector::PF | vector::DB | vector::NM => IST_TESTED,
        vector::DF => IST_DOUBLE_FAULT,
        vector::NMI | vector::MC => IST_NMI,
        _ => IST_OTHER,
    };
    set_gate(vector, ist);
}

/// Gives the gate of a vector below 32 an interrupt stack.
pub(crate) fn set_gate(vector: u8, ist: u64) {
    let stub = IDT_STUBS.value() + STUB * u64::from(vector);
    let low = GATE | stub & 0xFFFF | ist << 32 | (stub >> 16 & 0xFFFF) << 48;
    let gate = IDT.start().value() + 16 * u64::from(vector);
    // SAFETY: the page has room for 256 gates of 16 bytes and only the processor reads it.
    unsafe { (gate as *mut [u64; 2]).write_volatile([low, stub >> 32]) };
}
