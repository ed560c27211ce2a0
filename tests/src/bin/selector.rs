//! Null selectors, whatever entry 0 of the GDT holds, and what a far RET leaves in RSP.
//!
//! Rule: a selector whose bits 15:2 are 0 is null; the processor does not read entry 0 of the GDT. A far transfer to it, or
//! through a call gate that names it, is #GP(0). SS may be null in ring 0 with RPL 0 and no other. A far RET adds the size of
//! both pops and its operand to RSP (SDM vol. 2, "CALL", "MOV", "RET", operation; vol. 3 ch. 3, "Segment Selectors").
//!
//! Known bugs that fail it: an emulator that loads entry 0; RSP or SS that a hypervisor loses on the way.
#![no_std]
#![no_main]

use guest::layout::GDT;
use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "selector",
    rule: "A null selector is refused or loaded without a look at the GDT; a far RET leaves RSP where it says.",
    spec: "SDM vol. 2 CALL, MOV, RET; vol. 3 ch. 3 selectors",
    cases: [null_code::CASE, null_stack::CASE, null_stack_ring3::CASE, null_target::CASE, null_gate::CASE, null_data::CASE, released::CASE, retf_short::CASE, iretq::CASE],
}

/// Ring-0 code, 64-bit.
const CODE: u64 = 0x00AF_9B00_0000_FFFF;
/// Ring-0 data.
const DATA: u64 = 0x00CF_9300_0000_FFFF;

/// Entry 0 of the GDT, which nobody reads.
fn entry_0(descriptor: u64) {
    set_descriptor(0, descriptor);
    route(13, 1, IST_FRAME);
}
/// A far pointer of 32 bits of offset at 0x80_0000_4108.
fn far_pointer(selector: u64) {
    paging::set_window(0x108, 0x10_0000 | selector << 32);
}

/// A fault whose handler changes something and returns to the instruction.
const AGAIN: Event = Event { returns: Return::Frame, ..GP };
/// The last one.
const CLEARED: Option<fn(&mut Frame)> = Some(|_| set_descriptor(0, 0));

