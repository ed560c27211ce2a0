//! Gates of the IDT that cannot be used: the fault that the delivery meets, and its error code.
//!
//! Rule: a vector beyond the IDT's limit, or whose descriptor is no interrupt or trap gate, is #GP with the vector in its error
//! code; an absent gate #NP. A null selector in the gate is #GP(EXT); a handler's segment beyond the GDT, that is no code, has a
//! DPL above the CPL, or is not 64-bit code is #GP with its selector, an absent one #NP. An address that is not canonical is
//! #GP(EXT). EXT is 1 unless INT n, INT3 or INTO asked for the event. A trap gate leaves IF alone (SDM vol. 2, "INT n",
//! operation; vol. 3 ch. 7, "Error Code", "Exception and interrupt handling in 64-bit mode"). Without an IST a delivery from
//! ring 3 takes RSP0 of the TSS.
//!
//! Not here: FRED, which has no gates.
//!
//! Known bugs that fail it: EXT lost with the error code of an exception that interrupts a delivery; the exception that was
//! met taken for one that the guest raised itself, so that the first one is delivered again.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use guest::layout::{IDT, TSS};
use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "gates",
    rule: "A gate of the IDT that cannot be used is #GP or #NP, whose error code names it or its segment, and EXT.",
    spec: "SDM vol. 2 INT n; vol. 3 ch. 7 error code, IDT",
    cases: [
        gate::CASE, segment::CASE, other_segment::CASE, int_n::CASE, trap::CASE, conforming::CASE, rsp0::CASE,
    ],
}

/// An interrupt gate: P, DPL 3, type 14.
const INTERRUPT_GATE: u64 = 0xEE;
/// A trap gate.
const TRAP_GATE: u64 = 0xEF;
/// Ring-0 code of 32 bits.
const CODE_32: u64 = 0x00CF_9A00_0000_FFFF;
/// Ring-0 code of 64 bits, with D/B set as well.
const CODE_BOTH: u64 = 0x00EF_9A00_0000_FFFF;
/// Ring-0 code, 64-bit, not present.
const CODE_ABSENT: u64 = 0x00AF_1A00_0000_FFFF;
/// Conforming ring-0 code, 64-bit.
const CONFORMING: u64 = 0x00AF_9E00_0000_FFFF;

/// The gate of a vector: its attributes, its selector, bits 63:32 of its handler's address. Inlined at each call
/// it would make the image too large.
#[inline(never)]
fn gate(vector: u8, attributes: u64, selector: u64, high: u64) {
    route(vector, 1, IST_FRAME);
    let gate = (IDT.start().value() + 16 * u64::from(vector)) as *mut [u64; 2];
    // SAFETY: only the processor reads the page, and `route` has the gate restored after the case.
    unsafe {
        let [low, _] = gate.read_volatile();
        let low = low & !0x0000_FF00_FFFF_0000 | attributes << 40 | selector << 16;
        gate.write_volatile([low, high]);
    }
}

/// Where #GP and #NP go.
fn prepare() {
    route(11, 1, IST_FRAME);
    route(13, 1, IST_FRAME);
}

/// #GP that the delivery meets, whose handler changes the gate and returns to the instruction.
const MET: Event = Event { ss: ss_slot(HARDWARE_EXCEPTION, 13) | SS_NESTED, returns: Return::Frame, ..GP };
/// The same for #NP.
const NP_MET: Event = Event { vector: 11, ss: ss_slot(HARDWARE_EXCEPTION, 11) | SS_NESTED, ..MET };

/// A case of an instruction whose event's gate cannot be used.
macro_rules! unusable {
    (
        $module:ident, $name:literal, $act:literal, $rule:literal, $instruction:literal, prepare: $prepare:expr,
        events: $events:expr,
    ) => {
        mod $module {
            use super::*;
            act! { name: $act, set: [], armed: [], act: [$instruction], }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: Needs::IDT,
                flags: CaseFlags::TOUCHES_GDT,
                prepare: $prepare,
                act: ACT,
                events: $events,
                ..Case::NEW
            };
        }
    };
}

