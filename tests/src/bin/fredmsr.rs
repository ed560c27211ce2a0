//! The FRED MSRs refuse what they cannot hold, and keep what they have.
//!
//! Rule: WRMSR is #GP(0), and the MSR keeps its value, for IA32_FRED_RSPn with one of bits 5:0 set or not canonical, for
//! IA32_FRED_SSP1..3 with one of bits 2:0 set or not canonical, for IA32_FRED_CONFIG with bit 2, 4, 5 or 11 set, and in
//! every ring but 0 (SDM vol. 3 ch. 8, "FRED MSRs"; vol. 2, "WRMSR").
//!
//! Known bugs that fail it: a hypervisor that passes these MSRs through and checks nothing when it has to emulate the
//! write, or that writes before it refuses; IA32_FRED_SSP0 refused where there are no shadow stacks.
//!
//! Not here: a CONFIG whose address is not canonical, and what IA32_FMASK does to an event (docs/open-questions.md);
//! CR4.FRED outside IA-32e mode, where the image has no code; WRMSRNS, which no need announces.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "fredmsr",
    rule: "A FRED MSR that refuses a value raises #GP(0) and keeps its own.",
    spec: "SDM vol. 3 ch. 8 FRED MSRs; vol. 2 WRMSR",
    cases: [
        rsp0_bit0::CASE, rsp2_bit5::CASE, rsp3_address::CASE, ssp0_bit1::CASE, ssp1_bit2::CASE,
        ssp3_address::CASE, config_bit2::CASE, config_bit5::CASE, config_bit11::CASE, ring3::CASE,
    ],
}

/// WRMSR of a value that is refused: #GP(0) with the whole of EDX:EAX, which are halves of that value.
macro_rules! refused {
    (
        $module:ident, $name:literal, $act:literal, msr: $msr:literal, high: $high:literal, low: $low:literal,
        mask: $mask:literal, kept: $kept:literal, $rule:literal
    ) => {
        mod $module {
            use super::*;
            act! {
                name: $act,
                set: ["mov ecx, {msr}"],
                armed: ["mov edx, {high}", "mov eax, {low}"],
                act: ["wrmsr"],
                msr = const $msr,
                high = const $high as u64,
                low = const $low as u64,
            }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: Needs::FRED,
                prepare: || {
                    route(13, 1, IST_FRAME);
                    // Of CONFIG the image decides the page.
                    write_msr($msr, read_msr($msr) & !$mask | $kept);
                },
                act: ACT,
                events: &[Event { general: &[(General::Rdx, $high), (General::Rax, $low)], ..GP }],
                results: &[Check { expected: $kept, read: || read_msr($msr) & $mask }],
                ..Case::NEW
            };
        }
    };
}

refused! {
    rsp0_bit0, "rsp0-bit0", "fredmsr.rsp0-bit0", msr: 0x1CC, high: 0x7A00, low: 0x1111_0001,
    mask: 0xFFFF_FFFF_FFFF_FFFF, kept: 0x0000_6B00_2222_0040,
    "IA32_FRED_RSP0 with bit 0 set: #GP(0), the old value stays."
}

refused! {
    rsp2_bit5, "rsp2-bit5", "fredmsr.rsp2-bit5", msr: 0x1CE, high: 0x7A00, low: 0x1111_0020,
    mask: 0xFFFF_FFFF_FFFF_FFFF, kept: 0xFFFF_9C00_3333_0080,
    "IA32_FRED_RSP2 with bit 5 set, the highest of the alignment: #GP(0), the old value stays."
}

refused! {
    rsp3_address, "rsp3-address", "fredmsr.rsp3-address", msr: 0x1CF, high: 0x8000, low: 0x0,
    mask: 0xFFFF_FFFF_FFFF_FFFF, kept: 0x0000_7FFF_FFFF_FFC0,
    "IA32_FRED_RSP3 with the lowest address that is not canonical: #GP(0); the highest that is stays."
}

refused! {
    ssp0_bit1, "ssp0-bit1", "fredmsr.ssp0-bit1", msr: 0x6A4, high: 0x5D00, low: 0x4002,
    mask: 0xFFFF_FFFF_FFFF_FFFF, kept: 0x0000_5D11_0000_4010,
    "IA32_PL0_SSP, which is IA32_FRED_SSP0, with bit 1 set: #GP(0), the old value stays."
}

refused! {
    ssp1_bit2, "ssp1-bit2", "fredmsr.ssp1-bit2", msr: 0x1D1, high: 0x5D00, low: 0x4004,
    mask: 0xFFFF_FFFF_FFFF_FFFF, kept: 0xFFFF_AD22_0000_4018,
    "IA32_FRED_SSP1 with bit 2 set: #GP(0), the old value stays."
}

refused! {
    ssp3_address, "ssp3-address", "fredmsr.ssp3-address", msr: 0x1D3, high: 0xFFFF_7FFF, low: 0xFFFF_FFF8,
    mask: 0xFFFF_FFFF_FFFF_FFFF, kept: 0xFFFF_8000_0000_0000,
    "IA32_FRED_SSP3 with the highest address that is not canonical: #GP(0); the lowest of the upper half stays."
}

refused! {
    config_bit2, "config-bit2", "fredmsr.config-bit2", msr: 0x1D4, high: 0x0, low: 0x4,
    mask: 0xFFF, kept: 0x0C8,
    "IA32_FRED_CONFIG with bit 2 set: #GP(0), the old value stays."
}

refused! {
    config_bit5, "config-bit5", "fredmsr.config-bit5", msr: 0x1D4, high: 0x0, low: 0x20,
    mask: 0xFFF, kept: 0x140,
    "IA32_FRED_CONFIG with bit 5 set: #GP(0), the old value stays."
}

refused! {
    config_bit11, "config-bit11", "fredmsr.config-bit11", msr: 0x1D4, high: 0x0, low: 0x800,
    mask: 0xFFF, kept: 0x7C8,
    "IA32_FRED_CONFIG with bit 11 set: #GP(0); every bit below that may be set stays."
}

mod ring3 {
    use super::*;
    act_ring3! { name: "fredmsr.ring3", set: ["mov ecx, 0x1CC"], act: ["wrmsr"], }
    pub(super) const CASE: Case = Case {
        name: "ring3",
        rule: "WRMSR of IA32_FRED_RSP0 in ring 3: #GP(0).",
        needs: Needs::FRED.union(Needs::USER),
        flags: CaseFlags::USER,
        act: ACT,
        events: &[Event {
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
