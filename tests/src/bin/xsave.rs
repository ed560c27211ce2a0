//! XSAVE and XRSTOR: what they store and load of x87 and SSE.
//!
//! Rule: XSAVE stores the components that EDX:EAX and XCR0 both have, and of the header XSTATE_BV alone, in which the bits of
//! other components stay. MXCSR goes with SSE. XRSTOR loads those that XSTATE_BV has, and makes the others of EDX:EAX initial,
//! but takes MXCSR from the area with SSE in any case. CPUID's OSXSAVE and the size of the area follow CR4 and XCR0 (SDM
//! vol. 1 ch. 13, "Operation of XSAVE", "Operation of XRSTOR"; vol. 2, "CPUID").
//!
//! Known bugs that fail it: CPUID's OSXSAVE that does not follow CR4 (kvm_update_cpuid_runtime of KVM); an area of KVM_SET_XSAVE
//! whose XSTATE_BV is not the guest's.
#![no_std]
#![no_main]

use core::sync::atomic::AtomicU64;
use guest::prelude::*;
use tests::xsave_area::*;

guest::image! {
    name: "xsave",
    rule: "XSAVE stores and XRSTOR loads the components that are asked for, and no other byte.",
    spec: "SDM vol. 1 ch. 13 XSAVE, XRSTOR; vol. 2 CPUID",
    cases: [
        save::CASE, parts::CASE, restore::CASE, restore_parts::CASE, initial::CASE, fxsave::CASE,
        cpuid::CASE,
        size::CASE,
    ],
}

/// Three areas of 1024 bytes.
static AREAS: Areas<384> = Areas::new();
/// What is in them before a case.
const POISON: u64 = 0x5A5A_5A5A_5A5A_5A5A;

/// A quadword of the area number `area`.
fn word(area: usize, index: usize) -> u64 {
    AREAS.word(area * 128 + index)
}
fn set(area: usize, index: usize, value: u64) {
    AREAS.set(area * 128 + index, value);
}

/// Areas full of poison but for their headers, of which the first has XSTATE_BV with TILECFG, and XCR0 with x87 and SSE.
fn prepare() {
    enable_components(0);
    for area in 0..3 {
        (0..128).for_each(|index| set(area, index, POISON));
        (64..72).for_each(|index| set(area, index, 0));
    }
    set(0, 64, 1 << 17);
}

/// The second area as XRSTOR takes it: the control word 0x0C7F, every register valid, MXCSR 0xFF80, and registers whose
/// number shows.
fn fill() {
    prepare();
    set(1, 0, 0x00FF_0000_0C7F);
    set(1, 1, 0);
    set(1, 2, 0);
    set(1, 3, 0xFF80);
    (4..20).step_by(2).for_each(|index| {
        set(1, index, 0x8000_0000_0000_0000 + index as u64);
        set(1, index + 1, 0x3FFF);
    });
    (20..52).for_each(|index| set(1, index, 0xABCD_0000_0000_0000 + index as u64));
    set(1, 64, 3);
}

/// What acts load.
static LOADED: [AtomicU64; 5] = [
    AtomicU64::new(0xA1B2_C3D4_E5F6_0718),
    AtomicU64::new(0x2938_4A5B_6C7D_8E9F),
    // The control word of x87.
    AtomicU64::new(0x0C7F),
    // MXCSR, and as it is initially.
    AtomicU64::new(0xFF80),
    AtomicU64::new(0x1F80),
];

/// A case that raises nothing. RDI is the first of the areas, RAX and RDX are 3 and 0 in the end.
macro_rules! xsave {
    ($module:ident, $name:literal, $act:literal, $rule:literal, $prepare:expr, act: [$($line:literal),*], [$($check:expr),*]) => {
        mod $module {
            use super::*;
            act! {
                name: $act,
                set: ["lea rdi, [rip + {areas}]", "lea rsi, [rip + {loaded}]"],
                armed: ["mov eax, 3", "mov edx, 0"],
                act: [$($line),*],
                areas = sym AREAS,
                loaded = sym LOADED,
            }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: Needs::XSAVE,
                flags: CaseFlags::CONFORMANCE,
                prepare: $prepare,
                act: ACT,
                left: &Left { general: &[(General::Rax, 3), (General::Rdx, 0)], ..Left::NEW },
                results: &[$($check),*],
                ..Case::NEW
            };
        }
    };
}

/// A quadword of an area after the act.
macro_rules! area {
    ($area:literal, $index:literal, $expected:expr) => {
        Check { expected: $expected, read: || word($area, $index) }
    };
}

