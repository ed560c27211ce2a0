//! Translations that are used a second time, after the page, the register or the ring that decides has changed.
//!
//! Rule: a page that was read gets its dirty flag by the first write, and a write that its entry does not allow faults,
//! whatever was read before. INVLPG and MOV to CR3 make the processor read the entry again; MOV to CR0 and CR4 changes
//! what WP, SMEP and SMAP allow at once (SDM vol. 3 ch. 5, "Accessed and Dirty Flags", "Determination of Access Rights",
//! "Caching Translation Information"; ch. 7, interrupt 14).
//!
//! Known bugs that fail it: a dirty flag that a shadow MMU does not set because the page was mapped by a read
//! (FNAME(update_accessed_dirty_bits) of KVM); shadow pages kept over a change of CR0.WP, SMEP or SMAP
//! (kvm_post_set_cr0, kvm_post_set_cr4).
#![no_std]
#![no_main]

use guest::layout::OWN_TABLES;
use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "reuse",
    rule: "What a page allows is looked at anew when its entry, a control register or the ring has changed.",
    spec: "SDM vol. 3 ch. 5 dirty flags, caching; ch. 7 interrupt 14",
    cases: [
        write_after_read::CASE, read_only_after_read::CASE, invlpg::CASE, cr3::CASE, unmapped::CASE, write_protect::CASE,
        smap::CASE, smep::CASE, ring3::CASE, ring3_read_only::CASE,
        straddling::CASE,
    ],
}

/// Where data is accessed on the case's own page.
const DATA: u64 = 0x0000_0180_0000_0A58;
/// Where code is fetched from.
const CODE: u64 = 0x0000_0180_0000_0300;
/// An entry above the last level.
const TABLE: u64 = P | W | U | A;
/// A read has come before, of this quadword.
const READ: &[(General, u64)] = &[(General::Rbx, 0x5A5A)];
/// CR2 after a fault at [`DATA`].
const DATA_FAULTED: Registers = Registers { cr2: DATA, ..RESTING };

/// The page's own entry has `flags`, none of them accessed or dirty; the quadword at [`DATA`] is 0x5A5A.
fn page(flags: u64) {
    paging::set_own([TABLE, TABLE, TABLE, flags]);
    paging::set_window(0xA58, 0x5A5A);
}

/// Bits 11:0 of the entry that maps the page.
fn entry() -> u64 {
    paging::own() & 0xFFF
}

/// A case that raises nothing. RSI is the entry that maps the page, RDI an address on it.
macro_rules! allowed {
    ($module:ident, $name:literal, $act:literal, $rule:literal, [$($line:literal),*], general: [$($general:expr),*]) => {
        mod $module {
            use super::*;
            act! {
                name: $act,
                set: ["movabs rdi, 0x18000000A58", "lea rsi, [rip + {tables} + 0x2000]", "mov rcx, cr3"],
                armed: [],
                act: [$($line,)* "mov ecx, 0", "push 2", "popfq"],
                tables = sym OWN_TABLES,
            }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                flags: CaseFlags::CONFORMANCE,
                prepare: || page(P | W),
                act: ACT,
                left: &Left { general: &[$($general,)* (General::Rcx, 0)], ..Left::NEW },
                results: &[Check { expected: P | W | A | D, read: entry }],
                ..Case::NEW
            };
        }
    };
}

allowed! {
    write_after_read, "write-after-read", "reuse.write-after-read",
    "A read, then a write: A and D in the entry.",
    ["mov rbx, [rdi]", "mov [rdi], rbx"], general: [(General::Rbx, 0x5A5A)]
}
allowed! {
    invlpg, "invlpg", "reuse.invlpg",
    "A write, D cleared in the entry, INVLPG of the page, a write: D is set again.",
    ["mov [rdi], rbx", "and qword ptr [rsi], -0x41", "invlpg [rdi]", "mov [rdi], rbx"], general: []
}
allowed! {
    cr3, "cr3", "reuse.cr3",
    "A write, A and D cleared in the entry, MOV of the same to CR3, a write: both are set again.",
    ["mov [rdi], rbx", "and qword ptr [rsi], -0x61", "mov cr3, rcx", "mov [rdi], rbx"], general: []
}

