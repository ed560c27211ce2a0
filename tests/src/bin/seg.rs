//! #NP, #SS and #GP of descriptors: what the descriptor says decides, in the table as it is.
//!
//! Rule: a selector whose descriptor lies beyond the table's limit is #GP(selector), whatever lies there; the last one
//! inside is taken. A type or a privilege that does not fit is #GP(selector); then P is looked at: #SS(selector)
//! for SS, #NP(selector) for everything else, LLDT and LTR too (SDM vol. 3 ch. 7, interrupts 11, 12, 13; vol. 2,
//! MOV, LLDT, LTR, RET). Segment registers, bases and RSP stay.
//!
//! A GDTR whose limit was lost on the way cannot pass: the descriptor beyond the limit is a good one, and those of
//! #NP are at the table's end. Out: #TS, which in 64-bit mode needs a short TSS; FRED does not use the TSS.
//!
//! Known bugs that fail it: GDTR's limit lost or made 0xFFFF in a migration; #GP for #NP by an emulator that
//! checks P first or last (__load_segment_descriptor of KVM's); the FS base cleared by a load that failed.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "seg",
    rule: "A descriptor's limit, type, privilege and P decide between #GP, #NP and #SS, with the selector.",
    spec: "SDM vol. 3 ch. 7 interrupts 11, 12, 13; vol. 2 MOV, LLDT, LTR",
    cases: [
        just_beyond::CASE, last_inside::CASE, execute_only::CASE, read_only_stack::CASE,
        fs_not_present::CASE, ldt_not_present::CASE, tss_not_present::CASE, tss_busy::CASE, ret_not_present::CASE,
        ret_to_data::CASE, not_present_ring3::CASE, privilege_ring3::CASE, null_stack_ring3::CASE,
    ],
}

/// Ring-0 data, flat.
const DATA: u64 = 0x00CF_9300_0000_FFFF;
/// Ring-0 data without write.
const READ_ONLY: u64 = 0x00CF_9100_0000_FFFF;
/// Ring-3 data, not present.
const USER_DATA_ABSENT: u64 = 0x00CF_7300_0000_FFFF;
/// Ring-0 code that cannot be read.
const EXECUTE_ONLY: u64 = 0x00AF_9900_0000_FFFF;
/// Ring-0 code, 64-bit, not present.
const CODE_ABSENT: u64 = 0x00AF_1B00_0000_FFFF;
/// The low half of an LDT, not present.
const LDT_ABSENT: u64 = 0x0000_0200_0000_0FFF;
/// The low half of a TSS, not present.
const TSS_ABSENT: u64 = 0x0000_0900_0000_0067;

/// #NP(0x48).
const NP: Event = Event {
    vector: 11,
    error_code: 0x48,
    ss: ss_slot(HARDWARE_EXCEPTION, 11),
    idt_frame_bytes: 48,
    ..Event::NEW
};

/// A case's own descriptor at 0x48, and the event of `vector` on the frame page.
fn with_descriptor(descriptor: u64, vector: u8) {
    set_descriptor(0x48, descriptor);
    set_descriptor(0x50, 0);
    route(vector, 1, IST_FRAME);
}

/// The selector in DS.
fn ds() -> u64 {
    let ds: u64;
    // SAFETY: reads a register.
    unsafe { core::arch::asm!("mov {:e}, ds", out(reg) ds, options(nomem, nostack, preserves_flags)) };
    ds
}

