//! The same bytes in two modes, the same page from two rings, and code at the end of 4 GiB.
//!
//! Rule: bytes mean what the mode in which they are fetched makes of them, and a fetch has the rights of its own ring, whatever
//! was fetched from that page before. In compatibility mode RIP is 32 bits wide: what comes after the last byte is 0 (SDM vol. 1
//! ch. 3, "Operating Modes"; vol. 2 ch. 2, "REX Prefixes"; vol. 3 ch. 5, "Access Rights").
//!
//! Known bugs that fail it: translated code that is kept by its address alone (TCG has the mode and the ring among a block's
//! flags); a RIP of 33 bits that is pushed.
#![no_std]
#![no_main]

use guest::layout::{OWN_TABLES, PAGE, PAGE_TABLES, WINDOW_PAGE};
use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "modes",
    rule: "Code means what its mode and ring make of it, now; RIP of compatibility mode has 32 bits.",
    spec: "SDM vol. 1 ch. 3; vol. 2 ch. 2 REX; vol. 3 ch. 5",
    cases: [bytes::CASE, fetched::CASE, end_int_n::CASE, end_step::CASE],
}

/// An entry above the last level.
const TABLE: u64 = P | W | U | A;
/// A page of ring 3; of ring 0.
const USER_PAGE: u64 = TABLE | D;
const SUPERVISOR_PAGE: u64 = P | W | A | D;
/// Bit 57 of the SS slot: 64-bit code, which is not here.
const SS_LONG: u64 = 1 << 57;

mod bytes {
    use super::*;
    // INC RAX; REX.W is DEC EAX in 32-bit code.
    act! {
        name: "modes.bytes",
        set: [],
        armed: [
            "xor eax, eax", "call 50f", "mov rbx, rax", "push 0x48", "push offset \"modes.bytes.act\"", ".byte 0x48, 0xCB",
            "50:", ".byte 0x48, 0xFF, 0xC0, 0xC3", ".code32"
        ],
        act: ["call 50b", "mov ecx, eax", ".byte 0xEA", ".long \"modes.bytes.after\"", ".short 8", ".code64"],
        then: ["call 50b", "mov rsi, rax", "xor eax, eax", "push 2", "popfq"],
    }
    pub(super) const CASE: Case = Case {
        name: "bytes",
        rule: "48 FF C0 in 64-bit code, in 32-bit code, in 64-bit code: 1 is added, nothing, 1.",
        needs: Needs::IDT,
        flags: CaseFlags::CONFORMANCE,
        prepare: || set_descriptor(0x48, 0x00CF_9A00_0000_FFFF),
        act: ACT,
        left: &Left {
            general: &[(General::Rax, 0), (General::Rbx, 1), (General::Rcx, 1), (General::Rsi, 2)],
            ..Left::NEW
        },
        ..Case::NEW
    };
}

mod fetched {
    use super::*;
    act_ring3! { name: "modes.fetched", set: ["movabs rdi, 0x18000000040", "call rdi"], act: ["jmp rdi"], }
    const CODE: u64 = paging::OWN + 0x40;
    pub(super) const CASE: Case = Case {
        name: "fetched",
        rule: "Ring 0 executes a page of its own, then ring 3 jumps there: #PF, P, U and I.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || {
            // RET.
            paging::set_window(0x40, 0xC3);
            paging::set_own([TABLE, TABLE, TABLE, SUPERVISOR_PAGE]);
        },
        act: Act { act: Address::new(CODE), ..ACT },
        events: &[Event {
            error_code: PFERR_PRESENT | PFERR_USER | PFERR_FETCH,
            cs: USER_CS,
            rsp: Stack::User,
            ss: user_ss_slot(HARDWARE_EXCEPTION, 14),
            csl: 0,
            entry: 0,
            event_data: CODE,
            ..PF
        }],
        registers: Registers { cr2: CODE, ..RESTING },
        ..Case::NEW
    };
}

/// The last page below 4 GiB, which shows the memory of the windows, for ring 3.
fn map_end() {
    let own = |page: usize| OWN_TABLES.start().value() + (page * PAGE) as u64;
    let entries = [
        // Of the identity map's PDPT, of a PD, of a PT.
        (PAGE_TABLES.start().value() + PAGE as u64 + 3 * 8, own(1) | TABLE),
        (own(1) + 511 * 8, own(2) | TABLE),
        (own(2) + 511 * 8, WINDOW_PAGE.start().value() | USER_PAGE),
    ];
    for (place, entry) in entries {
        // SAFETY: entries of page tables, of places where nothing was mapped.
        unsafe { (place as *mut u64).write_volatile(entry) }
    }
}

/// From ring 3's 32-bit code, at RIP 0.
const AT_0: Event = Event { rip: Rip::At(0), cs: 0x1B, rsp: Stack::User, csl: 0, entry: 0, ..Event::NEW };

mod end_int_n {
    use super::*;
    act_ring3! {
        name: "modes.end-int-n", cs: "0x1B", ss: "0x23", rflags: "2",
        // RIP, above the error code.
        set: ["mov ecx, 0xFFFFFFFE", "mov [rsp + 8], rcx"], act: [],
    }
    pub(super) const CASE: Case = Case {
        name: "end-int-n",
        rule: "INT 31 in the last two bytes of 4 GiB, in compatibility mode: the saved RIP is 0.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || {
            map_end();
            paging::set_window(0xFF8, 0x1FCD << 48);
            route(31, 1, IST_FRAME);
        },
        act: Act { act: Address::new(0xFFFF_FFFE), ..ACT },
        events: &[Event {
            vector: 31,
            ss: user_ss_slot(SOFTWARE_INTERRUPT, 31) & !SS_LONG | SS_SOFTWARE | ss_length(2),
            rflags: RFLAGS,
            ..AT_0
        }],
        ..Case::NEW
    };
}

mod end_step {
    use super::*;
    act_ring3! {
        name: "modes.end-step", cs: "0x1B", ss: "0x23", rflags: "0x102",
        set: ["mov ecx, 0xFFFFFFFF", "mov [rsp + 8], rcx"], act: [],
    }
    pub(super) const CASE: Case = Case {
        name: "end-step",
        rule: "NOP in the last byte of 4 GiB with TF, in compatibility mode: a single step, RIP 0.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || {
            map_end();
            paging::set_window(0xFF8, 0x90 << 56);
        },
        act: Act { act: Address::new(0xFFFF_FFFF), ..ACT },
        events: &[Event {
            ss: user_ss_slot(HARDWARE_EXCEPTION, 1) & !SS_LONG,
            vector: 1,
            rflags: RFLAGS | TF,
            event_data: BS,
            ..AT_0
        }],
        registers: Registers { dr6: DR6 | BS, ..RESTING },
        ..Case::NEW
    };
}