xsave! {
    save, "save", "xsave.save",
    "XSAVE of x87 and SSE: control words, the first and the last XMM register; XSTATE_BV; the rest of header and area stays.",
    prepare,
    act: [
        "fninit", "fldcw [rsi + 16]", "ldmxcsr [rsi + 24]", "movups xmm2, [rsi]", "movups xmm15, [rsi]",
        "mov qword ptr [rdi + 520], 0x5A", "xsave64 [rdi]"
    ],
    [
        Check { expected: 0x0C7F, read: || word(0, 0) & 0xFFFF_FFFF },
        Check { expected: 0xFF80, read: || word(0, 3) & 0xFFFF_FFFF },
        area!(0, 24, 0xA1B2_C3D4_E5F6_0718), area!(0, 25, 0x2938_4A5B_6C7D_8E9F),
        area!(0, 50, 0xA1B2_C3D4_E5F6_0718), area!(0, 51, 0x2938_4A5B_6C7D_8E9F),
        area!(0, 58, POISON), area!(0, 63, POISON), area!(0, 64, 0x2_0003), area!(0, 65, 0x5A), area!(0, 71, 0),
        area!(0, 72, POISON)
    ]
}
xsave! {
    parts, "parts", "xsave.parts",
    "XSAVE of x87 alone, then of SSE alone: each leaves the other's part as it was; MXCSR is SSE's.",
    prepare,
    act: [
        "fninit", "fldcw [rsi + 16]", "ldmxcsr [rsi + 24]", "movups xmm2, [rsi]", "mov eax, 1", "xsave64 [rdi]", "mov eax, 2",
        "xsave64 [rdi + 1024]", "mov eax, 3"
    ],
    [
        Check { expected: 0x0C7F, read: || word(0, 0) & 0xFFFF_FFFF },
        area!(0, 3, POISON), area!(0, 20, POISON), area!(0, 24, POISON), area!(0, 51, POISON), area!(0, 64, 0x2_0001),
        area!(1, 0, POISON), area!(1, 2, POISON), area!(1, 4, POISON),
        Check { expected: 0xFF80, read: || word(1, 3) & 0xFFFF_FFFF },
        area!(1, 24, 0xA1B2_C3D4_E5F6_0718), area!(1, 64, 2)
    ]
}
// The registers of the beginning are kept in the first area.
xsave! {
    restore, "restore", "xsave.restore",
    "XRSTOR of x87 and SSE, and XSAVE to another area: control words and the first and last register of each have come through.",
    fill,
    act: ["mov qword ptr [rdi + 512], 0", "xsave64 [rdi]", "xrstor64 [rdi + 1024]", "xsave64 [rdi + 2048]", "xrstor64 [rdi]"],
    [
        Check { expected: 0x00FF_0000_0C7F, read: || word(2, 0) & 0xFFFF_FFFF_FFFF },
        Check { expected: 0xFF80, read: || word(2, 3) & 0xFFFF_FFFF },
        area!(2, 4, 0x8000_0000_0000_0004), area!(2, 18, 0x8000_0000_0000_0012), area!(2, 20, 0xABCD_0000_0000_0014),
        area!(2, 24, 0xABCD_0000_0000_0018), area!(2, 51, 0xABCD_0000_0000_0033), area!(2, 64, 3)
    ]
}
xsave! {
    restore_parts, "restore-parts", "xsave.restore-parts",
    "XRSTOR of x87 alone, then of SSE alone into initial registers: after the first SSE and MXCSR are as they were.",
    fill,
    act: [
        "mov qword ptr [rdi + 512], 0", "xsave64 [rdi]", "ldmxcsr [rsi + 32]", "movups xmm2, [rsi]", "mov eax, 1", "xrstor64 [rdi + 1024]", "fnstcw [rdi + 1600]",
        "stmxcsr [rdi + 1608]", "movups [rdi + 1616], xmm2", "fninit", "mov eax, 2", "xrstor64 [rdi + 1024]", "fnstcw [rdi + 1632]",
        "stmxcsr [rdi + 1640]", "movups [rdi + 1648], xmm15", "mov eax, 3", "xrstor64 [rdi]"
    ],
    [
        Check { expected: 0x0C7F, read: || word(1, 72) & 0xFFFF },
        Check { expected: 0x1F80, read: || word(1, 73) & 0xFFFF_FFFF },
        area!(1, 74, 0xA1B2_C3D4_E5F6_0718), area!(1, 75, 0x2938_4A5B_6C7D_8E9F),
        Check { expected: 0x037F, read: || word(1, 76) & 0xFFFF },
        Check { expected: 0xFF80, read: || word(1, 77) & 0xFFFF_FFFF },
        area!(1, 78, 0xABCD_0000_0000_0032), area!(1, 79, 0xABCD_0000_0000_0033)
    ]
}
xsave! {
    initial, "initial", "xsave.initial",
    "XRSTOR with an XSTATE_BV of 0: control word and XMM15 become initial, MXCSR is the area's all the same.",
    || {
        fill();
        set(1, 64, 0);
    },
    act: [
        "mov qword ptr [rdi + 512], 0", "xsave64 [rdi]", "fldcw [rsi + 16]", "movups xmm15, [rsi]", "xrstor64 [rdi + 1024]",
        "fnstcw [rdi + 1600]", "stmxcsr [rdi + 1608]", "movups [rdi + 1616], xmm15", "xrstor64 [rdi]"
    ],
    [
        Check { expected: 0x037F, read: || word(1, 72) & 0xFFFF },
        Check { expected: 0xFF80, read: || word(1, 73) & 0xFFFF_FFFF },
        area!(1, 74, 0), area!(1, 75, 0)
    ]
}
xsave! {
    fxsave, "fxsave", "xsave.fxsave",
    "FXRSTOR of the same image, and FXSAVE to another area: control words and the first and last register of each; no byte more.",
    fill,
    act: [
        "fxsave64 [rdi]", "fxrstor64 [rdi + 1024]", "fxsave64 [rdi + 2048]", "fxrstor64 [rdi]"
    ],
    [
        Check { expected: 0x00FF_0000_0C7F, read: || word(2, 0) & 0xFFFF_FFFF_FFFF },
        // MXCSR, and MXCSR_MASK with every bit of it, whatever else the processor has.
        Check { expected: 0xFFFF_0000_FF80, read: || word(2, 3) & 0xFFFF_FFFF_FFFF },
        area!(2, 4, 0x8000_0000_0000_0004), area!(2, 18, 0x8000_0000_0000_0012), area!(2, 20, 0xABCD_0000_0000_0014),
        area!(2, 51, 0xABCD_0000_0000_0033), area!(2, 58, POISON), area!(2, 63, POISON), area!(2, 64, 0)
    ]
}

