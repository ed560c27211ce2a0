//! Events that instructions ask for, with every class of vector and every length.
//!
//! Rule: what INT n delivers is decided by the instruction and not by the vector: event type 4, no error code, no
//! event data, stack level 0, and neither an NMI for INT 2 nor an abort for INT 8 or INT 18. The instruction length in
//! the SS slot counts prefixes, for INT3 (66 CC) and INT1 (66 F1) as well, up to 15 (SDM vol. 3 ch. 8, "FRED stack
//! frame"). INTO in compatibility mode is of type 6, as INT3.
//!
//! Known bugs that fail it: INT n with the vector of an exception treated as that exception, as a hypervisor does that
//! queues it by its vector alone, so that INT 2 blocks NMIs and has bit 18; a length rebuilt from the event type
//! (KVM derives 1 for INT3 when it emulates).
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::manual::*;

guest::image! {
    name: "softx",
    rule: "INT n with any vector and any prefixes is an INT n.",
    spec: "SDM vol. 3 ch. 8 FRED stack frame; vol. 2 INT n",
    cases: [
        int_0::CASE,
        int_2::CASE,
        int_2_ring3::CASE,
        int_8::CASE,
        int_13::CASE,
        int_18::CASE,
        int_255::CASE,
        longest::CASE,
        int3_prefixed::CASE,
        int1_prefixed::CASE,
        into::CASE,
    ],
}

/// INT n in ring 0: stack level 0 is the current one, so that the frame lands below RSP. `vector` and `ss` must be
/// overridden.
const INT_N: Event = Event {
    rip: Rip::After,
    rflags: RFLAGS,
    rsp: Stack::Frame(0x28),
    csl: 0,
    fred_top: Top::Frame(0x40),
    ..Event::NEW
};

/// A trap in ring 0 on stack level 1.
const TRAP: Event = Event { rip: Rip::After, rflags: RFLAGS, ..Event::NEW };

/// A trap in ring 3, on level 0 and its stack.
const RING3: Event = Event { cs: USER_CS, rsp: Stack::User, csl: 0, entry: 0, ..TRAP };

/// An INT n in ring 0 whose stack is the frame page, which nothing else uses.
macro_rules! int_n {
    (
        $module:ident, $name:literal, $act:literal, $byte:literal, vector: $vector:literal, length: $length:literal,
        needs: $needs:expr, prepare: $prepare:expr, $rule:literal
    ) => {
        mod $module {
            use super::*;
            act! {
                name: $act,
                set: [],
                armed: ["movabs rsp, {rsp}"],
                act: [$byte],
                rsp = const FRAME_STACK + 0xFD8,
            }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: $needs,
                prepare: $prepare,
                act: ACT,
                events: &[Event {
                    vector: $vector,
                    ss: ss_slot(SOFTWARE_INTERRUPT, $vector) | SS_SOFTWARE | ss_length($length),
                    ..INT_N
                }],
                ..Case::NEW
            };
        }
    };
}

int_n! {
    int_0, "int-0", "softx.int-0", ".byte 0xCD, 0x00", vector: 0, length: 2,
    needs: Needs::empty(), prepare: || route(0, 3, IST_FRAME),
    "INT 0 is no divide error: type 4, a trap, RF clear, stack level 0."
}

int_n! {
    int_2, "int-2", "softx.int-2", ".byte 0xCD, 0x02", vector: 2, length: 2,
    needs: Needs::empty(), prepare: || route(2, 3, IST_FRAME),
    "INT 2 is no NMI: type 4, bit 18 clear, stack level 0."
}

int_n! {
    int_8, "int-8", "softx.int-8", ".byte 0xCD, 0x08", vector: 8, length: 2,
    // Under the IDT the handler of #DF would miss its error code.
    needs: Needs::FRED, prepare: || {},
    "INT 8 is no double fault: type 4, a trap, stack level 0 and not #DF's."
}

