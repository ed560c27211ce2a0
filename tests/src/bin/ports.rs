//! IN, OUT, INS and OUTS of every width, and the I/O permission map bit by bit.
//!
//! Rule: IN of 8 or 16 bits leaves the rest of RAX, IN of 32 bits clears bits 63:32. INS and OUTS move RDI or RSI by the size
//! of the item, and count RCX, with the address size. With CPL > IOPL a port of `n` bytes needs `n` bits clear in the map of
//! the TSS, which may lie in two bytes; the byte after the first must lie inside the limit. With CPL <= IOPL no map is
//! looked at (SDM vol. 2, "IN", "INS", "OUTS"; vol. 1 ch. 19, "I/O Permission Bit Map").
//!
//! Known bugs that fail it: the permission map of the host's TSS in place of the guest's, or one byte of it for ports that
//! have bits in two (emulator_io_port_permission_bitmap of KVM's); an IN of 16 bits that clears the upper half of RAX.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use guest::layout::TSS;
use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "ports",
    rule: "I/O instructions change as much of a register as they read, and ring 3 has the ports of the map.",
    spec: "SDM vol. 2 IN, INS, OUTS; vol. 1 ch. 19 permission map",
    cases: [widths::CASE, immediate::CASE, strings::CASE, strings_short::CASE, map::CASE, map_limit::CASE, tss_limit::CASE, iopl::CASE, unmapped::CASE],
}

/// What INS writes.
static ITEMS: [AtomicU64; 2] = [const { AtomicU64::new(0) }; _];

fn clear() {
    ITEMS.iter().for_each(|word| word.store(0, Relaxed));
}

// Nothing answers at 0x6D78, which reads as all ones.
mod widths {
    use super::*;
    act! {
        name: "ports.widths", set: ["movabs rbx, 0x1122334455667788"], armed: ["mov edx, 0x6D78", "mov rax, rbx"],
        act: [
            "in al, dx", "mov rcx, rax", "mov rax, rbx", "in ax, dx", "mov rsi, rax", "mov rax, rbx", "in eax, dx",
            "out dx, al", "out dx, ax", "out dx, eax"
        ],
    }
    pub(super) const CASE: Case = Case {
        name: "widths",
        rule: "IN AL, IN AX and IN EAX by DX from a port that reads as ones: the rest of RAX stays, or is cleared by the last.",
        flags: CaseFlags::CONFORMANCE,
        act: ACT,
        left: &Left {
            general: &[
                (General::Rdx, 0x6D78),
                (General::Rcx, 0x1122_3344_5566_77FF),
                (General::Rsi, 0x1122_3344_5566_FFFF),
                (General::Rax, 0xFFFF_FFFF),
            ],
            ..Left::NEW
        },
        ..Case::NEW
    };
}

mod immediate {
    use super::*;
    act! {
        name: "ports.immediate", set: ["movabs rbx, 0x1122334455667788"], armed: ["mov rax, rbx"],
        act: ["in al, 0xEC", "mov rcx, rax", "mov rax, rbx", "in ax, 0xEC", "mov rsi, rax", "mov rax, rbx", "in eax, 0xEC"],
    }
    pub(super) const CASE: Case = Case {
        name: "immediate",
        rule: "The same by an immediate, port 0xEC.",
        flags: CaseFlags::CONFORMANCE,
        act: ACT,
        left: &Left {
            general: &[
                (General::Rcx, 0x1122_3344_5566_77FF),
                (General::Rsi, 0x1122_3344_5566_FFFF),
                (General::Rax, 0xFFFF_FFFF),
            ],
            ..Left::NEW
        },
        ..Case::NEW
    };
}

