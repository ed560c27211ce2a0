//! XSAVE and XRSTOR that are refused: the area's header, MXCSR, its alignment, CR4.OSXSAVE.
//!
//! Rule: XRSTOR is #GP(0) for an XSTATE_BV beyond XCR0, for bits 23:8 of the header's bytes in the standard format, and for
//! reserved bits of MXCSR. An area that is not aligned to 64 bytes is #GP(0) for both, one of FXSAVE
//! that is not aligned to 16. Without CR4.OSXSAVE XSAVE, XRSTOR, XGETBV and XSETBV are #UD (SDM vol. 1 ch. 13, "Operation of
//! XRSTOR"; vol. 2, "XSAVE", "FXSAVE", "XGETBV"). Nothing has changed then.
//!
//! Known bugs that fail it: MXCSR that QEMU's TCG loads with reserved bits; event data of an earlier event in the frame.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::xsave_area::*;

guest::image! {
    name: "xrstor",
    rule: "XRSTOR of an area that cannot be is #GP(0), and nothing is loaded.",
    spec: "SDM vol. 1 ch. 13 XRSTOR; vol. 2 XSAVE, FXSAVE, XGETBV",
    cases: [header::CASE, compacted::CASE, mxcsr::CASE, alignment::CASE, disabled::CASE, in_use::CASE],
}

static AREA: Areas<128> = Areas::new();

/// An area that XRSTOR takes, and XCR0 with x87 and SSE.
fn prepare() {
    enable_components(0);
    AREA.fill(0..128, 0);
    AREA.set(0, 0x037F);
    AREA.set(3, 0x1F80);
    AREA.set(XSTATE_BV, 3);
    route(6, 1, IST_FRAME);
    route(13, 1, IST_FRAME);
}

/// A fault of the act, RAX and RDX as it needs them.
const REFUSED: Event =
    Event { general: &[(General::Rax, 3), (General::Rdx, 0)], returns: Return::Frame, ..GP };
const AGAIN: Event = Event { general: &[], ..REFUSED };

/// A case of an instruction that is refused, in the end by another fault or not at all.
macro_rules! refused {
    ($module:ident, $name:literal, $act:literal, $rule:literal, $instruction:literal, $prepare:expr, $events:expr) => {
        mod $module {
            use super::*;
            act! {
                name: $act,
                set: ["lea rdi, [rip + {area}]"],
                armed: ["mov eax, 3", "mov edx, 0"],
                act: [$instruction],
                area = sym AREA,
            }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: Needs::XSAVE,
                prepare: $prepare,
                act: ACT,
                events: $events,
                ..Case::NEW
            };
        }
    };
}

refused! {
    header, "header", "xrstor.header",
    "XRSTOR whose XSTATE_BV has TILECFG, which XCR0 has not; whose header has a bit at 8, 16, 23: #GP(0) each time.",
    "xrstor64 [rdi]",
    || {
        prepare();
        AREA.set(XSTATE_BV, 1 << 17);
    },
    &[
        Event {
            handler: Some(|_| {
                AREA.set(XSTATE_BV, 3);
                AREA.set(65, 1);
            }),
            ..REFUSED
        },
        Event {
            handler: Some(|_| {
                AREA.set(65, 0);
                AREA.set(66, 1);
            }),
            ..AGAIN
        },
        Event { handler: Some(|_| AREA.set(66, 1 << 63)), ..AGAIN },
        Event { returns: Return::Next, ..AGAIN }
    ]
}
refused! {
    compacted, "compacted", "xrstor.compacted",
    "XRSTOR of an area in the compacted format whose XCOMP_BV has TILECFG, which XCR0 has not: #GP(0).",
    "xrstor64 [rdi]",
    || {
        prepare();
        AREA.set(65, 1 << 63 | 1 << 17 | 3);
    },
    &[Event { returns: Return::Next, ..REFUSED }]
}
refused! {
    mxcsr, "mxcsr", "xrstor.mxcsr",
    "XRSTOR of an MXCSR with bit 16 or 31: #GP(0), and MXCSR stays.",
    "xrstor64 [rdi]",
    || {
        prepare();
        AREA.set(3, 0x1_1F80);
    },
    &[
        Event {
            handler: Some(|_| AREA.set(3, 0x8000_1F80)),
            ..REFUSED
        },
        Event { returns: Return::Next, ..AGAIN }
    ]
}
refused! {
    alignment, "alignment", "xrstor.alignment",
    "XSAVE and XRSTOR of an area that is aligned to 32 bytes, FXSAVE of one to 8: #GP(0) each time.",
    // 5, 5 and 5 bytes.
    "xsave64 [rdi + 32]; xrstor64 [rdi + 32]; fxsave64 [rdi + 8]",
    prepare,
    &[
        Event { handler: Some(skip::<5>), ..REFUSED },
        Event { rip: Rip::Plus(5), handler: Some(skip::<5>), ..AGAIN },
        Event { rip: Rip::Plus(10), returns: Return::Next, ..AGAIN }
    ]
}

