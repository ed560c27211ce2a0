//! The stacks of the TSS: which lie inside its limit, and what is pushed where they point.
//!
//! Rule: a stack's 8 bytes must lie within the limit, the last one included; otherwise the delivery is #TS with the TSS's
//! selector and EXT. A delivery aligns its stack to 16 bytes, a CALL through a gate pushes where RSP0 points (SDM vol. 3 ch. 7,
//! "Stack Switching in IA-32e Mode", ch. 6, "Stack Switching in 64-bit Mode"; vol. 2, "CALL", operation).
//!
//! Not here: FRED, which takes no stack from the TSS.
//!
//! Known bugs that fail it: a limit that counts as the first byte beyond (a TSS without a permission map has the least limit);
//! a gate's stack aligned as if an event came.
#![no_std]
#![no_main]

use guest::layout::{ACT_HEADROOM, ACT_STACK, OTHER_STACK, PAGE, TSS};
use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "tss",
    rule: "A stack of the TSS counts up to the last byte of its limit; a CALL through a gate pushes where RSP0 points.",
    spec: "SDM vol. 3 ch. 6, 7 stack switching in 64-bit mode; vol. 2 CALL",
    cases: [unaligned::CASE, last::CASE, short::CASE],
}

/// The last byte of the stacks that IST 1 and IST 4 are.
const IST_1: u64 = 0x2B;
const IST_4: u64 = 0x43;

/// The TSS in use with this limit, loaded from 0x48. It stays in use.
fn load_tss(limit: u64) {
    set_descriptor(0x48, descriptor(0x30) & !(1 << 41 | 0xFFFF) | limit);
    set_descriptor(0x50, descriptor(0x38));
    // SAFETY: the same TSS, of which nothing beyond the limit is used before the act.
    unsafe { core::arch::asm!("ltr {:x}", in(reg) 0x48_u16, options(nostack, preserves_flags)) }
}

/// A call gate at 0x50 that ring 3 may use, to this place.
fn set_call_gate(target: u64) {
    set_descriptor(0x50, target & 0xFFFF | 0x08 << 16 | 0xEC << 40 | (target >> 16 & 0xFFFF) << 48);
    set_descriptor(0x58, target >> 32);
}

/// RSP0 of the TSS.
fn set_rsp0(top: u64) {
    // SAFETY: at offset 4 of the TSS, which only the processor reads.
    unsafe { ((TSS.start().value() + 4) as *mut u64).write_unaligned(top) }
}

mod unaligned {
    use super::*;
    act_ring3! {
        name: "tss.unaligned",
        set: [
            "jmp 57f", ".globl \"tss.unaligned.target\"", "\"tss.unaligned.target\":", "lea rbx, [rip + {other_stack} + 0x1000]",
            "sub rbx, rsp", "lea rsp, [rip + {act_stack} + {act_rsp}]", "mov ecx, 0x10", "mov ss, ecx", "push 2", "popfq",
            "jmp act_leave", "57:"
        ],
        act: ["mov rcx, 0x5089ABCDEF", "push rcx", "call fword ptr [rsp]"],
        act_stack = sym ACT_STACK,
        act_rsp = const PAGE - ACT_HEADROOM,
        other_stack = sym OTHER_STACK,
    }
    unsafe extern "C" {
        #[link_name = "tss.unaligned.target"]
        static TARGET: u8;
    }
    pub(super) const CASE: Case = Case {
        name: "unaligned",
        rule: "A CALL from ring 3 through a gate, RSP0 8 below a multiple of 16: four quadwords are pushed from there on.",
        needs: Needs::IDT.union(Needs::USER),
        flags: CaseFlags::CONFORMANCE.union(CaseFlags::USER),
        prepare: || {
            set_rsp0(OTHER_STACK.end().value() - 8);
            set_call_gate(Address::of(&raw const TARGET).value());
        },
        act: ACT,
        left: &Left { general: &[(General::Rbx, 8 + 32), (General::Rcx, 0x10)], ..Left::NEW },
        ..Case::NEW
    };
}

mod last {
    use super::*;
    act! { name: "tss.last", set: [], armed: [], act: ["ud2"], }
    pub(super) const CASE: Case = Case {
        name: "last",
        rule: "#UD by a gate whose interrupt stack ends with the limit of the TSS: the frame is there.",
        needs: Needs::IDT,
        prepare: || {
            load_tss(IST_1);
            route(6, 1, IST_FRAME);
        },
        act: ACT,
        events: &[UD],
        ..Case::NEW
    };
}

mod short {
    use super::*;
    act! { name: "tss.short", set: [], armed: [], act: ["ud2"], }
    pub(super) const CASE: Case = Case {
        name: "short",
        rule: "#UD by a gate whose interrupt stack has its last byte beyond the limit: #TS with the TSS's selector and EXT.",
        needs: Needs::IDT,
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || {
            // No case comes after this one.
            load_tss(IST_4 - 1);
            route(6, 2, IST_OTHER);
            route(10, 1, IST_FRAME);
        },
        act: ACT,
        events: &[Event {
            vector: 10,
            error_code: 0x49,
            ss: ss_slot(HARDWARE_EXCEPTION, 10) | SS_NESTED,
            ..GP
        }],
        ..Case::NEW
    };
}