mod strings {
    use super::*;
    act! {
        name: "ports.strings",
        set: ["lea rdi, [rip + {items}]", "mov rsi, rdi"],
        armed: ["mov edx, 0x6D78", "mov ecx, 3"],
        act: [
            "rep insw", "mov ebx, ecx", "insd", "outsb", "outsw", "mov ecx, 2", "rep outsd", "lea rdx, [rip + {items}]",
            "sub rdi, rdx", "sub rsi, rdx", "rep insb", "mov edx, 0", "push 2", "popfq"
        ],
        items = sym ITEMS,
    }
    pub(super) const CASE: Case = Case {
        name: "strings",
        rule: "REP INSW, INSD, OUTSB, OUTSW and REP OUTSD: RDI and RSI are further by the items' sizes; a count of 0 does nothing.",
        flags: CaseFlags::CONFORMANCE,
        prepare: clear,
        act: ACT,
        left: &Left {
            general: &[
                (General::Rbx, 0),
                (General::Rcx, 0),
                (General::Rdx, 0),
                (General::Rdi, 10),
                (General::Rsi, 11),
            ],
            ..Left::NEW
        },
        results: &[
            Check { expected: u64::MAX, read: || ITEMS[0].load(Relaxed) },
            Check { expected: 0xFFFF, read: || ITEMS[1].load(Relaxed) },
        ],
        ..Case::NEW
    };
}

mod strings_short {
    use super::*;
    act! {
        name: "ports.strings-short",
        set: ["lea rdi, [rip + {items} + 8]", "lea rsi, [rip + {items} + 8]"],
        armed: ["mov edx, 0x6D78", "bts rdi, 40", "bts rsi, 41", "movabs rcx, 0x300000002", "push 0x402", "popfq"],
        act: [
            "addr32 rep insb", "mov rbx, rcx", "addr32 outsd", "lea rdx, [rip + {items}]",
            "sub rdi, rdx", "sub rsi, rdx", "mov ecx, 0", "mov edx, 0", "push 2", "popfq"
        ],
        items = sym ITEMS,
    }
    pub(super) const CASE: Case = Case {
        name: "strings-short",
        rule: "REP INSB and OUTSD with addresses of 32 bits and RFLAGS.DF: backwards, ECX counts, the upper halves become 0.",
        flags: CaseFlags::CONFORMANCE,
        prepare: clear,
        act: ACT,
        left: &Left {
            general: &[
                (General::Rbx, 0),
                (General::Rcx, 0),
                (General::Rdx, 0),
                (General::Rdi, 6),
                (General::Rsi, 4),
            ],
            ..Left::NEW
        },
        results: &[
            Check { expected: 0xFF00_0000_0000_0000, read: || ITEMS[0].load(Relaxed) },
            Check { expected: 0xFF, read: || ITEMS[1].load(Relaxed) },
        ],
        ..Case::NEW
    };
}

/// A TSS of this limit in place of the usual one. Its permission map begins at 0x68; ports from 0x6D00 on have these
/// bits in it.
fn map(limit: u64, bits: u32) {
    // The same TSS, not busy.
    set_descriptor(0x48, (descriptor(0x30) & !0xFFFF | limit) & !(1 << 41));
    set_descriptor(0x50, descriptor(0x38));
    // SAFETY: the page belongs to the processor, and nothing refers to it.
    unsafe { (TSS.start().plus(0x68 + 0xDA0).value() as *mut u32).write_volatile(bits) }
    route(13, 1, IST_FRAME);
}

/// #GP(0) in ring 3, so many bytes after the act's first instruction, with EDX the port; its handler returns after the
/// `LENGTH` bytes of the instruction.
const fn refused<const LENGTH: u64>(bytes: u64, general: &'static [(General, u64)]) -> Event {
    Event {
        vector: 13,
        rip: Rip::Plus(bytes),
        cs: USER_CS,
        rsp: Stack::User,
        ss: user_ss_slot(HARDWARE_EXCEPTION, 13),
        csl: 0,
        entry: 0,
        idt_frame_bytes: 48,
        general,
        handler: Some(skip::<LENGTH>),
        returns: Return::Frame,
        ..Event::NEW
    }
}
/// The last one.
const fn last(bytes: u64, general: &'static [(General, u64)]) -> Event {
    Event { returns: Return::Next, ..refused::<0>(bytes, general) }
}

/// A case in ring 3 with a TSS of its own at 0x48. Under the IDT the page of the TSS serves as a stop.
macro_rules! mapped {
    ($module:ident, $name:literal, $act:literal, $rule:literal, [$($line:literal),*], $prepare:expr, $events:expr) => {
        mod $module {
            use super::*;
            act_ring3! { name: $act, set: ["mov ecx, 0x48", "ltr cx"], act: [$($line),*], }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: Needs::USER.union(Needs::FRED),
                flags: CaseFlags::USER,
                prepare: $prepare,
                act: ACT,
                events: $events,
                ..Case::NEW
            };
        }
    };
}

