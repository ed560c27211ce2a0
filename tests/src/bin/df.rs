//! #DF: which pairs of events make one, and which do not.
//!
//! Rule: a contributory exception (#DE, #TS, #NP, #SS, #GP) met while another is delivered makes #DF, and so does a
//! contributory exception or a #PF met while a #PF is delivered. A #PF met while a contributory exception is delivered,
//! or anything met while INT n or SYSCALL is, makes none, whatever the vector: the exception is delivered instead,
//! nested (SDM vol. 3 ch. 7, "Interrupt 8", tables of classes; ch. 8, "FRED event delivery"). The push of a frame below
//! a stack pointer that is not canonical is #SS. #DF has error code 0, no event data, the stack level of STKLVLS from
//! every ring and level, and is not nested; CR2 is that of the last #PF.
//!
//! Known bugs that fail it: the class taken from the vector of an INT n; CR2 of the wrong one of two faults, or lost
//! ("KVM: x86: Clean up and document nested #PF workaround"); #DF that keeps the nested bit, or the first one's error
//! code.
//!
//! Not here: a benign exception and #SS, whose error code no manual states for FRED; see docs/open-questions.md.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "df",
    rule: "Contributory exceptions and page faults in one delivery make #DF; INT n and SYSCALL never do.",
    spec: "SDM vol. 3 ch. 7 interrupt 8; ch. 8 FRED event delivery",
    cases: [
        gp_ss::CASE, de_ss::CASE, np_ss::CASE, ss_ss::CASE, pf_ss::CASE, ring3_gp_ss::CASE, ud_pf_pf::CASE,
        level1::CASE, level2::CASE, de_pf::CASE, int_8_pf::CASE, int_14_pf::CASE, syscall_pf::CASE,
    ],
}

/// An address that is not canonical, and a push below it is at none that is: #SS.
const NOT_CANONICAL: u64 = 0x8000_0000_0000_0000;
/// The lowest canonical address of the upper half: a push below it is #SS, and FRED's stack pointers may have it.
const UPPER_HALF: Address = Address::new(0xFFFF_8000_0000_0000);
/// The end of a page that is not mapped.
const UNMAPPED_END: u64 = 0x0000_0080_0000_2000;

/// #DF from ring 0. It is an abort: no manual says which RF it saves.
const DOUBLE_FAULT: Event = Event {
    vector: 8,
    rflags_open: RF,
    ss: ss_slot(HARDWARE_EXCEPTION, 8),
    csl: 2,
    idt_frame_bytes: 48,
    ..Event::NEW
};

/// #DF after an #SS below [`NOT_CANONICAL`].
const DF_OF_SS: Event = Event { rsp: Stack::At(NOT_CANONICAL), ..DOUBLE_FAULT };

/// A page fault at the push of a frame below [`UNMAPPED_END`].
const NESTED: Event = Event {
    error_code: PFERR_WRITE,
    rsp: Stack::At(UNMAPPED_END),
    ss: ss_slot(HARDWARE_EXCEPTION, 14) | SS_NESTED,
    event_data: 0x0000_0080_0000_1FC0,
    // No manual says which of the frame's 64 bytes is reported.
    event_data_span: 0x3F,
    ..PF
};

/// CR2 after it.
const FAULTED: Registers = Registers { cr2: 0x0000_0080_0000_1FC0, cr2_span: 0x3F, ..RESTING };

/// The event `vector` comes on the act's own stack, and #DF on the frame page.
fn on_own_stack(vector: u8) {
    route(vector, 0, 0);
    route(8, 2, IST_FRAME);
    set_stack(2, FRAME_TOP);
}

/// An exception in ring 0 whose frame has no canonical address.
macro_rules! below_non_canonical {
    (
        $module:ident, $name:literal, $act:literal, vector: $vector:literal, set: [$($set:expr),*],
        act: [$($instruction:expr),+], flags: $flags:expr, registers: $registers:expr, $rule:literal
    ) => {
        mod $module {
            use super::*;
            act! {
                name: $act,
                set: [$($set),*],
                armed: ["movabs rsp, {rsp}"],
                act: [$($instruction),+],
                rsp = const NOT_CANONICAL,
            }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                flags: $flags,
                prepare: || on_own_stack($vector),
                act: ACT,
                events: &[DF_OF_SS],
                registers: $registers,
                ..Case::NEW
            };
        }
    };
}

below_non_canonical! {
    gp_ss, "gp-ss", "df.gp-ss", vector: 13, set: ["mov ecx, 0xFFF8"], act: ["mov ds, ecx"],
    flags: CaseFlags::empty(), registers: RESTING,
    "#GP(0xFFF8), and #SS at its frame: #DF, error code 0."
}

below_non_canonical! {
    de_ss, "de-ss", "df.de-ss", vector: 0, set: ["xor ecx, ecx"], act: ["div ecx"],
    flags: CaseFlags::empty(), registers: RESTING,
    "#DE, and #SS at its frame: #DF, though the first has no error code."
}

below_non_canonical! {
    np_ss, "np-ss", "df.np-ss", vector: 11, set: ["mov ecx, 0x40"], act: ["mov ds, ecx"],
    flags: CaseFlags::TOUCHES_GDT, registers: RESTING,
    "#NP(0x40), and #SS at its frame: #DF."
}

below_non_canonical! {
    ss_ss, "ss-ss", "df.ss-ss", vector: 12, set: ["mov ecx, 0x40"], act: ["mov ss, ecx"],
    flags: CaseFlags::TOUCHES_GDT, registers: RESTING,
    "#SS(0x40), and #SS at its frame: #DF."
}

