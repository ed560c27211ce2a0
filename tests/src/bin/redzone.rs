//! Where the frame lands when the stack level does not rise: every redzone, at every level.
//!
//! Rule: an event whose stack level is not above the current one is pushed on the current stack: RSP, less 64 bytes
//! times bits 8:6 of IA32_FRED_CONFIG, aligned down to 64 bytes, less the frame's 64 (SDM vol. 3 ch. 8, "FRED event
//! delivery"). The alignment comes after the subtraction, and an aligned RSP is not lowered by it. The saved RSP is the
//! one before all of this. From ring 3, or where the level rises, there is no redzone.
//!
//! Known bugs that fail it: the redzone taken for bytes; its third bit lost; aligned before the subtraction, or by
//! 16 as under the IDT; RSP in the frame after the alignment; the current stack level or the redzone lost in a migration
//! while the delivery is stopped, so that the frame moves.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "redzone",
    rule: "RSP less the redzone, aligned down to 64 bytes, is the top of a frame on the same level.",
    spec: "SDM vol. 3 ch. 8 FRED event delivery, IA32_FRED_CONFIG",
    cases: [
        none_level0::CASE, r1_level1::CASE, r2_level2::CASE, r3_level3::CASE, r4_level0::CASE, r5_level1::CASE,
        r6_level2::CASE, r7_level3::CASE, aligned::CASE, ring3::CASE,
    ],
}

/// #UD, which asks for level 0, on a stack that ends so many bytes below the frame stack's end.
macro_rules! at {
    (
        $module:ident, $name:literal, $act:literal, config: $config:literal, level: $level:literal, below: $below:literal,
        top: $top:literal, $rule:literal
    ) => {
        mod $module {
            use super::*;
            act! {
                name: $act,
                set: [],
                armed: ["movabs rsp, {rsp}"],
                act: ["ud2"],
                rsp = const FRAME_STACK + 0x1000 - $below,
            }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: Needs::FRED,
                prepare: || {
                    route(6, 0, IST_FRAME);
                    set_config($config);
                },
                act: ACT,
                events: &[Event {
                    cs: cs_slot($level),
                    rsp: Stack::Frame($below),
                    csl: $level,
                    fred_top: Top::Frame($top),
                    ..UD
                }],
                // The stub returns to level 0.
                results: &[Check { expected: $config & !3, read: || read_msr(0x1D4) & 0xFFF }],
                ..Case::NEW
            };
        }
    };
}

at! {
    none_level0, "none-level0", "redzone.none-level0", config: 0x000, level: 0, below: 0x001, top: 0x040,
    "No redzone, level 0, RSP the last byte of a line: aligned down by 63."
}

at! {
    r1_level1, "r1-level1", "redzone.r1-level1", config: 0x041, level: 1, below: 0x028, top: 0x080,
    "Redzone 1, level 1: 0x40 bytes, then aligned."
}

at! {
    r2_level2, "r2-level2", "redzone.r2-level2", config: 0x082, level: 2, below: 0x041, top: 0x100,
    "Redzone 2, level 2: 0x80 bytes, then aligned."
}

at! {
    r3_level3, "r3-level3", "redzone.r3-level3", config: 0x0C3, level: 3, below: 0x03F, top: 0x100,
    "Redzone 3, level 3: 0xC0 bytes, then aligned; RSP one byte into a line."
}

at! {
    r4_level0, "r4-level0", "redzone.r4-level0", config: 0x100, level: 0, below: 0x008, top: 0x140,
    "Redzone 4, level 0: 0x100 bytes, then aligned."
}

at! {
    r5_level1, "r5-level1", "redzone.r5-level1", config: 0x141, level: 1, below: 0x030, top: 0x180,
    "Redzone 5, level 1: 0x140 bytes, then aligned."
}

at! {
    r6_level2, "r6-level2", "redzone.r6-level2", config: 0x182, level: 2, below: 0x07F, top: 0x200,
    "Redzone 6, level 2: 0x180 bytes, then aligned."
}

at! {
    r7_level3, "r7-level3", "redzone.r7-level3", config: 0x1C3, level: 3, below: 0x020, top: 0x200,
    "Redzone 7, level 3: 0x1C0 bytes, then aligned."
}

at! {
    aligned, "aligned", "redzone.aligned", config: 0x0C0, level: 0, below: 0x0C0, top: 0x180,
    "Redzone 3 below an RSP that is aligned: aligned still, no byte further."
}

mod ring3 {
    use super::*;
    act_ring3! { name: "redzone.ring3", set: [], act: ["ud2"], }
    pub(super) const CASE: Case = Case {
        name: "ring3",
        rule: "From ring 3 with redzone 7: the frame ends at IA32_FRED_RSP0, without a redzone.",
        needs: Needs::FRED.union(Needs::USER),
        flags: CaseFlags::USER,
        prepare: || set_config(0x1C0),
        act: ACT,
        events: &[Event {
            cs: USER_CS,
            rsp: Stack::User,
            ss: user_ss_slot(HARDWARE_EXCEPTION, 6),
            csl: 0,
            entry: 0,
            ..UD
        }],
        results: &[Check { expected: 0x1C0, read: || read_msr(0x1D4) & 0xFFF }],
        ..Case::NEW
    };
}
