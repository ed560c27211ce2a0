//! Data breakpoints, part two: on addresses that are not aligned, and met by I/O, strings and large operands.
//!
//! Rule: LEN masks the low bits of the address in DR0 to DR3. INS writes memory and OUTS reads it: both meet data breakpoints, and
//! trap when the item, or the iteration, is done. So do LODS, and FXSAVE, whichever byte of the 512 is watched (SDM vol. 3 ch. 19,
//! "Breakpoint field recognition", "Data memory and I/O breakpoint exception conditions"). With CR4.DE, R/W 10 watches ports, and
//! memory at the same address not; any byte of an operand meets it.
//!
//! Known bugs that fail it: I/O breakpoints, which a hypervisor that completes IN and OUT does not look for; INS and OUTS that a hypervisor completes, whose accesses to memory are its own and meet no breakpoint
//! (emulator_pio_in_out of KVM); an address that is compared without LEN's mask.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "watchx",
    rule: "LEN masks a breakpoint's address, and what reads or writes memory besides a move meets it too.",
    spec: "SDM vol. 3 ch. 19 breakpoint field recognition, data breakpoints",
    cases: [
        aligned::CASE, insb::CASE, iteration::CASE, outsb::CASE, lodsb::CASE, fxsave::CASE,
        input::CASE, output::CASE, input_string::CASE,
    ],
}

/// What is watched, on a page that is mapped.
const WATCHED: u64 = 0x0000_0080_0000_4808;
/// A port that nothing answers at: it reads as ones.
const PORT: u64 = 0x6D78;

/// DR7.R/W0 and LEN0: a write of 1 byte.
const WRITE_1: u64 = 0b0001 << 16;
/// A write of 4 bytes.
const WRITE_4: u64 = 0b1101 << 16;
/// A read or write of 1 byte.
const ACCESS_1: u64 = 0b0011 << 16;

/// R/W 10 with CR4.DE, which is set: IN and OUT at ports, 1 byte.
const IO_1: u64 = 0b0010 << 16;
/// The same, 2 bytes.
const IO_2: u64 = 0b0110 << 16;

/// The trap of breakpoint 0.
const TRAP: Event = Event { rflags: RFLAGS, event_data: B0, ..SINGLE_STEP };

/// A case of one trap.
macro_rules! watched {
    (
        $module:ident, $name:literal, $act:literal, $rule:literal, $address:expr, $kind:expr,
        set: [$($set:literal),*], armed: [$($armed:literal),*], act: [$($line:literal),*], $event:expr, [$($check:expr),*]
    ) => {
        mod $module {
            use super::*;
            act! { name: $act, set: [$($set),*], armed: [$($armed),*], act: [$($line),*], }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                prepare: || {
                    paging::set_window(0x808, 0);
                    set_dr0($address);
                    set_dr7(DR7 | L0 | $kind);
                },
                act: ACT,
                events: &[$event],
                registers: Registers { dr6: DR6 | B0, dr7: DR7 | L0 | $kind, ..RESTING },
                results: &[$($check),*],
                ..Case::NEW
            };
        }
    };
}

watched! {
    aligned, "aligned", "watchx.aligned",
    "4 bytes, and an address whose low bits are 11: no trap for the byte after the aligned four, one for the first of them.",
    WATCHED + 3, WRITE_4,
    set: ["movabs rdi, 0x8000004808"], armed: [], act: ["mov [rdi + 4], bl", "mov [rdi], bl"],
    TRAP, []
}
watched! {
    insb, "insb", "watchx.insb",
    "INSB to a byte that is watched: a trap after it, and the byte is read by then.",
    WATCHED, WRITE_1,
    set: ["movabs rdi, 0x8000004808"], armed: ["mov edx, 0x6D78"], act: ["insb"],
    Event { general: &[(General::Rdx, PORT), (General::Rdi, WATCHED + 1)], ..TRAP },
    [Check { expected: 0xFF, read: || paging::window(0x808) }]
}
watched! {
    iteration, "iteration", "watchx.iteration",
    "REP INSB whose second of three iterations meets it, downwards: a trap after that one, RCX is 1.",
    WATCHED, WRITE_1,
    set: ["movabs rdi, 0x8000004809", "mov ecx, 3"], armed: ["mov edx, 0x6D78", "std"], act: ["rep insb"],
    Event {
        rip: Rip::Act,
        rflags: RFLAGS | RF | DF,
        rflags_open: RF,
        idt_entry_rflags: RFLAGS | DF,
        general: &[(General::Rdx, PORT), (General::Rcx, 1), (General::Rdi, WATCHED - 1)],
        ..TRAP
    },
    [Check { expected: 0xFFFF, read: || paging::window(0x808) }]
}
watched! {
    outsb, "outsb", "watchx.outsb",
    "OUTSB of a byte whose reads are watched: a trap after it.",
    WATCHED, ACCESS_1,
    set: ["movabs rsi, 0x8000004808"], armed: ["mov edx, 0x6D78"], act: ["outsb"],
    Event { general: &[(General::Rdx, PORT), (General::Rsi, WATCHED + 1)], ..TRAP }, []
}
watched! {
    lodsb, "lodsb", "watchx.lodsb",
    "LODSB of a byte whose reads are watched: a trap after it.",
    WATCHED, ACCESS_1,
    set: ["movabs rsi, 0x8000004808"], armed: ["mov eax, 0x1FF"], act: ["lodsb"],
    Event { general: &[(General::Rax, 0x100), (General::Rsi, WATCHED + 1)], ..TRAP }, []
}
watched! {
    fxsave, "fxsave", "watchx.fxsave",
    "FXSAVE of 512 bytes, of which it writes one that is watched: a trap after it.",
    WATCHED, WRITE_1,
    set: ["movabs rdi, 0x8000004760"], armed: [], act: ["fxsave64 [rdi]"],
    TRAP, []
}
watched! {
    input, "input", "watchx.input",
    "A port is watched: no trap for a read of memory at the same address, one after IN, which has read by then.",
    PORT, IO_1,
    set: ["mov edi, 0x6D78"], armed: ["mov edx, 0x6D78", "mov eax, 0x100"], act: ["mov cl, [rdi]", "mov ecx, 0", "in al, dx"],
    Event { general: &[(General::Rax, 0x1FF), (General::Rdx, PORT), (General::Rcx, 0)], ..TRAP }, []
}
watched! {
    output, "output", "watchx.output",
    "Two ports are watched, as LEN says: no trap for OUT of one byte below and above them, one for OUT of four from below.",
    PORT + 1, IO_2,
    set: [],
    armed: ["mov eax, 0"],
    act: ["mov edx, 0x6D77", "out dx, al", "mov edx, 0x6D7A", "out dx, al", "mov edx, 0x6D76", "out dx, eax"],
    Event { general: &[(General::Rax, 0), (General::Rdx, PORT - 2)], ..TRAP }, []
}
watched! {
    input_string, "input-string", "watchx.input-string",
    "REP INSB of two from a port that is watched: a trap after the first iteration, RCX is 1.",
    PORT, IO_1,
    set: ["movabs rdi, 0x8000004808", "mov ecx, 2"], armed: ["mov edx, 0x6D78"], act: ["rep insb"],
    Event {
        rip: Rip::Act,
        rflags: RFLAGS | RF,
        rflags_open: RF,
        general: &[(General::Rdx, PORT), (General::Rcx, 1), (General::Rdi, WATCHED + 1)],
        ..TRAP
    },
    [Check { expected: 0xFF, read: || paging::window(0x808) }]
}