/// A #PF of ring 0 at [`DATA`], whose handler does not return there.
macro_rules! refused {
    (
        $module:ident, $name:literal, $act:literal, $rule:literal, needs: $needs:expr, set: [$($set:literal),*],
        act: [$($line:literal),*], $prepare:expr, $event:expr
    ) => {
        mod $module {
            use super::*;
            act! {
                name: $act,
                set: [$($set,)* "movabs rdi, 0x18000000A58", "lea rsi, [rip + {tables} + 0x2000]"],
                armed: [],
                act: [$($line),*],
                tables = sym OWN_TABLES,
            }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: $needs,
                prepare: $prepare,
                act: ACT,
                events: &[Event { event_data: DATA, general: READ, ..$event }],
                registers: DATA_FAULTED,
                // The first access comes after `Armed`.
                cancel: Cancel::No,
                ..Case::NEW
            };
        }
    };
}

refused! {
    read_only_after_read, "read-only-after-read", "reuse.read-only-after-read",
    "A read of a read-only page, then a write: 0x3.",
    needs: Needs::empty(), set: [],
    // 3 bytes each.
    act: ["mov rbx, [rdi]", "mov [rdi], rbx"],
    || page(P),
    Event { error_code: PFERR_PRESENT | PFERR_WRITE, rip: Rip::Plus(3), ..PF }
}
refused! {
    unmapped, "unmapped", "reuse.unmapped",
    "A read, P cleared in the entry, INVLPG, a read: 0x0.",
    needs: Needs::empty(), set: [],
    // 3, 4 and 3 bytes.
    act: ["mov rbx, [rdi]", "btr qword ptr [rsi], 0", "invlpg [rdi]", "mov rcx, [rdi]"],
    || page(P | W),
    // BTR has found a 1.
    Event { rip: Rip::Plus(11), rflags: RFLAGS | RF | 1, idt_entry_rflags: RFLAGS | 1, ..PF }
}
refused! {
    write_protect, "write-protect", "reuse.write-protect",
    "CR0.WP = 0, a read of a read-only page and a write, which is done; CR0.WP = 1 and a write: 0x3.",
    needs: Needs::empty(), set: ["mov rcx, cr0", "bts rcx, 16"],
    // 3 bytes each.
    act: ["mov rbx, [rdi]", "mov [rdi], rbx", "mov cr0, rcx", "mov [rdi], rbx"],
    || {
        page(P);
        set_control(|cr0| cr0 & !WP, 0);
    },
    Event { error_code: PFERR_PRESENT | PFERR_WRITE, rip: Rip::Plus(9), ..PF }
}
refused! {
    smap, "smap", "reuse.smap",
    "A read of a page of ring 3; CR4.SMAP is set, and a read: 0x1.",
    needs: Needs::SMAP, set: ["mov rcx, cr4", "bts rcx, 21"],
    // 3 bytes each.
    act: ["mov rbx, [rdi]", "mov cr4, rcx", "mov rbx, [rdi]"],
    || {
        page(P | W | U);
        set_control(|cr0| cr0, 0);
    },
    Event { error_code: PFERR_PRESENT, rip: Rip::Plus(6), ..PF }
}

