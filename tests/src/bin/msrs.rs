//! MSRs: each keeps what was written, across a migration too.
//!
//! Rule: IA32_FRED_RSP0..3, IA32_FRED_STKLVLS, IA32_FRED_SSP0..3 and IA32_FRED_CONFIG hold what WRMSR
//! put there (SDM vol. 3 ch. 8, "FRED MSRs"). IA32_FRED_SSP0 is IA32_PL0_SSP and exists with FRED
//! where there are no shadow stacks. The MSRs of SYSCALL and SYSENTER, IA32_PAT, IA32_TSC_AUX and
//! IA32_DEBUGCTL do so as well, and a #PF leaves BTF set (vol. 3, "Single-Stepping on Branches": a debug
//! exception clears it). Here each has a value of its own, but for the stack pointer
//! that the event itself uses: where the frame lands is its check.
//!
//! Known bugs that fail it: an MSR that is not saved, or not restored; RSP0 and SSP0
//! above all, which have no VMCS field and are easily taken for part of CET; bits of CONFIG lost; BTF ignored, as KVM does on Intel.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "msrs",
    rule: "Every MSR keeps what was written, after an event and across a migration.",
    spec: "SDM vol. 3 ch. 8 FRED MSRs; vol. 4",
    cases: [ring0::CASE, ring3::CASE, system::CASE, tsc_aux::CASE, debugctl::CASE],
}

/// A page fault from ring 0, at stack level 0.
const PAGE_FAULT: Event = Event { event_data: UNMAPPED, ..PF };

const RSP0: u32 = 0x1CC;
const RSP1: u32 = 0x1CD;
const RSP2: u32 = 0x1CE;
const RSP3: u32 = 0x1CF;
const STKLVLS: u32 = 0x1D0;
const SSP1: u32 = 0x1D1;
const SSP2: u32 = 0x1D2;
const SSP3: u32 = 0x1D3;
const SSP0: u32 = 0x6A4;
const SYSENTER_CS: u32 = 0x174;
const SYSENTER_ESP: u32 = 0x175;
const SYSENTER_EIP: u32 = 0x176;
const PAT: u32 = 0x277;
const LSTAR: u32 = 0xC000_0082;
const CSTAR: u32 = 0xC000_0083;
const TSC_AUX: u32 = 0xC000_0103;

/// Bits 11:0 of IA32_FRED_CONFIG: all but the entry page.
fn config() -> u64 {
    read_msr(0x1D4) & 0xFFF
}

