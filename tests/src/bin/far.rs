//! Far calls and jumps: where they go, what they push, what they refuse.
//!
//! Rule: a far CALL pushes CS and the return address with its operand size; JMP pushes nothing. Code that is not
//! conforming must have CPL = DPL and RPL <= CPL; in conforming code the CPL stays. #GP(selector) is for a wrong type or
//! privilege, #NP(selector) for P = 0, #GP(0) for a null selector. A gate's DPL is looked at before its target. The
//! descriptor is marked accessed (SDM vol. 2, "CALL", "JMP"; vol. 3 ch. 6).
//!
//! Not here: transfers through a call gate. Whether FRED lets any gate through is an open question.
//!
//! Known bugs that fail it: a descriptor that is not marked accessed (__load_segment_descriptor of KVM's), also by QEMU's
//! helper_ljmp_protected; far transfers of an emulator that knows no call gate (em_call_far of KVM's).
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "far",
    rule: "A far CALL or JMP goes where the descriptor says, or faults with its selector.",
    spec: "SDM vol. 2 CALL, JMP; vol. 3 ch. 6",
    cases: [call::CASE, jump::CASE, refused::CASE, conforming::CASE, gate_dpl::CASE],
}

/// The parts of a call gate's low half: P, the type, ring 0's code as its target.
const GATE: u64 = 0x0000_8C00_0008_0000;
/// Ring-0 code, 64-bit.
const CODE: u64 = 0x00AF_9A00_0000_FFFF;
/// Ring-0 code, 64-bit, not present.
const CODE_ABSENT: u64 = 0x00AF_1A00_0000_FFFF;

/// The far pointer leads to `offset` in code at 0x48.
fn far_to(code: u64, offset: u64) {
    far_pointer(0x48, offset);
    set_descriptor(0x48, code);
}

/// A far pointer of 32 bits of offset at 0x80_0000_4108.
fn far_pointer(selector: u64, offset: u64) {
    paging::set_window(0x108, offset | selector << 32);
    route(6, 1, IST_FRAME);
    route(11, 1, IST_FRAME);
    route(13, 1, IST_FRAME);
}

/// The transfer leads to a UD2 in other code, and its handler returns after that, to the same code (with FRED an event in ring 0
/// leaves CS alone, and ERETS compares it), from where `$back` leads back or on.
macro_rules! goes {
    ($module:ident, $name:literal, $act:literal, $rule:literal, $transfer:literal, $back:literal, $below:expr) => {
        mod $module {
            use super::*;
            act! {
                name: $act,
                set: ["movabs rdi, 0x8000004108"],
                armed: [$transfer, "jmp 55f"],
                act: ["ud2"],
                then: [$back, "55:", "nop"],
            }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                flags: CaseFlags::TOUCHES_GDT,
                prepare: || far_to(CODE, ACT.act.value()),
                act: ACT,
                events: &[Event {
                    cs: 0x48,
                    rsp: Stack::ActBelow($below),
                    handler: Some(skip::<2>),
                    returns: Return::Frame,
                    ..UD
                }],
                results: &[Check { expected: CODE | 1 << 40, read: || descriptor(0x48) }],
                // The transfer comes after `Armed`.
                cancel: Cancel::No,
                ..Case::NEW
            };
        }
    };
}

goes! {
    call, "call", "far.call",
    "A far CALL of 32 bits to other code: CS is its selector, 4 bytes each pushed, and a far RET of 32 bits leads back.",
    "call fword ptr [rdi]", ".byte 0xCB", 8
}
goes! {
    jump, "jump", "far.jump",
    "A far JMP to other code: CS is its selector, nothing pushed.",
    "jmp fword ptr [rdi]", "push 8; push offset \"far.jump.last\"; .byte 0x48, 0xCB", 0
}

/// A fault of the CALL, whose handler puts something else there and returns to it.
const AGAIN: Event = Event { returns: Return::Frame, ..GP };
const NP_AGAIN: Event = Event { vector: 11, ss: ss_slot(HARDWARE_EXCEPTION, 11), ..AGAIN };

