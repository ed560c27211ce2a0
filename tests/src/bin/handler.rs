//! Where a handler of the IDT runs that a gate leads to without an IST: at whose level, and on which stack.
//!
//! Rule: a handler in conforming code runs at the level of what it interrupts, and so on the same stack; so does one of ring 0
//! that interrupts ring 0. In 64-bit mode that stack is aligned to 16 bytes before anything is pushed (SDM vol. 3 ch. 7, "Stack
//! Switching in IA-32e Mode", "64-Bit Mode Stack Frame"; ch. 6, "Privilege Level Checking for Accessing Code Segments").
//!
//! The first event of each case comes by an IST; the second is the one it is about.
//!
//! Known bugs that fail it: a frame below the interrupted RSP as it is (a software delivery that aligns IST's stacks alone); a
//! handler that gets the DPL of its segment as its CPL.
#![no_std]
#![no_main]

use guest::layout::IDT;
use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "handler",
    rule: "A handler in conforming code stays at the interrupted level; without a new stack RSP is aligned to 16 bytes.",
    spec: "SDM vol. 3 ch. 7 64-bit mode stack frame; ch. 6",
    cases: [conforming_ring3::CASE, own_stack::CASE],
}

/// Conforming ring-0 code, 64-bit.
const CONFORMING: u64 = 0x00AF_9E00_0000_FFFF;

/// The gate of INT 31: an interrupt gate with DPL 3, no IST, to selector 0x48.
fn set_gate(handler: u64) {
    route(31, 1, IST_FRAME);
    let gate = (IDT.start().value() + 16 * 31) as *mut [u64; 2];
    let low = handler & 0xFFFF | 0x48 << 16 | 0xEE << 40 | (handler >> 16 & 0xFFFF) << 48;
    // SAFETY: only the processor reads the page, and `route` has the gate restored after the case.
    unsafe { gate.write_volatile([low, handler >> 32]) }
}

mod conforming_ring3 {
    use super::*;
    act_ring3! {
        name: "handler.conforming-ring3",
        set: ["movabs rdi, 0x8000001A58"],
        // 3, 2, 2 and 5 bytes before UD2.
        act: ["mov rbx, [rdi]", ".byte 0xCD, 0x1F", "mov ebx, cs", "lea rsp, [rsp + 48]", "ud2"],
    }
    const RING3: Event = Event { cs: USER_CS, rsp: Stack::User, csl: 0, entry: 0, ..PF };
    pub(super) const CASE: Case = Case {
        name: "conforming-ring3",
        rule: "INT 31 in ring 3 by a gate to conforming code: the handler runs in ring 3, on its stack, aligned to 16 bytes.",
        needs: Needs::IDT.union(Needs::USER),
        flags: CaseFlags::USER.union(CaseFlags::TOUCHES_GDT),
        prepare: || {
            set_descriptor(0x48, CONFORMING);
            route(6, 1, IST_FRAME);
            set_gate(ACT.act.value() + 5);
        },
        act: ACT,
        events: &[
            Event {
                error_code: PFERR_USER,
                ss: user_ss_slot(HARDWARE_EXCEPTION, 14),
                event_data: UNMAPPED,
                handler: Some(skip::<3>),
                returns: Return::Frame,
                ..RING3
            },
            Event {
                vector: 6,
                rip: Rip::Plus(12),
                cs: 0x4B,
                ss: user_ss_slot(HARDWARE_EXCEPTION, 6),
                idt_frame_bytes: 40,
                general: &[(General::Rbx, 0x4B)],
                ..RING3
            },
        ],
        registers: Registers { cr2: UNMAPPED, ..RESTING },
        ..Case::NEW
    };
}

mod own_stack {
    use super::*;
    act! {
        name: "handler.own-stack",
        set: ["movabs rdi, 0x8000001A58"],
        armed: [],
        // 3 and 10 bytes before UD2.
        act: ["mov rbx, [rdi]"],
        then: ["movabs rsp, {rsp}", "ud2"],
        rsp = const FRAME_STACK + 0xFD8,
    }
    pub(super) const CASE: Case = Case {
        name: "own-stack",
        rule: "#UD in ring 0 by a gate without an IST, RSP 8 above a multiple of 16: the frame begins below that multiple.",
        needs: Needs::IDT,
        prepare: || route(6, 1, 0),
        act: ACT,
        events: &[
            Event { event_data: UNMAPPED, ..PF },
            Event { rip: Rip::Plus(13), rsp: Stack::Frame(0x28), idt_top: Top::Frame(0x30), ..UD },
        ],
        registers: Registers { cr2: UNMAPPED, ..RESTING },
        cancel: Cancel::Payload { payload: UNMAPPED, rflags: 0 },
        ..Case::NEW
    };
}