mod ring0 {
    use super::*;
    act! { name: "msrs.ring0", set: ["movabs rdi, 0x8000001A58"], armed: [], act: ["mov rbx, [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "ring0",
        rule: "Every FRED MSR still has what was written, after a #PF that used RSP1.",
        needs: Needs::FRED,
        prepare: || {
            write_msr(RSP0, 0x0000_7A00_1111_0040);
            write_msr(RSP2, 0xFFFF_8B22_2222_2080);
            write_msr(RSP3, 0x0000_7C33_3333_30C0);
            // Bits 29:28, #PF's: level 1.
            write_msr(STKLVLS, 0xB4E1_9D27_163A_8C5D);
            write_msr(SSP0, 0x0000_5D00_0000_400C);
            write_msr(SSP1, 0x0000_5D11_1111_4010);
            write_msr(SSP2, 0xFFFF_AD22_2222_4018);
            write_msr(SSP3, 0x0000_5D33_3333_4020);
            set_config(0x5C8);
        },
        act: ACT,
        events: &[PAGE_FAULT],
        registers: Registers { cr2: UNMAPPED, ..RESTING },
        results: &[
            Check { expected: 0x0000_7A00_1111_0040, read: || read_msr(RSP0) },
            Check { expected: 0xFFFF_8B22_2222_2080, read: || read_msr(RSP2) },
            Check { expected: 0x0000_7C33_3333_30C0, read: || read_msr(RSP3) },
            Check { expected: 0xB4E1_9D27_163A_8C5D, read: || read_msr(STKLVLS) },
            Check { expected: 0x0000_5D00_0000_400C, read: || read_msr(SSP0) },
            Check { expected: 0x0000_5D11_1111_4010, read: || read_msr(SSP1) },
            Check { expected: 0xFFFF_AD22_2222_4018, read: || read_msr(SSP2) },
            Check { expected: 0x0000_5D33_3333_4020, read: || read_msr(SSP3) },
            Check { expected: 0x5C8, read: config },
        ],
        cancel: Cancel::Payload { payload: UNMAPPED, rflags: 0 },
        ..Case::NEW
    };
}

mod ring3 {
    use super::*;
    act_ring3! { name: "msrs.ring3", set: ["movabs rdi, 0x8000001A58"], act: ["mov rbx, [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "ring3",
        rule: "Every FRED MSR still has what was written, after a #PF from ring 3 that used RSP0.",
        needs: Needs::FRED.union(Needs::USER),
        flags: CaseFlags::USER,
        prepare: || {
            write_msr(RSP1, 0xFFFF_9A11_1111_1100);
            write_msr(RSP2, 0x0000_6B22_2222_2140);
            write_msr(RSP3, 0xFFFF_9C33_3333_3180);
            // Bits 29:28, #PF's: level 2, which does not matter from ring 3.
            write_msr(STKLVLS, 0x4B1E_62D8_E9C5_73A2);
            write_msr(SSP0, 0xFFFF_CD00_0000_8028);
            write_msr(SSP1, 0xFFFF_CD11_1111_8030);
            write_msr(SSP2, 0x0000_3D22_2222_8038);
            write_msr(SSP3, 0xFFFF_CD33_3333_8040);
            set_config(0x240);
        },
        act: ACT,
        events: &[Event {
            error_code: PFERR_USER,
            cs: USER_CS,
            rsp: Stack::User,
            ss: user_ss_slot(HARDWARE_EXCEPTION, 14),
            csl: 0,
            entry: 0,
            ..PAGE_FAULT
        }],
        registers: Registers { cr2: UNMAPPED, ..RESTING },
        results: &[
            Check { expected: 0xFFFF_9A11_1111_1100, read: || read_msr(RSP1) },
            Check { expected: 0x0000_6B22_2222_2140, read: || read_msr(RSP2) },
            Check { expected: 0xFFFF_9C33_3333_3180, read: || read_msr(RSP3) },
            Check { expected: 0x4B1E_62D8_E9C5_73A2, read: || read_msr(STKLVLS) },
            Check { expected: 0xFFFF_CD00_0000_8028, read: || read_msr(SSP0) },
            Check { expected: 0xFFFF_CD11_1111_8030, read: || read_msr(SSP1) },
            Check { expected: 0x0000_3D22_2222_8038, read: || read_msr(SSP2) },
            Check { expected: 0xFFFF_CD33_3333_8040, read: || read_msr(SSP3) },
            Check { expected: 0x240, read: config },
        ],
        ..Case::NEW
    };
}

mod system {
    use super::*;
    act! { name: "msrs.system", set: ["movabs rdi, 0x8000001A58"], armed: [], act: ["mov rbx, [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "system",
        rule: "The MSRs of SYSCALL and SYSENTER, and IA32_PAT, still have what was written, after a #PF.",
        prepare: || {
            write_msr(SYSENTER_CS, 0x18);
            // On AMD's processors KVM keeps 32 bits of these two (`svm_set_msr`): 64-bit mode has no SYSENTER.
            write_msr(SYSENTER_ESP, 0x89AB_2010);
            write_msr(SYSENTER_EIP, 0x7123_3020);
            write_msr(LSTAR, 0xFFFF_8000_0000_1030);
            write_msr(CSTAR, 0x0000_7ABC_DEF0_1140);
            // The upper four types, which no page here uses.
            write_msr(PAT, 0x0001_0506_0007_0406);
        },
        act: ACT,
        events: &[PAGE_FAULT],
        registers: Registers { cr2: UNMAPPED, ..RESTING },
        results: &[
            Check { expected: 0x18, read: || read_msr(SYSENTER_CS) },
            Check { expected: 0x89AB_2010, read: || read_msr(SYSENTER_ESP) },
            Check { expected: 0x7123_3020, read: || read_msr(SYSENTER_EIP) },
            Check { expected: 0xFFFF_8000_0000_1030, read: || read_msr(LSTAR) },
            Check { expected: 0x0000_7ABC_DEF0_1140, read: || read_msr(CSTAR) },
            Check { expected: 0x0001_0506_0007_0406, read: || read_msr(PAT) },
        ],
        cancel: Cancel::Payload { payload: UNMAPPED, rflags: 0 },
        ..Case::NEW
    };
}

mod tsc_aux {
    use super::*;
    act! { name: "msrs.tsc-aux", set: ["movabs rdi, 0x8000001A58"], armed: [], act: ["mov rbx, [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "tsc-aux",
        rule: "IA32_TSC_AUX still has what was written, after a #PF.",
        needs: Needs::RDTSCP,
        prepare: || write_msr(TSC_AUX, 0x89AB_CDEF),
        act: ACT,
        events: &[PAGE_FAULT],
        registers: Registers { cr2: UNMAPPED, ..RESTING },
        results: &[Check { expected: 0x89AB_CDEF, read: || read_msr(TSC_AUX) }],
        cancel: Cancel::Payload { payload: UNMAPPED, rflags: 0 },
        ..Case::NEW
    };
}

mod debugctl {
    use super::*;
    act! { name: "msrs.debugctl", set: ["movabs rdi, 0x8000001A58"], armed: [], act: ["mov rbx, [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "debugctl",
        rule: "IA32_DEBUGCTL.BTF is still set after a #PF.",
        prepare: || set_debugctl(BTF),
        act: ACT,
        events: &[PAGE_FAULT],
        registers: Registers { cr2: UNMAPPED, debugctl: BTF, ..RESTING },
        cancel: Cancel::Payload { payload: UNMAPPED, rflags: 0 },
        ..Case::NEW
    };
}