mod refused {
    use super::*;
    act! {
        name: "far.refused", set: ["movabs rdi, 0x8000004108"], armed: [], act: ["call fword ptr [rdi]"],
    }
    pub(super) const CASE: Case = Case {
        name: "refused",
        rule: "A far CALL to null, data, ring 3's code, ring 0's with RPL 3, absent code, a gate whose upper half is beyond the GDT.",
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || far_pointer(0, 0x10_0000),
        act: ACT,
        events: &[
            Event { handler: Some(|_| far_pointer(0x10, 0x10_0000)), ..AGAIN },
            Event { error_code: 0x10, handler: Some(|_| far_pointer(0x28, 0x10_0000)), ..AGAIN },
            Event { error_code: 0x28, handler: Some(|_| far_pointer(0x0B, 0x10_0000)), ..AGAIN },
            Event { error_code: 0x08, handler: Some(|_| far_to(CODE_ABSENT, 0x10_0000)), ..AGAIN },
            Event {
                error_code: 0x48,
                handler: Some(|_| {
                    far_pointer(0x58, 0x10_0000);
                    set_descriptor(0x58, GATE);
                }),
                ..NP_AGAIN
            },
            Event { error_code: 0x58, ..GP },
        ],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

/// In ring 3, through a far pointer that `act` puts below its stack.
macro_rules! in_ring3 {
    ($module:ident, $name:literal, $act:literal, $needs:expr, $rule:literal, [$($set:literal),*], $transfer:literal,
     $prepare:expr, $events:expr, $results:expr) => {
        mod $module {
            use super::*;
            // 5, 4 and 2 bytes.
            act_ring3! { name: $act, set: [$($set),*], act: ["mov [rsp - 8], rcx", $transfer, "ud2"], }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: $needs,
                flags: CaseFlags::USER,
                prepare: || $prepare(ACT.act.value() + 9),
                act: ACT,
                events: $events,
                results: $results,
                ..Case::NEW
            };
        }
    };
}

/// #UD at the target, in ring 3.
const UD_RING3: Event = Event {
    rip: Rip::Plus(9),
    cs: USER_CS,
    rsp: Stack::User,
    ss: user_ss_slot(HARDWARE_EXCEPTION, 6),
    csl: 0,
    entry: 0,
    ..UD
};
/// #GP at the transfer.
const GP_RING3: Event = Event {
    vector: 13,
    rip: Rip::Plus(5),
    ss: user_ss_slot(HARDWARE_EXCEPTION, 13),
    idt_frame_bytes: 48,
    ..UD_RING3
};

in_ring3! {
    conforming, "conforming-ring3", "far.conforming-ring3", Needs::USER,
    "A far JMP to conforming code of ring 0 in ring 3: the CPL stays 3, and the code is marked accessed.",
    ["lea rcx, [rip + \"far.conforming-ring3.act\" + 9]", "movabs rbx, 0x4B00000000", "or rcx, rbx"],
    "jmp fword ptr [rsp - 8]",
    |_| {
        set_descriptor(0x48, 0x00AF_9E00_0000_FFFF);
        route(6, 1, IST_FRAME);
    },
    &[Event { cs: 0x4B, ..UD_RING3 }], &[Check { expected: 0x00AF_9F00_0000_FFFF, read: || descriptor(0x48) }]
}
in_ring3! {
    gate_dpl, "gate-dpl-ring3", "far.gate-dpl-ring3", Needs::USER,
    "CALL in ring 3 through a gate of ring 0: #GP with the gate's selector, not the target's.",
    ["movabs rcx, 0x4B89ABCDEF"], "call fword ptr [rsp - 8]", |_| {
        set_descriptor(0x48, GATE);
        route(13, 1, IST_FRAME);
    },
    &[Event { error_code: 0x48, ..GP_RING3 }], &[]
}