mapped! {
    map, "map-bits", "ports.map-bits",
    "Ports 0x6D00, 3, 7 and 0x6D18 denied: OUT of 1, 2 and 4 bytes at and around them, also across two bytes of the map.",
    // 5 bytes, then 4 for the port in DX where it changes, 1 for OUT, 2 for OUT of 16 bits.
    [
        "mov edx, 0x6D00", "out dx, al", "mov dl, 1", "out dx, al", "out dx, ax", "mov dl, 2", "out dx, ax", "mov dl, 3",
        "out dx, al", "mov dl, 4", "out dx, ax", "out dx, eax", "mov dl, 5", "out dx, ax", "mov dl, 9", "out dx, eax",
        "mov dl, 0x17", "out dx, al", "out dx, ax", "mov dl, 0x14", "out dx, eax", "mov dl, 0x15", "out dx, eax"
    ],
    || map(0xFFF, 0x0100_0089),
    &[
        refused::<1>(5, &[(General::Rdx, 0x6D00)]),
        refused::<2>(13, &[(General::Rdx, 0x6D02)]),
        refused::<1>(17, &[(General::Rdx, 0x6D03)]),
        refused::<1>(22, &[(General::Rdx, 0x6D04)]),
        refused::<2>(33, &[(General::Rdx, 0x6D17)]),
        last(40, &[(General::Rdx, 0x6D15)])
    ]
}
mapped! {
    map_limit, "map-limit", "ports.map-limit",
    "A map that ends with the TSS's limit: the last port whose next byte is inside is allowed, the one after it #GP(0).",
    ["mov edx, 0x6D07", "out dx, al", "mov dl, 8", "out dx, al"],
    || map(0x68 + 0xDA1, 0),
    &[last(8, &[(General::Rdx, 0x6D08)])]
}
mapped! {
    tss_limit, "tss-limit", "ports.tss-limit",
    "A TSS whose limit is below the base of its map: no port is allowed.",
    ["mov edx, 0x6D00", "out dx, al"],
    || map(0x66, 0),
    &[last(5, &[(General::Rdx, 0x6D00)])]
}

mod iopl {
    use super::*;
    act_ring3! {
        name: "ports.iopl", cs: "0x2B", ss: "0x23", rflags: "0x3002", set: [],
        act: ["mov edx, 0x6D78", "out dx, al", "push 0x3202", "popfq", "pushfq", "pop rbx", "cli"],
    }
    pub(super) const CASE: Case = Case {
        name: "iopl",
        rule: "Ring 3 with IOPL 3: OUT, POPF with IF and CLI raise nothing. POPF sets IF, CLI clears it.",
        // ERETU returns to no IOPL but 0.
        needs: Needs::USER.union(Needs::IDT),
        flags: CaseFlags::USER,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[Event {
            vector: 6,
            rip: Rip::After,
            rflags: RFLAGS | RF | 0x3000,
            ss: user_ss_slot(HARDWARE_EXCEPTION, 6),
            idt_frame_bytes: 40,
            idt_entry_rflags: RFLAGS | 0x3000,
            ..last(0, &[(General::Rbx, 0x3202), (General::Rdx, 0x6D78)])
        }],
        ..Case::NEW
    };
}

mod unmapped {
    use super::*;
    act_ring3! {
        name: "ports.unmapped", cs: "0x2B", ss: "0x23", rflags: "0x3002", set: ["movabs rdi, 0x8000001A58"],
        act: ["mov edx, 0x6D78", "insb"],
    }
    pub(super) const CASE: Case = Case {
        name: "unmapped",
        rule: "INSB in ring 3 with IOPL 3 to a page that is not mapped: #PF, W and U, RDI stays.",
        needs: Needs::USER.union(Needs::IDT),
        flags: CaseFlags::USER,
        act: ACT,
        events: &[Event {
            vector: 14,
            error_code: PFERR_WRITE | PFERR_USER,
            event_data: 0x0000_0080_0000_1A58,
            rflags: RFLAGS | RF | 0x3000,
            ss: user_ss_slot(HARDWARE_EXCEPTION, 14),
            idt_entry_rflags: RFLAGS | 0x3000,
            ..last(5, &[(General::Rdx, 0x6D78)])
        }],
        registers: Registers { cr2: 0x0000_0080_0000_1A58, ..RESTING },
        ..Case::NEW
    };
}