below_non_canonical! {
    pf_ss, "pf-ss", "df.pf-ss", vector: 14, set: ["movabs rdi, 0x8000001A58"], act: ["mov rbx, [rdi]"],
    flags: CaseFlags::empty(), registers: Registers { cr2: UNMAPPED, ..RESTING },
    "#PF, and #SS at its frame: #DF; CR2 is the #PF's, event data is 0."
}

mod ring3_gp_ss {
    use super::*;
    act_ring3! { name: "df.ring3-gp-ss", set: [], act: ["hlt"], }
    pub(super) const CASE: Case = Case {
        name: "ring3-gp-ss",
        rule: "#GP in ring 3, and #SS at its frame: #DF by the ring-3 entry point, on level 2 by STKLVLS.",
        // Under the IDT no stack of ring 0 is so.
        needs: Needs::USER.union(Needs::FRED),
        flags: CaseFlags::USER,
        prepare: || {
            set_stack(0, UPPER_HALF);
            on_own_stack(13);
        },
        act: ACT,
        events: &[Event {
            cs: USER_CS,
            rsp: Stack::User,
            ss: user_ss_slot(HARDWARE_EXCEPTION, 8),
            entry: 0,
            ..DOUBLE_FAULT
        }],
        ..Case::NEW
    };
}

mod ud_pf_pf {
    use super::*;
    act! { name: "df.ud-pf-pf", set: [], armed: [], act: ["ud2"], }
    pub(super) const CASE: Case = Case {
        name: "ud-pf-pf",
        rule: "#UD, #PF at its frame, and #PF at that one's: the two #PFs make #DF; RIP at the #UD.",
        prepare: || {
            route(6, 1, IST_UNMAPPED);
            route(14, 2, IST_UNMAPPED);
            route(8, 3, IST_FRAME);
            set_stack(1, UNMAPPED_TOP);
            set_stack(2, UNMAPPED_TOP);
            set_stack(3, FRAME_TOP);
        },
        act: ACT,
        events: &[Event { csl: 3, ..DOUBLE_FAULT }],
        registers: FAULTED,
        ..Case::NEW
    };
}

/// A page fault whose frame faults, on a stack level of its own or a higher one.
macro_rules! at_level {
    ($module:ident, $name:literal, $act:literal, level: $level:literal, to: $to:literal, $rule:literal) => {
        mod $module {
            use super::*;
            act! {
                name: $act,
                set: ["movabs rdi, 0x8000005A58"],
                armed: ["movabs rsp, {rsp}"],
                act: ["mov rbx, [rdi]"],
                rsp = const UNMAPPED_END,
            }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: Needs::FRED,
                prepare: || {
                    set_config($level);
                    route(8, $to, IST_FRAME);
                    set_stack($to, FRAME_TOP);
                },
                act: ACT,
                events: &[Event {
                    cs: cs_slot($level),
                    rsp: Stack::At(UNMAPPED_END),
                    csl: $to,
                    ..DOUBLE_FAULT
                }],
                registers: FAULTED,
                ..Case::NEW
            };
        }
    };
}

at_level! {
    level1, "level1", "df.level1", level: 1, to: 2,
    "Two #PFs at stack level 1: #DF on level 2, SL 1 in the CS slot."
}

at_level! {
    level2, "level2", "df.level2", level: 2, to: 3,
    "Two #PFs at stack level 2, which is above #PF's own: #DF on level 3, SL 2 in the CS slot."
}

/// An event in ring 0 whose frame is not mapped, and which is replaced by the nested page fault.
macro_rules! replaced {
    (
        $module:ident, $name:literal, $act:literal, vector: $vector:literal, set: [$($set:expr),*],
        act: [$instruction:expr], needs: $needs:expr, $rule:literal
    ) => {
        mod $module {
            use super::*;
            act! {
                name: $act,
                set: [$($set),*],
                armed: ["movabs rsp, {rsp}"],
                act: [$instruction],
                rsp = const UNMAPPED_END,
            }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: $needs,
                prepare: || {
                    if $vector != 14 {
                        route($vector, 0, 0);
                    }
                },
                act: ACT,
                events: &[NESTED],
                registers: FAULTED,
                ..Case::NEW
            };
        }
    };
}

replaced! {
    de_pf, "de-pf", "df.de-pf", vector: 0, set: ["xor ecx, ecx"], act: ["div ecx"], needs: Needs::empty(),
    "#DE, and #PF at its frame: no #DF, the #PF is delivered, nested."
}

replaced! {
    int_8_pf, "int-8-pf", "df.int-8-pf", vector: 8, set: [], act: [".byte 0xCD, 0x08"], needs: Needs::empty(),
    "INT 8, and #PF at its frame: no shutdown, the #PF is delivered, nested; RIP at the INT."
}

replaced! {
    // Under the IDT both would come on one stack.
    int_14_pf, "int-14-pf", "df.int-14-pf", vector: 14, set: [], act: [".byte 0xCD, 0x0E"], needs: Needs::FRED,
    "INT 14, and #PF at its frame: no #DF, for INT n is benign; nested, RIP at the INT."
}

mod syscall_pf {
    use super::*;
    act_ring3! { name: "df.syscall-pf", set: [], act: ["syscall"], }
    pub(super) const CASE: Case = Case {
        name: "syscall-pf",
        rule: "SYSCALL, and #PF at its frame: nested, RIP at SYSCALL, which has not completed; level 1 by STKLVLS.",
        needs: Needs::USER.union(Needs::FRED),
        flags: CaseFlags::USER,
        prepare: || set_stack(0, UNMAPPED_TOP),
        act: ACT,
        events: &[Event {
            cs: USER_CS,
            rsp: Stack::User,
            ss: user_ss_slot(HARDWARE_EXCEPTION, 14) | SS_NESTED,
            entry: 0,
            ..NESTED
        }],
        registers: FAULTED,
        ..Case::NEW
    };
}