int_n! {
    int_13, "int-13", "softx.int-13", ".byte 0xCD, 0x0D", vector: 13, length: 2,
    // Under the IDT the handler of #GP would miss its error code.
    needs: Needs::FRED, prepare: || route(13, 1, IST_FRAME),
    "INT 13 is no #GP: type 4, no error code, stack level 0."
}

int_n! {
    int_18, "int-18", "softx.int-18", ".byte 0xCD, 0x12", vector: 18, length: 2,
    needs: Needs::empty(), prepare: || route(18, 3, IST_FRAME),
    "INT 18 is no machine check: type 4, a trap, stack level 0."
}

int_n! {
    int_255, "int-255", "softx.int-255", ".byte 0xCD, 0xFF", vector: 255, length: 2,
    // The image's IDT has no gate for it.
    needs: Needs::FRED, prepare: || set_interrupt_level(3),
    "INT 255: the highest vector; stack level 0, whatever level CONFIG gives to interrupts."
}

int_n! {
    longest, "longest", "softx.longest",
    ".byte 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0xCD, 0x1F",
    vector: 31, length: 15,
    needs: Needs::empty(), prepare: || route(31, 3, IST_FRAME),
    "INT 31 with 13 prefixes: length 15, all four bits of the field."
}

mod int_2_ring3 {
    use super::*;
    act_ring3! { name: "softx.int-2-ring3", set: [], act: [".byte 0xCD, 0x02"], }
    pub(super) const CASE: Case = Case {
        name: "int-2-ring3",
        rule: "INT 2 in ring 3: type 4, bit 18 clear.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || route(2, 3, IST_FRAME),
        act: ACT,
        events: &[Event {
            vector: 2,
            ss: user_ss_slot(SOFTWARE_INTERRUPT, 2) | SS_SOFTWARE | ss_length(2),
            ..RING3
        }],
        ..Case::NEW
    };
}

mod int3_prefixed {
    use super::*;
    act! { name: "softx.int3-prefixed", set: [], armed: [], act: [".byte 0x66, 0xCC"], }
    pub(super) const CASE: Case = Case {
        name: "int3-prefixed",
        rule: "INT3 with a prefix (66 CC): type 6, length 2, RIP after it.",
        prepare: || route(3, 1, IST_FRAME),
        act: ACT,
        events: &[Event { vector: 3, ss: ss_slot(SOFTWARE_EXCEPTION, 3) | ss_length(2), ..TRAP }],
        ..Case::NEW
    };
}

mod int1_prefixed {
    use super::*;
    act! { name: "softx.int1-prefixed", set: [], armed: [], act: [".byte 0x66, 0x48, 0xF1"], }
    pub(super) const CASE: Case = Case {
        name: "int1-prefixed",
        rule: "INT1 with two prefixes (66 48 F1): type 5, length 3, no bit of DR6 set.",
        act: ACT,
        events: &[Event { vector: 1, ss: ss_slot(PRIVILEGED_SOFTWARE_EXCEPTION, 1) | ss_length(3), ..TRAP }],
        // INT1 sets no bit of DR6; whether it clears B0-B3, as a #DB may, no manual says.
        registers: Registers { dr6_open: 0xF, ..RESTING },
        ..Case::NEW
    };
}

mod into {
    use super::*;
    act_ring3! { name: "softx.into", cs: "0x1B", ss: "0x23", rflags: "0x802", set: [], act: [".byte 0xCE"], }
    pub(super) const CASE: Case = Case {
        name: "into",
        rule: "INTO with OF in compatibility mode: a trap, type 6, vector 4, length 1; RF is not set.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || route(4, 1, IST_FRAME),
        act: ACT,
        events: &[Event {
            vector: 4,
            cs: 0x1B,
            rflags: RFLAGS | 0x800,
            // Bit 57 is 0.
            ss: 0x1006_0004_0000_0023,
            idt_entry_rflags: RFLAGS | 0x800,
            ..RING3
        }],
        ..Case::NEW
    };
}
