//! The stubs that events enter by: FRED's two entry points, and one for each gate of the IDT. Each calls the
//! capture, whose return address says which one it was.

use crate::address::Address;

unsafe extern "C" {
    static idt_stubs: u8;
}

/// The first IDT stub.
pub(crate) const IDT_STUBS: Address = Address::of(&raw const idt_stubs);

core::arch::global_asm!(
    ".pushsection .fred_entry, \"ax\", @progbits",
    ".globl fred_entry_ring3, fred_entry_ring3_end, fred_entry_ring0",
    "fred_entry_ring3:",
    "call fred_event",
    "fred_entry_ring3_end:",
    ".balign 256, 0xCC",
    "fred_entry_ring0:",
    "call fred_event",
    ".popsection",
    ".pushsection .entry.idt_stubs, \"ax\", @progbits",
    ".balign 16",
    ".globl idt_stubs, idt_stubs_end",
    "idt_stubs:",
    // Vectors 8, 10..14, 17, 21, 29 and 30 push an error code; the others get a 0 in its place.
    ".set vector, 0",
    ".rept 32",
    ".if ({ERROR_CODES} >> vector) & 1",
    ".byte 0x66, 0x90",
    ".else",
    "push 0",
    ".endif",
    "call idt_event",
    ".balign 16, 0xCC",
    ".set vector, vector + 1",
    ".endr",
    "idt_stubs_end:",
    ".popsection",
    ERROR_CODES = const ERROR_CODES,
);

/// The vectors that push an error code.
pub(super) const ERROR_CODES: u32 = 0x6022_7D00;
