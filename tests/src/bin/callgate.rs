//! Call gates: where CALL and JMP through one go, what they push, what they refuse.
//!
//! Rule: a call gate of IA-32e mode has 16 bytes and leads to 64-bit code. CALL pushes CS and RIP, 8 bytes each; to a more
//! privileged ring it takes RSP from the TSS, pushes SS and RSP first and makes SS null. JMP pushes nothing, and reaches no
//! more privileged code. The gate's DPL, type, upper half and P are looked at, then its target's (SDM vol. 2, "CALL", "JMP",
//! operation; vol. 3 ch. 6, "IA-32e Mode Call Gates"). A far RET to ring 3 pops RSP and SS, releases its immediate on
//! both stacks, and takes data segments away that ring 3 must not have.
//!
//! Not here: FRED, of which nobody says which gates it lets through.
//!
//! Known bugs that fail it: far transfers of an emulator that knows no call gate (em_call_far of KVM's emulator).
#![no_std]
#![no_main]

use guest::layout::{ACT_HEADROOM, ACT_STACK, PAGE};
use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "callgate",
    rule: "A far CALL or JMP through a call gate goes where the gate says, on the stack of the TSS, or faults.",
    spec: "SDM vol. 2 CALL, JMP, RET; vol. 3 ch. 6 call gates",
    cases: [
        call::CASE, high::CASE, jump::CASE, inwards::CASE, returns::CASE, target::CASE, gate::CASE, jump_inwards::CASE,
    ],
}

/// Ring-0 code, 64-bit.
const CODE: u64 = 0x00AF_9A00_0000_FFFF;
/// The same for 32 bits.
const CODE_32: u64 = 0x00CF_9A00_0000_FFFF;
/// Ring-0 code, 64-bit, not present.
const CODE_ABSENT: u64 = 0x00AF_1A00_0000_FFFF;
/// A call gate that ring 3 may use, present.
const GATE: u64 = 0xEC;
/// One for ring 0.
const GATE_0: u64 = 0x8C;
/// One that is not present.
const ABSENT: u64 = 0x0C;

/// The gate at 0x50, of 16 bytes, and a far pointer to it; its offset means nothing.
fn gate(attributes: u64, selector: u64, offset: u64) {
    let low = offset & 0xFFFF | selector << 16 | attributes << 40 | (offset >> 16 & 0xFFFF) << 48;
    set_descriptor(0x50, low);
    set_descriptor(0x58, offset >> 32);
    paging::set_window(0x108, 0x0050_89AB_CDEF);
    set_descriptor(0x48, CODE);
    route(11, 1, IST_FRAME);
    route(13, 1, IST_FRAME);
}

/// A case whose transfer succeeds, which raises nothing.
macro_rules! goes {
    (
        $module:ident, $name:literal, $act:literal, $rule:literal, act: [$($line:literal),*], then: [$($then:literal),*],
        prepare: $prepare:expr, general: [$($general:expr),*], results: $results:expr,
    ) => {
        mod $module {
            use super::*;
            act! {
                name: $act, set: ["movabs rdi, 0x8000004108"], armed: [], act: [$($line),*], then: [$($then),*],
            }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: Needs::IDT,
                flags: CaseFlags::CONFORMANCE,
                prepare: $prepare,
                act: ACT,
                left: &Left { general: &[$($general),*], ..Left::NEW },
                results: $results,
                ..Case::NEW
            };
        }
    };
}

goes! {
    call, "call", "callgate.call",
    "A CALL within ring 0: CS is the gate's selector, CS and RIP are pushed with 8 bytes each, a far RET leads back.",
    // The gate leads to `then`.
    act: ["call fword ptr [rdi]", "55:", "jmp act_leave"],
    then: [
        "mov rbx, [rsp]", "lea rcx, [rip + 55b]", "cmp rbx, rcx", "mov ebx, 0", "sete bl", "mov rcx, [rsp + 8]", "mov edi, cs",
        "push 2", "popfq", ".byte 0x48, 0xCB"
    ],
    prepare: || gate(GATE, 0x48, ACT.after.value()),
    general: [(General::Rbx, 1), (General::Rcx, 8), (General::Rdi, 0x48)],
    results: &[Check { expected: CODE | 1 << 40, read: || descriptor(0x48) }],
}
goes! {
    high, "high", "callgate.high",
    "A CALL through a gate of ring 0 to code above 4 GiB, whose far RET leads back.",
    act: ["call fword ptr [rdi]"], then: ["nop"],
    prepare: || {
        // MOV EBX, 7; MOV ECX, CS; REX.W RETF.
        paging::set_window(0x200, 0x48C9_8C00_0000_07BB);
        paging::set_window(0x208, 0xCB);
        gate(GATE_0, 0x0B, 0x80_0000_4200);
    },
    general: [(General::Rbx, 7), (General::Rcx, 8)],
    results: &[],
}
goes! {
    jump, "jump", "callgate.jump",
    "A JMP within ring 0: CS is the gate's selector, nothing is pushed.",
    act: ["jmp fword ptr [rdi]", "ud2"],
    then: ["mov ebx, cs", "push 8", "push offset \"callgate.jump.last\"", ".byte 0x48, 0xCB"],
    prepare: || gate(GATE, 0x48, ACT.after.value()),
    general: [(General::Rbx, 0x48)],
    results: &[Check { expected: CODE | 1 << 40, read: || descriptor(0x48) }],
}

