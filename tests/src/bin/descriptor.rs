//! Descriptors: which bits are base and limit, and stacks of 16 bits.
//!
//! Rule: the limit is bits 51:48 and 15:0 of the descriptor, in bytes, or in pages with G; the base is bits 63:56 and 39:16. In
//! compatibility mode a linear address has 32 bits. With a stack segment whose B bit is 0 PUSH and POP use SP, and leave the rest
//! of ESP alone. IRET to such a segment loads SP alone, and bits 31:16 are those of the stack that it leaves; ERETU loads the
//! whole of RSP. ERETU with the selectors of IA32_STAR reads no descriptor (SDM vol. 3 ch. 3, "Segment Descriptors"; ch. 8, "ERETU"; vol. 2, "PUSH", "IRET", operation).
//!
//! Known bugs that fail it: a limit or a B bit that KVM_SET_SREGS loses; an emulator that pushes by ESP where the stack has 16
//! bits (stack_mask of KVM's); Linux's espfix is about what IRET does there.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;

guest::image! {
    name: "descriptor",
    rule: "Base, limit, G and B of a segment descriptor count in compatibility mode as the manual says.",
    spec: "SDM vol. 3 ch. 3 segment descriptors; vol. 2 PUSH, IRET",
    cases: [bytes::CASE, pages::CASE, push::CASE, iretq::CASE, eretu::CASE, star::CASE, star_compat::CASE],
}

/// A data segment of ring 3, which begins so many bytes before the page of ring 3's stack: bits 55:40 of its descriptor but for
/// the limit, and the limit.
fn segment(selector: u16, before: u64, attributes: u64, limit: u64) {
    let base = USER_STACK.start().value().wrapping_sub(before) & 0xFFFF_FFFF;
    let descriptor = (base & 0xFF_FFFF) << 16 | (base >> 24) << 56;
    set_descriptor(selector, descriptor | attributes << 40 | limit & 0xFFFF | (limit >> 16) << 48);
}
/// Data that can be written: S, DPL 3, P; 32 bits.
const DATA: u64 = 0x40F2;
/// The same with a limit in pages.
const PAGES: u64 = 0xC0F2;
/// A stack of 16 bits.
const STACK_16: u64 = 0x00F2;

/// A quadword of ring 3's stack, far below where acts begin.
fn word(offset: usize) -> *mut u64 {
    USER_STACK.start().plus(offset).value() as *mut u64
}
fn prepare() {
    // SAFETY: acts begin far above, and nothing else refers to the page.
    unsafe {
        word(0x7F8).write_volatile(0x8877_6655_4433_2211);
        word(0x800).write_volatile(0x8877_6655_4433_2211);
    }
    route(6, 1, IST_FRAME);
    route(13, 1, IST_FRAME);
}

/// #UD after an act in compatibility mode.
const UD_COMPAT: Event =
    Event { rip: Rip::After, cs: 0x1B, rsp: Stack::User, ss: 0x0003_0006_0000_0023, csl: 0, entry: 0, ..UD };
/// #GP(0) so many bytes after the act's first instruction, whose handler goes on after the 7 or 8 bytes of it.
const fn refused<const LENGTH: u64>(bytes: u64) -> Event {
    Event {
        vector: 13,
        rip: Rip::Plus(bytes),
        ss: 0x0003_000D_0000_0023,
        idt_frame_bytes: 48,
        handler: Some(skip::<LENGTH>),
        returns: Return::Frame,
        ..UD_COMPAT
    }
}

/// A case whose act begins in compatibility mode with DS = 0x4B and ES = 0x53.
macro_rules! compat {
    ($module:ident, $name:literal, $act:literal, $rule:literal, act: [$($line:literal),*], prepare: $prepare:expr, events: $events:expr) => {
        mod $module {
            use super::*;
            act_ring3! {
                name: $act, cs: "0x1B", ss: "0x23", rflags: "2",
                set: ["mov ecx, 0x4B", "mov ds, ecx", "mov ecx, 0x53", "mov es, ecx", "mov ebx, 0", "mov ecx, 0"],
                act: [".code32", $($line),*],
            }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: Needs::USER,
                flags: CaseFlags::USER,
                prepare: $prepare,
                act: ACT,
                events: $events,
                ..Case::NEW
            };
        }
    };
}