mod cpuid {
    use super::*;
    act! {
        name: "xsave.cpuid", set: [], armed: [],
        act: [
            "mov eax, 1", "cpuid", "and ecx, 0x8000000", "mov esi, ecx", "mov eax, 0xD", "mov ecx, 0", "cpuid", "mov edi, ebx",
            "mov rbp, cr4", "mov rax, rbp", "btr rax, 18", "mov cr4, rax", "mov eax, 1", "cpuid", "and ecx, 0x8000000",
            "mov cr4, rbp", "mov ebp, ecx", "mov eax, 0", "mov ebx, 0", "mov ecx, 0", "mov edx, 0", "push 2", "popfq"
        ],
    }
    pub(super) const CASE: Case = Case {
        name: "cpuid",
        rule: "CPUID of leaf 1 has OSXSAVE with CR4.OSXSAVE, and not without it; of leaf 0xD: 576 bytes for x87 and SSE.",
        needs: Needs::XSAVE,
        flags: CaseFlags::CONFORMANCE,
        prepare,
        act: ACT,
        left: &Left {
            general: &[
                (General::Rax, 0),
                (General::Rbx, 0),
                (General::Rcx, 0),
                (General::Rdx, 0),
                (General::Rsi, 0x800_0000),
                (General::Rdi, 576),
                (General::Rbp, 0),
            ],
            ..Left::NEW
        },
        ..Case::NEW
    };
}

mod size {
    use super::*;
    act! {
        name: "xsave.size", set: [], armed: [],
        act: [
            "mov eax, 0xD", "mov ecx, 0", "cpuid", "mov esi, ebx", "mov eax, 0xD", "mov ecx, 1", "cpuid", "mov edi, ebx",
            "mov eax, 0", "mov ebx, 0", "mov ecx, 0", "mov edx, 0"
        ],
    }
    pub(super) const CASE: Case = Case {
        name: "size",
        rule: "CPUID of leaf 0xD with tiles in XCR0: 11008 bytes; compacted, without the gap before them, 8832.",
        needs: Needs::AMX,
        flags: CaseFlags::CONFORMANCE,
        prepare: || enable_components(XCR0_TILES),
        act: ACT,
        left: &Left {
            general: &[
                (General::Rax, 0),
                (General::Rbx, 0),
                (General::Rcx, 0),
                (General::Rdx, 0),
                (General::Rsi, 11008),
                (General::Rdi, 8832),
            ],
            ..Left::NEW
        },
        ..Case::NEW
    };
}