/// A case in ring 3 that enters ring 0 by the gate, and leaves the act there. At the gate's target `$target` is
/// executed, in ring 3 `$line`; RSP and SS are the act's at the end, and RFLAGS 2.
macro_rules! enters {
    (
        $module:ident, $name:literal, $act:literal, $rule:literal, target: [$($target:literal),*], act: [$($line:literal),*],
        general: [$($general:expr),*], $($operands:tt)*
    ) => {
        mod $module {
            use super::*;
            act_ring3! {
                name: $act,
                set: [
                    "mov rdi, 0", "mov ecx, 0x23", "mov es, ecx", "jmp 57f",
                    concat!(".globl \"", $act, ".target\""), concat!("\"", $act, ".target\":"), $($target,)*
                    "lea rsp, [rip + {act_stack} + {act_rsp}]", "mov ecx, 0x10", "mov ss, ecx", "push 2", "popfq",
                    "jmp act_leave", "57:"
                ],
                act: ["mov rcx, 0x5089ABCDEF", "push rcx", $($line),*],
                act_stack = sym ACT_STACK,
                act_rsp = const PAGE - ACT_HEADROOM,
                user_stack = sym USER_STACK,
                $($operands)*
            }
            unsafe extern "C" {
                #[link_name = concat!($act, ".target")]
                static TARGET: u8;
            }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: Needs::IDT.union(Needs::USER),
                flags: CaseFlags::CONFORMANCE.union(CaseFlags::USER),
                prepare: || gate(GATE, 0x08, Address::of(&raw const TARGET).value()),
                act: ACT,
                left: &Left { general: &[$($general),*], ..Left::NEW },
                ..Case::NEW
            };
        }
    };
}

enters! {
    inwards, "inwards", "callgate.inwards",
    "A CALL from ring 3: RSP is the TSS's; SS, RSP, CS and RIP are pushed; SS is null, CS has RPL 0.",
    target: [
        "lea rbx, [rip + {other_stack} + 0x1000]", "sub rbx, rsp", "mov rsi, [rsp + 24]", "mov rbp, [rsp + 16]",
        "lea rdi, [rip + {user_stack} + 0x1000]", "sub rdi, rbp", "mov rbp, [rsp + 8]", "mov r8d, ss", "mov r9d, cs",
        "lea r10, [rip + \"callgate.inwards.after\"]", "sub r10, [rsp]"
    ],
    act: ["call fword ptr [rsp]"],
    // ACT_HEADROOM and the far pointer.
    general: [
        (General::Rbx, 32), (General::Rcx, 0x10), (General::Rsi, 0x23), (General::Rdi, 0x30), (General::Rbp, 0x2B),
        (General::R8, 0), (General::R9, 8), (General::R10, 0)
    ], other_stack = sym OTHER_STACK,
}
enters! {
    returns, "returns", "callgate.returns",
    "A far RET from there with an immediate: RSP and SS of ring 3, released on both stacks; DS of ring 0 is null, ES stays.",
    target: [
        // The second time.
        "cmp rdi, 0", "jne 58f", "mov rdi, 1", "mov ecx, 0x10", "mov ds, ecx",
        // Two parameters between CS and RSP, as a gate with a count would have copied.
        "mov rbx, [rsp]", "mov rcx, [rsp + 8]", "sub rsp, 16", "mov [rsp], rbx", "mov [rsp + 8], rcx",
        ".byte 0x48, 0xCA, 16, 0", "58:"
    ],
    act: [
        "call fword ptr [rsp]", "lea rbp, [rip + {user_stack} + 0x1000]", "sub rbp, rsp", "mov ebx, ds", "mov esi, es",
        "mov r8d, ss", "mov r9d, cs", "mov rcx, 0x5089ABCDEF", "push rcx",
        "call fword ptr [rsp]"
    ],
    general: [
        (General::Rbx, 0), (General::Rcx, 0x10), (General::Rsi, 0x23), (General::Rdi, 1), (General::Rbp, 0x20),
        (General::R8, 0x23), (General::R9, 0x2B)
    ],
}