mod smep {
    use super::*;
    act! {
        name: "reuse.smep",
        set: ["movabs rdi, 0x18000000300", "lea rsi, [rip + 55f]", "mov rcx, cr4", "bts rcx, 20"],
        armed: [],
        act: ["jmp rdi", "55:", "mov cr4, rcx", "jmp rdi"],
    }
    pub(super) const CASE: Case = Case {
        name: "smep",
        rule: "A fetch from a page of ring 3; CR4.SMEP is set, and a fetch: 0x11.",
        needs: Needs::SMEP,
        prepare: || {
            page(P | U);
            // JMP RSI.
            paging::set_window(0x300, 0xE6FF);
            set_control(|cr0| cr0, 0);
        },
        act: Act { act: Address::new(CODE), ..ACT },
        events: &[Event { error_code: PFERR_PRESENT | PFERR_FETCH, event_data: CODE, ..PF }],
        registers: Registers { cr2: CODE, ..RESTING },
        cancel: Cancel::No,
        ..Case::NEW
    };
}

/// An event in ring 3.
const fn in_ring3(event: Event, vector: u64) -> Event {
    Event {
        rip: Rip::Plus(6),
        cs: USER_CS,
        rsp: Stack::User,
        ss: user_ss_slot(HARDWARE_EXCEPTION, vector),
        csl: 0,
        entry: 0,
        general: READ,
        ..event
    }
}

mod ring3 {
    use super::*;
    act_ring3! { name: "reuse.ring3", set: ["movabs rdi, 0x18000000A58"], act: ["mov rbx, [rdi]", "mov [rdi], rbx"], }
    pub(super) const CASE: Case = Case {
        name: "ring3",
        rule: "A read, then a write in ring 3: A and D in the entry. The #UD after them shows RBX.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || {
            page(P | W | U);
            route(6, 1, IST_FRAME);
        },
        act: ACT,
        events: &[in_ring3(UD, 6)],
        results: &[Check { expected: P | W | U | A | D, read: entry }],
        ..Case::NEW
    };
}

mod ring3_read_only {
    use super::*;
    // 3 bytes each, and 1.
    act_ring3! {
        name: "reuse.ring3-read-only", set: ["movabs rdi, 0x18000000A58"],
        act: ["mov rbx, [rdi]", "nop", "nop", "nop", "mov [rdi], rbx"],
    }
    pub(super) const CASE: Case = Case {
        name: "ring3-read-only",
        rule: "A read of a read-only page in ring 3, then a write: 0x7, D stays clear.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || page(P | U),
        act: ACT,
        events: &[Event {
            error_code: PFERR_PRESENT | PFERR_WRITE | PFERR_USER,
            event_data: DATA,
            ..in_ring3(PF, 14)
        }],
        registers: DATA_FAULTED,
        results: &[Check { expected: P | U | A, read: entry }],
        ..Case::NEW
    };
}

mod straddling {
    use super::*;
    // Two windows, which show the same memory.
    act! {
        name: "reuse.straddling",
        set: ["movabs rdi, 0x8000003FFD"],
        armed: [],
        act: ["mov rcx, [rdi]", "mov ebx, [rdi]", "movzx esi, word ptr [rdi + 2]", "mov [rdi], rdx", "mov [rdi + 1], bx"],
    }
    pub(super) const CASE: Case = Case {
        name: "straddling",
        rule: "Reads and writes of 8, 4 and 2 bytes over the end of a page: the rest is the next page's.",
        flags: CaseFlags::CONFORMANCE,
        prepare: || {
            paging::set_window(0xFF8, 0x1716_1514_1312_1110);
            paging::set_window(0, 0x2726_2524_2322_2120);
        },
        act: ACT,
        left: &Left {
            general: &[
                (General::Rcx, 0x2423_2221_2017_1615),
                (General::Rbx, 0x2017_1615),
                (General::Rsi, 0x2017),
            ],
            ..Left::NEW
        },
        results: &[
            // RDX is the doorbell's port, of which the second byte is overwritten, and the third by BX.
            Check { expected: 0x1615, read: || paging::window(0xFF8) >> 48 },
            Check { expected: 0x2726_2500_0000_0000, read: || paging::window(0) },
        ],
        ..Case::NEW
    };
}
