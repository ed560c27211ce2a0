//! LTR and LLDT: which descriptors they refuse, one after the other, and what they have loaded by then.
//!
//! Rule: LTR of a null selector is #GP(0), LLDT of one makes the LDT unusable. A selector of the LDT, a descriptor that is
//! not an available TSS or not an LDT, is of the other size, is code or data, or whose 16 bytes reach beyond the GDT's limit is
//! #GP(selector), before P is looked at; so is, for LTR, a type in the upper 8 bytes. What was loaded before stays in use. An
//! interrupt stack beyond the limit of the TSS is #TS with its selector (SDM vol. 2, "LTR", "LLDT"; vol. 3 ch. 8, "TSS
//! Descriptor in 64-bit mode").
//!
//! Known bugs that fail it: KVM's emulator, in __load_segment_descriptor, compares the limit with the lower half alone, looks
//! at no type in the upper half, takes a TSS of 16 bits, and leaves the selector out where it is the LDT's.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "ltr",
    rule: "LTR and LLDT take an available TSS and an LDT, whole and in the GDT; all else is #GP with the selector.",
    spec: "SDM vol. 2 LTR, LLDT; vol. 3 ch. 3 system descriptors",
    cases: [
        null::CASE, ltr::CASE, in_the_ldt::CASE, absent::CASE, tss_16::CASE, ltr_end::CASE, upper_type::CASE, lldt::CASE,
        lldt_end::CASE, null_ldt::CASE, stack::CASE,
    ],
}

/// Low halves of descriptors, of LDTs with the limit 0xFFF.
const LDT: u64 = 0x0000_8200_0000_0FFF;
const LDT_ABSENT: u64 = 0x0000_0200_0000_0FFF;
/// A busy TSS, absent.
const BUSY_ABSENT: u64 = 0x0000_0B00_0000_0FFF;
/// Data, read and write: the type of an LDT, with S.
const DATA: u64 = 0x0000_9200_0000_0FFF;

/// The TSS in use with other attributes: a machine that takes it can go on.
fn tss(attributes: u64) -> u64 {
    descriptor(0x30) & !(0xFF << 40) | attributes << 40
}
/// An available TSS.
const AVAILABLE: u64 = 0x89;
/// The same, absent.
const ABSENT: u64 = 0x09;
/// One of 16 bits.
const TSS_16: u64 = 0x81;
/// Code, execute only, accessed: the type of an available TSS, with S.
const CODE: u64 = 0x99;

/// The descriptor at 0x48, and #GP on the frame page.
fn with(low: u64, high: u64) {
    set_descriptor(0x48, low);
    set_descriptor(0x50, high);
    route(13, 1, IST_FRAME);
}
/// The same of a TSS, whose base's upper half is as that of the TSS in use.
fn with_tss(attributes: u64, high: u64) {
    with(tss(attributes), descriptor(0x38) | high);
}
/// The same of the last descriptor inside the GDT's limit; its upper half is beyond.
fn at_the_end(low: u64, high: u64) {
    set_descriptor(0x58, low);
    set_descriptor(0x60, high);
    route(13, 1, IST_FRAME);
}

/// #GP whose handler puts another descriptor at 0x48 and returns to the instruction.
const fn again(error_code: u64, handler: fn(&mut Frame)) -> Event {
    Event { error_code, handler: Some(handler), returns: Return::Frame, ..GP }
}

/// A case of instructions that are refused: ECX is 0x48, EBX its LDT's namesake, ESI the GDT's last, EDI data, EBP and R8D null.
macro_rules! refused {
    ($module:ident, $name:literal, $act:literal, $rule:literal, $needs:expr, [$($line:literal),*], $prepare:expr, $events:expr) => {
        mod $module {
            use super::*;
            act! { name: $act, set: ["mov ecx, 0x48", "mov ebx, 0x4C", "mov esi, 0x58", "mov edi, 0x10", "mov ebp, 3", "mov r8d, 0"], armed: [], act: [$($line),*], }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: $needs,
                flags: CaseFlags::TOUCHES_GDT,
                prepare: $prepare,
                act: ACT,
                events: $events,
                ..Case::NEW
            };
        }
    };
}

/// #GP so many bytes after the first instruction, whose handler returns after the `LENGTH` bytes of the instruction.
const fn skipped<const LENGTH: u64>(bytes: u64, error_code: u64) -> Event {
    Event { rip: Rip::Plus(bytes), ..again(error_code, skip::<LENGTH>) }
}