mod null_code {
    use super::*;
    // 2, 2 and 2 bytes.
    act! {
        name: "selector.null-code",
        set: ["movabs rdi, 0x8000004108", "push 3", "lea rcx, [rip + \"selector.null-code.after\"]", "push rcx"],
        armed: [],
        act: ["call fword ptr [rdi]", "jmp fword ptr [rdi]", ".byte 0x48, 0xCB"],
    }
    pub(super) const CASE: Case = Case {
        name: "null-code",
        rule: "A far CALL, JMP and RET to 0 and 3, with code in entry 0: #GP(0) each time, RSP stays.",
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || {
            entry_0(CODE);
            far_pointer(0);
        },
        act: ACT,
        events: &[
            Event { rsp: Stack::ActBelow(16), handler: Some(|_| far_pointer(3)), ..AGAIN },
            Event { rsp: Stack::ActBelow(16), handler: Some(skip::<2>), ..AGAIN },
            Event { rsp: Stack::ActBelow(16), rip: Rip::Plus(2), handler: Some(|_| far_pointer(0)), ..AGAIN },
            Event { rsp: Stack::ActBelow(16), rip: Rip::Plus(2), handler: Some(skip::<2>), ..AGAIN },
            Event {
                rsp: Stack::ActBelow(16),
                rip: Rip::Plus(4),
                // SAFETY: the selector that the act has pushed.
                handler: Some(|frame| unsafe { ((frame.rsp + 8) as *mut u64).write_volatile(0) }),
                ..AGAIN
            },
            Event { rsp: Stack::ActBelow(16), rip: Rip::Plus(4), handler: CLEARED, ..GP },
        ],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod null_stack {
    use super::*;
    act! {
        name: "selector.null-stack",
        set: ["mov ecx, 3", "mov ebx, 0"],
        armed: [],
        act: ["mov ss, ecx", "mov ss, ebx"],
        then: ["mov ebx, ss", "mov ecx, 0x10", "mov ss, ecx"],
    }
    pub(super) const CASE: Case = Case {
        name: "null-stack",
        rule: "MOV SS of 3 in ring 0, with data in entry 0: #GP(0); of 0: loaded, and read back.",
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || entry_0(DATA),
        act: ACT,
        events: &[Event {
            handler: Some(|frame| {
                skip::<2>(frame);
                set_descriptor(0, 0);
            }),
            ..AGAIN
        }],
        left: &Left { general: &[(General::Rbx, 0), (General::Rcx, 0x10)], ..Left::NEW },
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod null_stack_ring3 {
    use super::*;
    act! {
        name: "selector.null-stack-ring3",
        set: ["mov rbx, rsp", "push 3", "push rbx", "push 2", "push 0x2B", "lea rcx, [rip + \"selector.null-stack-ring3.after\"]",
            "push rcx"],
        armed: [],
        act: ["iretq"],
    }
    pub(super) const CASE: Case = Case {
        name: "null-stack-ring3",
        rule: "IRETQ to ring 3 with an SS of 3, with data of ring 3 in entry 0: #GP(0); only rings 0 to 2 may have a null SS.",
        needs: Needs::IDT.union(Needs::USER),
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || entry_0(0x00CF_F300_0000_FFFF),
        act: ACT,
        events: &[Event { rsp: Stack::ActBelow(40), handler: CLEARED, ..GP }],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

/// A call gate of ring 0 at 0x50 to that target, and a far pointer to it with that RPL.
fn gate(target: u64, rpl: u64) {
    set_descriptor(0x50, 0x0010_8C00_0000_0000 | target << 16);
    set_descriptor(0x58, 0);
    far_pointer(0x50 | rpl);
}

mod null_target {
    use super::*;
    act! { name: "selector.null-target", set: ["movabs rdi, 0x8000004108"], armed: [], act: ["call fword ptr [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "null-target",
        rule: "CALL through a gate to 0 and 3, with code in entry 0: #GP(0); by a selector whose RPL exceeds the gate's DPL: #GP(0x50).",
        needs: Needs::IDT,
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || {
            entry_0(CODE);
            gate(0, 0);
        },
        act: ACT,
        events: &[
            Event { handler: Some(|_| gate(3, 0)), ..AGAIN },
            Event { handler: Some(|_| gate(8, 1)), ..AGAIN },
            Event { error_code: 0x50, handler: Some(|_| gate(8, 3)), ..AGAIN },
            Event { error_code: 0x50, handler: CLEARED, ..GP },
        ],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod null_gate {
    use super::*;
    // Offset 0x108 has the far pointer, 0x110 and 0x120 have what LGDT loads.
    act! {
        name: "selector.null-gate",
        set: ["movabs rdi, 0x8000004108"],
        armed: ["lgdt [rdi + 8]"],
        act: ["jmp fword ptr [rdi]"],
        then: ["lgdt [rdi + 24]"],
    }
    pub(super) const CASE: Case = Case {
        name: "null-gate",
        rule: "A far JMP to 0, with a call gate in entries 0 and 1 of another GDT: #GP(0), not what the gate's target gives.",
        // An event through the IDT would need that GDT.
        needs: Needs::FRED,
        prepare: || {
            far_pointer(0);
            paging::set_window(0x110, 0xF | 0x80_0000_4400 << 16);
            paging::set_window(0x118, 0);
            paging::set_window(0x120, 0x5F | GDT.start().value() << 16);
            paging::set_window(0x128, 0);
            paging::set_window(0x400, 0x0010_8C00_0008_0000);
            paging::set_window(0x408, 0);
            route(13, 1, IST_FRAME);
        },
        act: ACT,
        events: &[GP],
        // LGDT comes after `Armed`.
        cancel: Cancel::No,
        ..Case::NEW
    };
}

mod null_data {
    use super::*;
    act! {
        name: "selector.null-data",
        set: ["mov ecx, 3", "mov edi, 0"],
        armed: [],
        act: [
            "mov ds, ecx", "mov ebx, ds", "mov es, ecx", "mov esi, es", "mov ds, edi", "mov ecx, ds", "mov es, edi"
        ],
    }
    pub(super) const CASE: Case = Case {
        name: "null-data",
        rule: "DS and ES with 3, which is null: loaded with their RPL, and read back.",
        flags: CaseFlags::CONFORMANCE.union(CaseFlags::TOUCHES_GDT),
        act: ACT,
        left: &Left { general: &[(General::Rbx, 3), (General::Rsi, 3), (General::Rcx, 0)], ..Left::NEW },
        ..Case::NEW
    };
}

mod released {
    use super::*;
    act! {
        name: "selector.released",
        set: ["lea rdi, [rip + 55f]", "lea rsi, [rip + 56f]"],
        armed: [],
        act: [
            "mov rbx, rsp", "sub rsp, 16", "push 8", "push rdi", ".byte 0x48, 0xCA, 16, 0", "55:", "sub rbx, rsp",
            "mov rcx, rsp", "mov edi, 8", "push rdi", "push rsi", "mov [rsp + 4], edi", ".byte 0xCB", "56:", "sub rcx, rsp",
            "add rsp, 8", "push 2", "popfq"
        ],
    }
    pub(super) const CASE: Case = Case {
        name: "released",
        rule: "A far RET of 64 bits that releases 16 bytes adds 32 to RSP, one of 32 bits without adds 8.",
        flags: CaseFlags::CONFORMANCE.union(CaseFlags::TOUCHES_GDT),
        act: ACT,
        left: &Left { general: &[(General::Rbx, 0), (General::Rcx, 8), (General::Rdi, 8)], ..Left::NEW },
        ..Case::NEW
    };
}

/// The #UD after an act that a return has entered in ring 3, with the stack of ring 3.
const UD_RING3: Event = Event {
    rip: Rip::After,
    cs: USER_CS,
    rsp: Stack::User,
    ss: user_ss_slot(HARDWARE_EXCEPTION, 6),
    csl: 0,
    entry: 0,
    ..UD
};

/// A return to the act in ring 3, which `set` makes itself.
macro_rules! enters {
    ($module:ident, $name:literal, $act:literal, $rule:literal, set: [$($set:literal),*], act: [$($line:literal),*], $general:expr) => {
        mod $module {
            use super::*;
            act_ring3! { name: $act, set: [$($set),*], act: [$($line),*], user_stack = sym USER_STACK, }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: Needs::USER.union(Needs::IDT),
                flags: CaseFlags::USER,
                prepare: || route(6, 1, IST_FRAME),
                act: ACT,
                events: &[Event { general: $general, ..UD_RING3 }],
                ..Case::NEW
            };
        }
    };
}

enters! {
    retf_short, "retf-short", "selector.retf-short",
    "A far RET of 32 bits to ring 3 that releases 4 bytes, on both stacks: CS, SS and RSP are those that lay there.",
    set: [
        "lea rcx, [rip + {user_stack} + 0x1000 - 0x28 - 4]", "mov rbx, 0x2300000000", "or rcx, rbx", "push rcx",
        "push 7", "lea rcx, [rip + \"selector.retf-short.act\"]", "mov rbx, 0x2B00000000", "or rcx, rbx",
        "mov [rsp - 4], rcx", "sub rsp, 4", "call act_armed", "out dx, eax", "push 2", "popfq", ".byte 0xCA, 4, 0"
    ],
    act: ["mov ebx, cs", "mov ecx, ss"],
    &[(General::Rbx, 0x2B), (General::Rcx, 0x23)]
}
enters! {
    iretq, "iretq", "selector.iretq",
    "IRETQ to ring 3: DS of ring 0 becomes null, ES of ring 3 stays.",
    set: [
        "mov ecx, 0x10", "mov ds, ecx", "mov ecx, 0x23", "mov es, ecx", "push 0x23",
        "lea rcx, [rip + {user_stack} + 0x1000 - 0x28]", "push rcx", "push 2", "push 0x2B",
        "lea rcx, [rip + \"selector.iretq.act\"]", "push rcx", "call act_armed", "out dx, eax", "iretq"
    ],
    act: ["mov ebx, ds", "mov ecx, es"],
    &[(General::Rbx, 0), (General::Rcx, 0x23)]
}