mod just_beyond {
    use super::*;
    act! { name: "seg.just-beyond", set: ["mov ecx, 0x60"], armed: [], act: ["mov ds, ecx"], }
    pub(super) const CASE: Case = Case {
        name: "just-beyond",
        rule: "MOV DS of the first selector beyond the limit, where a good descriptor lies: #GP(0x60).",
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || {
            set_descriptor(0x60, DATA);
            route(13, 1, IST_FRAME);
        },
        act: ACT,
        events: &[Event { error_code: 0x60, ..GP }],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod last_inside {
    use super::*;
    act! { name: "seg.last-inside", set: ["mov ecx, 0x58"], armed: [], act: ["mov ds, ecx"], }
    pub(super) const CASE: Case = Case {
        name: "last-inside",
        rule: "MOV DS of the last selector inside the limit: nothing is raised, DS has it.",
        flags: CaseFlags::CONFORMANCE.union(CaseFlags::TOUCHES_GDT),
        prepare: || set_descriptor(0x58, DATA),
        act: ACT,
        results: &[Check { expected: 0x58, read: ds }],
        ..Case::NEW
    };
}

mod execute_only {
    use super::*;
    act! { name: "seg.execute-only", set: ["mov ecx, 0x48"], armed: [], act: ["mov ds, ecx"], }
    pub(super) const CASE: Case = Case {
        name: "execute-only",
        rule: "MOV DS of code that cannot be read: #GP(0x48).",
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || with_descriptor(EXECUTE_ONLY, 13),
        act: ACT,
        events: &[Event { error_code: 0x48, ..GP }],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod read_only_stack {
    use super::*;
    act! { name: "seg.read-only-stack", set: ["mov ecx, 0x48"], armed: [], act: ["mov ss, ecx"], }
    pub(super) const CASE: Case = Case {
        name: "read-only-stack",
        rule: "MOV SS of data that cannot be written: #GP(0x48), no shadow of MOV SS.",
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || with_descriptor(READ_ONLY, 13),
        act: ACT,
        events: &[Event { error_code: 0x48, ..GP }],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod fs_not_present {
    use super::*;
    act! { name: "seg.fs-not-present", set: ["mov ecx, 0x40"], armed: [], act: ["mov fs, ecx"], }
    pub(super) const CASE: Case = Case {
        name: "fs-not-present",
        rule: "MOV FS of a segment that is not present: #NP(0x40), and FS base stays.",
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || route(11, 1, IST_FRAME),
        act: ACT,
        events: &[Event { error_code: 0x40, ..NP }],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod ldt_not_present {
    use super::*;
    act! { name: "seg.ldt-not-present", set: ["mov ecx, 0x48"], armed: [], act: ["lldt cx"], }
    pub(super) const CASE: Case = Case {
        name: "ldt-not-present",
        rule: "LLDT of an LDT that is not present: #NP(0x48).",
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || with_descriptor(LDT_ABSENT, 11),
        act: ACT,
        events: &[NP],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod tss_not_present {
    use super::*;
    act! { name: "seg.tss-not-present", set: ["mov ecx, 0x48"], armed: [], act: ["ltr cx"], }
    pub(super) const CASE: Case = Case {
        name: "tss-not-present",
        rule: "LTR of a TSS that is not present: #NP(0x48).",
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || with_descriptor(TSS_ABSENT, 11),
        act: ACT,
        events: &[NP],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod tss_busy {
    use super::*;
    act! { name: "seg.tss-busy", set: ["mov ecx, 0x30"], armed: [], act: ["ltr cx"], }
    pub(super) const CASE: Case = Case {
        name: "tss-busy",
        rule: "LTR of the TSS in use, which is busy: #GP(0x30).",
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[Event { error_code: 0x30, ..GP }],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

/// The far pointer at 0x80_0000_4108: `selector`, and an address that is canonical.
fn far_pointer(selector: u64) {
    paging::set_window(0x108, 0x0010_0000);
    paging::set_window(0x110, selector);
}

mod ret_not_present {
    use super::*;
    act! { name: "seg.ret-not-present", set: [], armed: ["movabs rsp, 0x8000004108"], act: [".byte 0x48, 0xCB"], }
    pub(super) const CASE: Case = Case {
        name: "ret-not-present",
        rule: "A far RET to code that is not present: #NP(0x48), RSP stays.",
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || {
            far_pointer(0x48);
            with_descriptor(CODE_ABSENT, 11);
        },
        act: ACT,
        events: &[Event { rsp: Stack::At(0x0000_0080_0000_4108), ..NP }],
        // RSP comes after `Armed`.
        cancel: Cancel::No,
        ..Case::NEW
    };
}

mod ret_to_data {
    use super::*;
    act! { name: "seg.ret-to-data", set: [], armed: ["movabs rsp, 0x8000004108"], act: [".byte 0x48, 0xCB"], }
    pub(super) const CASE: Case = Case {
        name: "ret-to-data",
        rule: "A far RET to a data segment: #GP(0x10), RSP stays.",
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || {
            far_pointer(0x10);
            route(13, 1, IST_FRAME);
        },
        act: ACT,
        events: &[Event { error_code: 0x10, rsp: Stack::At(0x0000_0080_0000_4108), ..GP }],
        // RSP comes after `Armed`.
        cancel: Cancel::No,
        ..Case::NEW
    };
}

/// From ring 3, on level 0 and its stack.
const GP_RING3: Event =
    Event { cs: USER_CS, rsp: Stack::User, ss: user_ss_slot(HARDWARE_EXCEPTION, 13), csl: 0, entry: 0, ..GP };

mod not_present_ring3 {
    use super::*;
    act_ring3! { name: "seg.not-present-ring3", set: ["mov ecx, 0x4B"], act: ["mov ds, ecx"], }
    pub(super) const CASE: Case = Case {
        name: "not-present-ring3",
        rule: "MOV DS of ring-3 data that is not present, in ring 3: #NP(0x48), no RPL in it.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || with_descriptor(USER_DATA_ABSENT, 11),
        act: ACT,
        events: &[Event {
            vector: 11,
            error_code: 0x48,
            ss: user_ss_slot(HARDWARE_EXCEPTION, 11),
            ..GP_RING3
        }],
        ..Case::NEW
    };
}

mod privilege_ring3 {
    use super::*;
    act_ring3! { name: "seg.privilege-ring3", set: ["mov ecx, 0x13"], act: ["mov ds, ecx"], }
    pub(super) const CASE: Case = Case {
        name: "privilege-ring3",
        rule: "MOV DS of ring-0 data in ring 3: #GP(0x10), no RPL in it.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[Event { error_code: 0x10, ..GP_RING3 }],
        ..Case::NEW
    };
}

mod null_stack_ring3 {
    use super::*;
    act_ring3! { name: "seg.null-stack-ring3", set: ["mov ecx, 3"], act: ["mov ss, ecx"], }
    pub(super) const CASE: Case = Case {
        name: "null-stack-ring3",
        rule: "MOV SS of a null selector in ring 3: #GP(0).",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[GP_RING3],
        ..Case::NEW
    };
}