refused! {
    null, "null", "ltr.null",
    "LTR of a null selector, and of one with an RPL: #GP(0) both times.",
    // Without FRED a machine that takes it delivers nothing more.
    Needs::FRED, ["ltr r8w", "ltr bp"],
    // LTR R8W is 4 bytes long.
    || route(13, 1, IST_FRAME),
    &[skipped::<4>(0, 0), Event { rip: Rip::Plus(4), ..GP }]
}
refused! {
    ltr, "ltr", "ltr.ltr",
    "LTR of data, an LDT, code of a TSS's type: #GP with the selector each time.",
    Needs::empty(), ["ltr di", "ltr cx"],
    || with(LDT, 0),
    &[
        skipped::<3>(0, 0x10),
        Event { rip: Rip::Plus(3), ..again(0x48, |_| with_tss(CODE, 0)) },
        Event { rip: Rip::Plus(3), error_code: 0x48, ..GP },
    ]
}
refused! {
    in_the_ldt, "in-the-ldt", "ltr.in-the-ldt",
    "LTR, then LLDT, of a selector of the LDT: #GP(0x4C) both times.",
    Needs::empty(), ["ltr bx", "lldt bx"],
    || with_tss(AVAILABLE, 0),
    &[skipped::<3>(0, 0x4C), Event { rip: Rip::Plus(3), error_code: 0x4C, ..GP }]
}
refused! {
    absent, "absent", "ltr.absent",
    "LTR of an absent LDT, of a busy absent TSS, LLDT of an absent TSS: #GP(0x48) each time, not #NP.",
    Needs::empty(), ["ltr cx", "lldt cx"],
    || with(LDT_ABSENT, 0),
    &[
        again(0x48, |_| with(BUSY_ABSENT, 0)),
        Event {
            handler: Some(|frame| {
                with_tss(ABSENT, 0);
                skip::<3>(frame);
            }),
            ..again(0x48, |_| ())
        },
        Event { rip: Rip::Plus(3), error_code: 0x48, ..GP },
    ]
}
refused! {
    tss_16, "tss-16", "ltr.tss-16",
    "LTR of an available TSS of 16 bits: #GP(0x48).",
    Needs::empty(), ["ltr cx"],
    || with_tss(TSS_16, 0),
    &[Event { error_code: 0x48, ..GP }]
}
refused! {
    ltr_end, "ltr-end", "ltr.ltr-end",
    "LTR of a good TSS whose upper half is beyond the GDT's limit: #GP(0x58).",
    Needs::empty(), ["ltr si"],
    || at_the_end(tss(AVAILABLE), descriptor(0x38)),
    &[Event { error_code: 0x58, ..GP }]
}
refused! {
    upper_type, "upper-type", "ltr.upper-type",
    "LTR of a good TSS but that in its upper half bit 40 is set, then bit 43: #GP(0x48) both times.",
    Needs::empty(), ["ltr cx"],
    || with_tss(AVAILABLE, 1 << 40),
    &[again(0x48, |_| with_tss(AVAILABLE, 1 << 43)), Event { error_code: 0x48, ..GP }]
}
refused! {
    lldt, "lldt", "ltr.lldt",
    "LLDT of data, a TSS, data of an LDT's type: #GP with the selector each time.",
    Needs::empty(), ["lldt di", "lldt cx"],
    || with_tss(AVAILABLE, 0),
    &[
        skipped::<3>(0, 0x10),
        Event { rip: Rip::Plus(3), ..again(0x48, |_| with(DATA, 0)) },
        Event { rip: Rip::Plus(3), error_code: 0x48, ..GP },
    ]
}
refused! {
    lldt_end, "lldt-end", "ltr.lldt-end",
    "LLDT of a good LDT whose upper half is beyond the GDT's limit: #GP(0x58).",
    Needs::empty(), ["lldt si"],
    || at_the_end(LDT, 0),
    &[Event { error_code: 0x58, ..GP }]
}

mod null_ldt {
    use super::*;
    // LLDT of a null selector with an RPL, then a selector of the LDT.
    act! {
        name: "ltr.null-ldt", set: ["mov ecx, 0x48", "lldt cx", "mov ecx, 3", "mov ebx, 4"], armed: [], act: ["lldt cx", "mov fs, ebx"],
    }
    pub(super) const CASE: Case = Case {
        name: "null-ldt",
        rule: "LLDT of a null selector with an RPL, after one of an LDT: MOV FS of the LDT's first selector is #GP(4).",
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || {
            // On the window's memory: a good descriptor.
            paging::set_window(0x110, 0x00CF_9300_0000_FFFF);
            set_descriptor(0x48, 0x0000_8200_4110_000F);
            set_descriptor(0x50, 0x80);
            route(13, 1, IST_FRAME);
        },
        act: ACT,
        events: &[Event { error_code: 4, rip: Rip::Plus(3), ..GP }],
        ..Case::NEW
    };
}

mod stack {
    use super::*;
    act! { name: "ltr.stack", set: ["mov ecx, 0x48", "ltr cx"], armed: [], act: ["ud2"], }
    pub(super) const CASE: Case = Case {
        name: "stack",
        rule: "#UD by a gate whose interrupt stack is beyond the limit of the TSS: #TS with the TSS's selector and EXT.",
        needs: Needs::IDT,
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || {
            // The same TSS, not busy, up to IST 4. It stays in use, and no case comes after this one.
            set_descriptor(0x48, descriptor(0x30) & !(1 << 41 | 0xFFFF) | 0x47);
            set_descriptor(0x50, descriptor(0x38));
            route(6, 1, IST_UNMAPPED);
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