compat! {
    bytes, "bytes", "descriptor.bytes",
    "Two segments with even limits whose bases differ in bit 16 alone: the last byte of each, and the byte after it.",
    // 6, 6, 7 and 7 bytes.
    act: ["mov bl, [0x802]", "mov cl, [0x803]", "mov ch, es:[0x10802]", "mov cl, es:[0x10803]"],
    prepare: || {
        prepare();
        segment(0x48, 0, DATA, 0x802);
        segment(0x50, 0x1_0000, DATA, 0x1_0802);
    },
    events: &[
        Event { general: &[(General::Rbx, 0x33)], ..refused::<6>(6) },
        Event { general: &[(General::Rcx, 0x3300)], ..refused::<7>(19) },
        UD_COMPAT,
    ]
}
compat! {
    pages, "pages", "descriptor.pages",
    "Limits in pages, bases in the upper half and the upper quarter of 4 GiB: the last byte, and the byte after it.",
    // 6, 6, 7 and 7 bytes.
    act: ["mov ebx, [0x10000FF8]", "mov ecx, [0x10000FFD]", "mov ecx, es:[0x60000FFC]", "mov bl, es:[0x60001000]"],
    prepare: || {
        prepare();
        // They begin in the upper half of 4 GiB, the first in its upper quarter, and end in the middle of the page.
        segment(0x48, 0x1000_0800, PAGES, 0x1_0000);
        segment(0x50, 0x6000_0800, PAGES, 0x6_0000);
    },
    events: &[
        Event { general: &[(General::Rbx, 0x4433_2211)], ..refused::<6>(6) },
        Event { general: &[(General::Rcx, 0x8877_6655)], ..refused::<7>(19) },
        UD_COMPAT,
    ]
}

mod push {
    use super::*;
    act_ring3! {
        name: "descriptor.push", cs: "0x1B", ss: "0x4B", rflags: "2", set: ["mov ebx, 0", "mov ecx, 0"],
        act: [
            ".code32", "mov esp, 0x77770000", "push 0x11223344", "mov ebx, esp", "push bx", "mov ecx, esp", "pop si",
            "pop edi", "mov esi, 0"
        ],
    }
    pub(super) const CASE: Case = Case {
        name: "push",
        rule: "PUSH and POP of 4 and 2 bytes at SP 0: SP wraps, bits 31:16 of ESP stay.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || {
            prepare();
            // Its last bytes lie in the middle of the page.
            segment(0x48, 0xF800, STACK_16, 0xFFFF);
        },
        act: ACT,
        events: &[Event {
            rsp: Stack::At(0x7777_0000),
            ss: 0x0003_0006_0000_004B,
            general: &[
                (General::Rbx, 0x7777_FFFC),
                (General::Rcx, 0x7777_FFFA),
                (General::Rsi, 0),
                (General::Rdi, 0x1122_3344),
            ],
            ..UD_COMPAT
        }],
        results: &[Check {
            expected: 0x1122_3344_FFFC,
            // SAFETY: acts begin far above, and nothing else refers to the page.
            read: || unsafe { word(0x7FA).read_unaligned() } & 0xFFFF_FFFF_FFFF,
        }],
        ..Case::NEW
    };
}