/// A fault of the CALL, whose handler puts something else there and returns to it.
const AGAIN: Event = Event { returns: Return::Frame, ..GP };
const NP_AGAIN: Event = Event { vector: 11, ss: ss_slot(HARDWARE_EXCEPTION, 11), ..AGAIN };

/// A case of a CALL in ring 0 that is refused, several times.
macro_rules! refused {
    ($module:ident, $name:literal, $act:literal, $rule:literal, prepare: $prepare:expr, events: $events:expr,) => {
        mod $module {
            use super::*;
            act! { name: $act, set: ["movabs rdi, 0x8000004108"], armed: [], act: ["call fword ptr [rdi]"], }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: Needs::IDT,
                flags: CaseFlags::TOUCHES_GDT,
                prepare: $prepare,
                act: ACT,
                events: $events,
                cancel: Cancel::Payload { payload: 0, rflags: 0 },
                ..Case::NEW
            };
        }
    };
}

refused! {
    target, "target", "callgate.target",
    "A gate to null, data, beyond the GDT, ring 3's code, 32-bit code, absent code, a RIP that is not canonical: the target's fault.",
    prepare: || gate(GATE, 0, 0x10_0000),
    events: &[
        Event { handler: Some(|_| gate(GATE, 0x10, 0x10_0000)), ..AGAIN },
        Event { error_code: 0x10, handler: Some(|_| gate(GATE, 0x60, 0x10_0000)), ..AGAIN },
        Event { error_code: 0x60, handler: Some(|_| gate(GATE, 0x28, 0x10_0000)), ..AGAIN },
        Event {
            error_code: 0x28,
            handler: Some(|_| {
                gate(GATE, 0x48, 0x10_0000);
                set_descriptor(0x48, CODE_32);
            }),
            ..AGAIN
        },
        Event { error_code: 0x48, handler: Some(|_| set_descriptor(0x48, CODE_ABSENT)), ..AGAIN },
        Event { error_code: 0x48, handler: Some(|_| gate(GATE, 0x08, 1 << 47)), ..NP_AGAIN },
        GP,
    ],
}
refused! {
    gate, "gate", "callgate.gate",
    "A gate whose upper half has a type, an absent one, one for ring 0 by RPL 3, an LDT's descriptor in its place: its fault.",
    prepare: || {
        gate(GATE, 0x08, 0x10_0000);
        set_descriptor(0x58, 1 << 40);
    },
    events: &[
        Event {
            error_code: 0x50,
            handler: Some(|_| {
                gate(GATE, 0x08, 0x10_0000);
                set_descriptor(0x58, 1 << 44);
            }),
            ..AGAIN
        },
        Event { error_code: 0x50, handler: Some(|_| gate(ABSENT, 0x08, 0x10_0000)), ..AGAIN },
        Event {
            error_code: 0x50,
            handler: Some(|_| {
                gate(GATE_0, 0x08, 0x10_0000);
                paging::set_window(0x108, 0x0053_89AB_CDEF);
            }),
            ..NP_AGAIN
        },
        Event { error_code: 0x50, handler: Some(|_| gate(0x82, 0x08, 0x10_0000)), ..AGAIN },
        Event { error_code: 0x50, ..GP },
    ],
}

mod jump_inwards {
    use super::*;
    act_ring3! {
        name: "callgate.jump-inwards", set: ["movabs rcx, 0x5089ABCDEF", "mov [rip + {user_stack}], rcx"],
        act: ["jmp fword ptr [rip + {user_stack}]"],
        user_stack = sym USER_STACK,
    }
    pub(super) const CASE: Case = Case {
        name: "jump-inwards",
        rule: "A JMP from ring 3 through a gate to ring 0's code: #GP with the target's selector.",
        needs: Needs::IDT.union(Needs::USER),
        flags: CaseFlags::USER,
        prepare: || gate(GATE, 0x08, 0x10_0000),
        act: ACT,
        events: &[Event {
            error_code: 8,
            cs: USER_CS,
            rsp: Stack::User,
            ss: user_ss_slot(HARDWARE_EXCEPTION, 13),
            csl: 0,
            entry: 0,
            ..GP
        }],
        ..Case::NEW
    };
}