unusable! {
    gate, "gate", "gates.gate",
    "#UD by a gate that is a call gate, data, absent: #GP(0x33), #NP(0x33); by one with a null selector, of a RIP not canonical: #GP(1).",
    "ud2",
    prepare: || {
        prepare();
        gate(6, 0xEC, 0x08, 0);
    },
    events: &[
        Event { error_code: 0x33, handler: Some(|_| gate(6, 0xF2, 0x08, 0)), ..MET },
        Event { error_code: 0x33, handler: Some(|_| gate(6, 0xFE, 0x08, 0)), ..MET },
        Event { error_code: 0x33, handler: Some(|_| gate(6, 0x6E, 0x08, 0)), ..MET },
        Event { error_code: 0x33, handler: Some(|_| gate(6, INTERRUPT_GATE, 0x03, 0)), ..NP_MET },
        Event { error_code: 1, handler: Some(|_| gate(6, INTERRUPT_GATE, 0x08, 0x8000)), ..MET },
        Event { error_code: 1, returns: Return::Next, ..MET },
    ],
}
unusable! {
    segment, "segment", "gates.segment",
    "#UD by a gate to data, beyond the GDT, to ring 3's code, to 32-bit code, to an absent one: #GP and #NP with selector and EXT.",
    "ud2",
    prepare: || {
        prepare();
        set_descriptor(0x48, CODE_32);
        gate(6, INTERRUPT_GATE, 0x10, 0);
    },
    events: &[
        Event { error_code: 0x11, handler: Some(|_| gate(6, INTERRUPT_GATE, 0x60, 0)), ..MET },
        Event { error_code: 0x61, handler: Some(|_| gate(6, INTERRUPT_GATE, 0x2B, 0)), ..MET },
        Event { error_code: 0x29, handler: Some(|_| gate(6, INTERRUPT_GATE, 0x48, 0)), ..MET },
        Event { error_code: 0x49, handler: Some(|_| set_descriptor(0x48, CODE_BOTH)), ..MET },
        Event { error_code: 0x49, handler: Some(|_| set_descriptor(0x48, CODE_ABSENT)), ..MET },
        Event { error_code: 0x49, returns: Return::Next, ..NP_MET },
    ],
}
unusable! {
    int_n, "int-n", "gates.int-n",
    "INT 31 by an absent gate, by one with a null selector, to data, and INT 32, beyond the limit: EXT is 0.",
    ".byte 0xCD, 0x1F, 0xCD, 0x20",
    prepare: || {
        prepare();
        gate(31, 0x6E, 0x08, 0);
    },
    events: &[
        Event { error_code: 0xFA, handler: Some(|_| gate(31, INTERRUPT_GATE, 0, 0)), ..NP_MET },
        Event { handler: Some(|_| gate(31, INTERRUPT_GATE, 0x10, 0)), ..MET },
        Event {
            error_code: 0x10,
            handler: Some(skip::<2>),
            ..MET
        },
        Event { error_code: 0x102, rip: Rip::Plus(2), returns: Return::Next, ..MET },
    ],
}

/// CS in a handler.
static SEEN: AtomicU64 = AtomicU64::new(0);

fn look_at_cs() {
    let cs: u64;
    // SAFETY: it reads a selector.
    unsafe { core::arch::asm!("mov {:r}, cs", out(reg) cs, options(nomem, nostack, preserves_flags)) }
    SEEN.store(cs, Relaxed);
}

mod other_segment {
    use super::*;
    act! { name: "gates.other-segment", set: [], armed: [], act: ["ud2"], }
    pub(super) const CASE: Case = Case {
        name: "other-segment",
        rule: "#UD by a gate to code of ring 0 at another selector, with an RPL: CS is that one with RPL 0, marked accessed.",
        needs: Needs::IDT,
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || {
            set_descriptor(0x48, 0x00AF_9A00_0000_FFFF);
            gate(6, INTERRUPT_GATE, 0x4B, 0);
        },
        act: ACT,
        events: &[Event { handler: Some(|_| look_at_cs()), ..UD }],
        results: &[
            Check { expected: 0x00AF_9B00_0000_FFFF, read: || descriptor(0x48) },
            Check { expected: 0x48, read: || SEEN.load(Relaxed) },
        ],
        ..Case::NEW
    };
}

mod trap {
    use super::*;
    act! { name: "gates.trap", set: [], armed: ["push 0x202", "popfq"], act: [".byte 0xCD, 0x1F"], }
    pub(super) const CASE: Case = Case {
        name: "trap",
        rule: "INT 31 by a trap gate: IF stays 1.",
        needs: Needs::IDT,
        prepare: || gate(31, TRAP_GATE, 0x08, 0),
        act: ACT,
        events: &[Event {
            vector: 31,
            rip: Rip::After,
            rflags: RFLAGS | IF,
            ss: ss_slot(SOFTWARE_INTERRUPT, 31) | SS_SOFTWARE | ss_length(2),
            idt_entry_rflags: RFLAGS | IF,
            ..Event::NEW
        }],
        ..Case::NEW
    };
}

mod conforming {
    use super::*;
    act! { name: "gates.conforming", set: [], armed: [], act: ["ud2"], }
    pub(super) const CASE: Case = Case {
        name: "conforming",
        rule: "#UD in ring 0 by a gate to conforming code: the handler is entered, CS marked accessed.",
        needs: Needs::IDT,
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || {
            set_descriptor(0x48, CONFORMING);
            gate(6, INTERRUPT_GATE, 0x48, 0);
        },
        act: ACT,
        events: &[UD],
        results: &[Check { expected: CONFORMING | 1 << 40, read: || descriptor(0x48) }],
        ..Case::NEW
    };
}

/// RSP0 of the TSS, which nothing else of this image uses.
fn set_rsp0(top: u64) {
    // SAFETY: at offset 4 of the TSS, which only the processor reads.
    unsafe { ((TSS.start().value() + 4) as *mut u64).write_unaligned(top) }
}

mod rsp0 {
    use super::*;
    act_ring3! { name: "gates.rsp0", set: [], act: ["ud2"], }
    pub(super) const CASE: Case = Case {
        name: "rsp0",
        rule: "#UD in ring 3 by a gate without an IST: the stack is RSP0 of the TSS, aligned to 16 bytes.",
        needs: Needs::IDT.union(Needs::USER),
        flags: CaseFlags::USER,
        prepare: || {
            route(6, 1, 0);
            set_rsp0(FRAME_TOP.value() - 8);
        },
        act: ACT,
        events: &[Event {
            cs: USER_CS,
            rsp: Stack::User,
            ss: user_ss_slot(HARDWARE_EXCEPTION, 6),
            csl: 0,
            entry: 0,
            idt_top: Top::Frame(0x10),
            ..UD
        }],
        ..Case::NEW
    };
}