/// A return to the act in ring 3, on a stack of 16 bits, with a frame that `set` makes; RCX is the RSP in it.
macro_rules! returns {
    (
        $module:ident, $name:literal, $act:literal, $rule:literal, needs: $needs:expr, rsp: [$($rcx:literal),*],
        before: [$($before:literal),*], after: [$($after:literal),*], expected: $expected:expr
    ) => {
        mod $module {
            use super::*;
            act_ring3! {
                name: $act,
                set: [
                    "call act_armed", "out dx, eax", $($rcx,)* $($before,)* "push 0x4B", "push rcx", "push 2", "push 0x1B",
                    concat!("lea rcx, [rip + \"", $act, ".act\"]"), "push rcx", $($after),*
                ],
                act: [".code32", "mov ecx, 0"],
            }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: Needs::USER.union($needs),
                flags: CaseFlags::USER,
                prepare: || {
                    prepare();
                    segment(0x48, 0, STACK_16, 0xFFFF);
                },
                act: ACT,
                events: &[Event {
                    rsp: $expected,
                    ss: 0x0003_0006_0000_004B,
                    general: &[(General::Rcx, 0)],
                    ..UD_COMPAT
                }],
                ..Case::NEW
            };
        }
    };
}

returns! {
    iretq, "iretq", "descriptor.iretq",
    "IRETQ to a stack of 16 bits: SP is the frame's, bits 31:16 of RSP are those of the stack that it leaves.",
    needs: Needs::IDT, rsp: ["lea rcx, [rsp - 0x200]", "movzx ecx, cx", "or ecx, 0x77770000"],
    // Eight quadwords are on the stack.
    before: [], after: ["iretq"], expected: Stack::ActBelow(0x240)
}
returns! {
    eretu, "eretu", "descriptor.eretu",
    "ERETU to a stack of 16 bits: RSP is the frame's, all of it.",
    needs: Needs::FRED, rsp: ["mov ecx, 0x77770800"],
    before: ["push 0", "push 0"], after: ["push 0", ".byte 0xF3, 0x0F, 0x01, 0xCA"], expected: Stack::At(0x7777_0800)
}

/// ERETU to the act with the selectors that IA32_STAR gives, which no descriptor describes.
macro_rules! star {
    ($module:ident, $name:literal, $act:literal, $rule:literal, cs: $cs:literal, act: [$($line:literal),*], $event:expr) => {
        mod $module {
            use super::*;
            act_ring3! {
                name: $act, cs: $cs, ss: "0x53", rflags: "2", set: ["mov ebx, 0"], act: [$($line),*],
            }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: Needs::USER.union(Needs::FRED),
                flags: CaseFlags::USER,
                prepare: || {
                    prepare();
                    for selector in [0x48, 0x50, 0x58] {
                        set_descriptor(selector, 0);
                    }
                    // IA32_STAR.
                    write_msr(0xC000_0081, 0x004B_0008_0000_0000);
                },
                act: ACT,
                events: &[$event],
                ..Case::NEW
            };
        }
    };
}

star! {
    star, "star", "descriptor.star",
    "ERETU with IA32_STAR's CS + 16 and SS, whose descriptors are empty: 64-bit mode; SS is flat data, as 32-bit code finds it.",
    // The far JMP leads to the lines after it.
    cs: "0x5B",
    act: [
        "movabs rbx, 0x1B00000000", "lea rcx, [rip + 55f]", "add rbx, rcx", "push rbx", "jmp fword ptr [rsp]", "55:", ".code32",
        "pop ebx", "pop ecx", "push 0x11223344", "pop ebx", "mov ecx, 0", "push 2", "popfd"
    ],
    Event { general: &[(General::Rbx, 0x1122_3344), (General::Rcx, 0)], ss: 0x0003_0006_0000_0053, ..UD_COMPAT }
}
// LEA EBX, [0x1234]; in 64-bit mode the address is relative to RIP.
star! {
    star_compat, "star-compat", "descriptor.star-compat",
    "ERETU with IA32_STAR's CS and SS, whose descriptors are empty: compatibility mode, flat.",
    cs: "0x4B", act: [".code32", ".byte 0x8D, 0x1D, 0x34, 0x12, 0, 0", "push ebx", "pop ebx"],
    Event { cs: 0x4B, ss: 0x0003_0006_0000_0053, general: &[(General::Rbx, 0x1234)], ..UD_COMPAT }
}