/// CR4 without OSXSAVE; it is as before after the case.
fn disable() {
    set_control(|cr0| cr0, 0);
    // SAFETY: compiled code uses no extended state.
    unsafe {
        core::arch::asm!(
            "mov {0}, cr4", "btr {0}, 18", "mov cr4, {0}", out(reg) _, options(nostack)
        );
    }
}

refused! {
    disabled, "disabled", "xrstor.disabled",
    "XSAVE, XRSTOR, XGETBV and XSETBV without CR4.OSXSAVE: #UD each time.",
    // 5, 5, 3 and 3 bytes.
    "xsave64 [rdi + 64]; xrstor64 [rdi + 64]; xgetbv; xsetbv",
    || {
        prepare();
        disable();
    },
    &[
        Event { handler: Some(skip::<5>), ..UD_FIRST },
        Event { rip: Rip::Plus(5), handler: Some(skip::<5>), ..UD_AGAIN },
        Event { rip: Rip::Plus(10), handler: Some(skip::<3>), ..UD_AGAIN },
        Event { rip: Rip::Plus(13), returns: Return::Next, ..UD_AGAIN }
    ]
}
const UD_AGAIN: Event = Event { returns: Return::Frame, ..UD };
const UD_FIRST: Event = Event { general: &[(General::Rax, 3), (General::Rdx, 0)], ..UD_AGAIN };

/// What FXSAVE has written, and at 0x400 an area whose XSTATE_BV is 0.
static AREAS: Areas<256> = Areas::new();

/// A quadword of the latter.
fn xsaved(index: usize) -> u64 {
    AREAS.word(128 + index)
}

mod in_use {
    use super::*;
    act! {
        name: "xrstor.in-use",
        set: ["lea rdi, [rip + {area}]"],
        armed: ["mov eax, 3", "mov edx, 0"],
        // The control word 0xC7F, and 0x5A5A in XMM3.
        act: [
            "fxsave64 [rdi]", "xrstor64 [rdi + 0x400]", "mov word ptr [rdi], 0xC7F", "mov word ptr [rdi + 208], 0x5A5A",
            "fxrstor64 [rdi]", "xsave64 [rdi + 0x400]", "fninit"
        ],
        area = sym AREAS,
    }
    pub(super) const CASE: Case = Case {
        name: "in-use",
        rule: "XRSTOR makes x87 and SSE initial; FXRSTOR of other values: both are in use, XSTATE_BV says, with these values.",
        needs: Needs::XSAVE,
        flags: CaseFlags::CONFORMANCE,
        prepare: || {
            enable_components(0);
            AREAS.fill(0..256, 0);
        },
        act: ACT,
        left: &Left { general: &[(General::Rax, 3), (General::Rdx, 0)], ..Left::NEW },
        results: &[
            Check { expected: 3, read: || xsaved(XSTATE_BV) },
            Check { expected: 0x0C7F, read: || xsaved(0) & 0xFFFF },
            Check { expected: 0x5A5A, read: || xsaved(26) & 0xFFFF },
        ],
        ..Case::NEW
    };
}
