//! What control registers, debug registers, XCR0 and MSRs refuse, in ring 0.
//!
//! Rule: MOV to CR0 raises #GP(0) for PG without PE, NW without CD, bit 32, and for an end of paging in 64-bit mode;
//! to CR3 above MAXPHYADDR; to CR4 for a reserved bit, and for the end of PAE. CR1 is #UD. XSETBV refuses another
//! register than XCR0, a value without x87, TILECFG without TILEDATA, and what CPUID does not have; XGETBV a
//! register that is not there. DR4 is #UD with CR4.DE; bits 63:32 of DR6 are #GP(0). WRMSR
//! refuses reserved bits and types (SDM vol. 2, "MOV", "XSETBV", "XGETBV", "WRMSR"; vol. 3 ch. 2, 12, 19). Nothing
//! has changed then.
//!
//! Not here: the same without FRED. QEMU's TCG checks nothing of it, and no image survives there.
//!
//! Known bugs that fail it: a check that a hypervisor forgets in an intercept (kvm_set_cr0, kvm_set_cr3, kvm_set_cr4,
//! __kvm_set_xcr); IA32_XFD that takes any value (MSR_IA32_XFD in kvm_set_msr_common).
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "control",
    rule: "A value that a control register, a debug register, XCR0 or an MSR does not take is #GP(0).",
    spec: "SDM vol. 2 MOV, XSETBV, XGETBV; vol. 3 ch. 2, 12, 19",
    cases: [
        cr0::CASE, cr3_cr4::CASE, undefined::CASE, xcr::CASE, msrs::CASE, msr_absent::CASE, xfd::CASE, lgdt::CASE, lmsw::CASE, smsw::CASE, fixed::CASE,
    ],
}

/// #GP(0) so many bytes after the act's first instruction, which is 3 bytes long; its handler returns after it.
const fn refused(bytes: u64) -> Event {
    Event { rip: Rip::Plus(bytes), handler: Some(skip::<3>), returns: Return::Frame, ..GP }
}
/// The same with EDX:EAX.
const fn refused_pair(bytes: u64, general: &'static [(General, u64)]) -> Event {
    Event { general, ..refused(bytes) }
}
/// The same for an instruction of 2 bytes.
const fn refused_msr(bytes: u64, general: &'static [(General, u64)]) -> Event {
    Event { handler: Some(skip::<2>), ..refused_pair(bytes, general) }
}

mod cr0 {
    use super::*;
    act! {
        name: "control.cr0",
        set: [
            "mov rcx, cr0", "mov rbx, rcx", "mov rsi, rcx", "mov rdi, rcx", "and ecx, 0xFFFFFFFE",
            "and ebx, 0xBFFFFFFF", "or ebx, 0x20000000", "bts rsi, 32", "and edi, 0x7FFFFFFF"
        ],
        armed: [],
        act: ["mov cr0, rcx", "mov cr0, rbx", "mov cr0, rsi", "mov cr0, rdi"],
    }
    pub(super) const CASE: Case = Case {
        name: "cr0",
        rule: "MOV to CR0 of PG without PE, NW without CD, bit 32, and without PG in 64-bit mode: #GP(0) each time.",
        needs: Needs::FRED,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[refused(0), refused(3), refused(6), refused(9)],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod cr3_cr4 {
    use super::*;
    act! {
        name: "control.cr3-cr4",
        set: [
            "mov rcx, cr3", "bts rcx, 52", "mov rbx, cr4", "mov rsi, rbx", "bts rbx, 63", "btr rsi, 5"
        ],
        armed: [],
        act: ["mov cr3, rcx", "mov cr4, rbx", "mov cr4, rsi"],
    }
    pub(super) const CASE: Case = Case {
        name: "cr3-cr4",
        rule: "MOV to CR3 of bit 52, above any MAXPHYADDR, to CR4 of bit 63, and without PAE: #GP(0) each time.",
        needs: Needs::FRED,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[refused(0), refused(3), refused(6)],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod undefined {
    use super::*;
    // MOV RBX, CR1; MOV RBX, DR4; MOV DR6, RCX: 3 bytes each.
    act! {
        name: "control.undefined",
        set: ["mov ecx, 1", "bts rcx, 63"],
        armed: [],
        act: [".byte 0x0F, 0x20, 0xCB", ".byte 0x0F, 0x21, 0xE3", "mov dr6, rcx"],
    }
    pub(super) const CASE: Case = Case {
        name: "undefined",
        rule: "MOV from CR1, and from DR4 with CR4.DE, which is set: #UD; MOV to DR6 of bit 63: #GP(0), and DR6 stays.",
        prepare: || {
            route(6, 1, IST_FRAME);
            route(13, 1, IST_FRAME);
        },
        act: ACT,
        events: &[
            Event { vector: 6, ss: ss_slot(HARDWARE_EXCEPTION, 6), idt_frame_bytes: 40, ..refused(0) },
            Event { vector: 6, ss: ss_slot(HARDWARE_EXCEPTION, 6), idt_frame_bytes: 40, ..refused(3) },
            refused(6),
        ],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod xcr {
    use super::*;
    // XSETBV and XGETBV are 3 bytes long, MOV 5.
    act! {
        name: "control.xcr",
        set: ["mov ecx, 1"],
        armed: ["mov eax, 3", "mov edx, 0"],
        act: [
            "xsetbv", "mov ecx, 0", "mov eax, 2", "xsetbv", "mov eax, 0x20003", "xsetbv", "mov eax, 3",
            "mov edx, 0x40000000", "xsetbv", "mov ecx, 5", "xgetbv"
        ],
    }
    pub(super) const CASE: Case = Case {
        name: "xcr",
        rule: "XSETBV of XCR1, without x87, of TILECFG alone, of bit 62, and XGETBV of register 5: #GP(0) each time.",
        needs: Needs::AMX.union(Needs::FRED),
        prepare: || {
            route(13, 1, IST_FRAME);
            enable_components(XCR0_TILES);
        },
        act: ACT,
        events: &[
            refused_pair(0, &[(General::Rax, 3), (General::Rdx, 0)]),
            refused_pair(13, &[(General::Rcx, 0), (General::Rax, 2)]),
            refused_pair(21, &[(General::Rax, 0x2_0003)]),
            refused_pair(34, &[(General::Rax, 3), (General::Rdx, 0x4000_0000)]),
            refused_pair(42, &[(General::Rcx, 5)]),
        ],
        ..Case::NEW
    };
}

mod msrs {
    use super::*;
    // WRMSR is 2 bytes long, MOV 5.
    act! {
        name: "control.msrs",
        set: ["mov ecx, 0x277"],
        armed: ["mov eax, 0x70402", "mov edx, 0x70406"],
        act: ["wrmsr", "mov ecx, 0xC0000080", "mov eax, 0", "mov edx, 0", "wrmsr"],
    }
    pub(super) const CASE: Case = Case {
        name: "msrs",
        rule: "WRMSR of IA32_PAT with memory type 2, of EFER without LME while paging is on: #GP(0) both times, nothing changed.",
        needs: Needs::FRED,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[
            refused_msr(0, &[(General::Rax, 0x7_0402), (General::Rdx, 0x7_0406)]),
            refused_msr(17, &[(General::Rcx, 0xC000_0080), (General::Rax, 0), (General::Rdx, 0)]),
        ],
        results: &[Check { expected: 0x0007_0406_0007_0406, read: || read_msr(0x277) }],
        ..Case::NEW
    };
}

mod msr_absent {
    use super::*;
    act! { name: "control.msr-absent", set: ["mov ecx, 0x40000FFF"], armed: [], act: ["wrmsr", "rdmsr"], }
    pub(super) const CASE: Case = Case {
        name: "msr-absent",
        rule: "WRMSR, then RDMSR, of an MSR that does not exist: #GP(0) both times, EDX:EAX stay.",
        needs: Needs::FRED,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[refused_msr(0, &[]), refused_msr(2, &[])],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod xfd {
    use super::*;
    act! {
        name: "control.xfd",
        set: ["mov ecx, 0x1C4"],
        armed: ["mov eax, 2", "mov edx, 0"],
        act: ["wrmsr", "mov ecx, 0x1C5", "wrmsr"],
    }
    pub(super) const CASE: Case = Case {
        name: "xfd",
        rule: "WRMSR of IA32_XFD, then of IA32_XFD_ERR, with a component that XFD does not disable: #GP(0), both stay 0.",
        needs: Needs::XFD.union(Needs::FRED),
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[
            refused_msr(0, &[(General::Rax, 2), (General::Rdx, 0)]),
            refused_msr(7, &[(General::Rcx, 0x1C5)]),
        ],
        ..Case::NEW
    };
}

mod lgdt {
    use super::*;
    act! { name: "control.lgdt", set: ["movabs rdi, 0x8000004108"], armed: [], act: ["lgdt [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "lgdt",
        rule: "LGDT of a base that is not canonical: #GP(0), and the old table stays in use.",
        needs: Needs::FRED,
        prepare: || {
            route(13, 1, IST_FRAME);
            // Limit 0xFFF, base 0x8000_0000_0000.
            paging::set_window(0x108, 0x8000_0000_0000_0FFF);
            paging::set_window(0x110, 0);
        },
        act: ACT,
        events: &[GP],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod lmsw {
    use super::*;
    act! { name: "control.lmsw", set: ["mov ecx, 0xFFF8"], armed: ["lmsw cx"], act: ["fninit"], }
    pub(super) const CASE: Case = Case {
        name: "lmsw",
        rule: "LMSW sets TS and clears MP, and PE stays: an x87 instruction after it is #NM.",
        // CR0 is restored after the case.
        prepare: || set_control(|cr0| cr0, 0),
        act: ACT,
        events: &[NM],
        registers: Registers { cr0: TS, ..RESTING },
        ..Case::NEW
    };
}

mod smsw {
    use super::*;
    act! { name: "control.smsw", set: [], armed: [], act: ["smsw rbx"], then: ["mov rcx, cr0", "sub rbx, rcx", "mov ecx, 0"], }
    pub(super) const CASE: Case = Case {
        name: "smsw",
        rule: "SMSW of 64 bits reads what MOV from CR0 reads.",
        flags: CaseFlags::CONFORMANCE,
        act: ACT,
        left: &Left { rflags: 0x46, general: &[(General::Rbx, 0), (General::Rcx, 0)], ..Left::NEW },
        ..Case::NEW
    };
}

mod fixed {
    use super::*;
    act! {
        name: "control.fixed",
        set: ["mov ebx, 0xFFFFFFFF", "mov ecx, 0xD400", "mov edi, 0xFFFF0FF0"],
        armed: [],
        act: ["mov dr6, rbx", "mov rbx, dr6", "mov dr7, rcx", "mov rcx, dr7", "mov dr6, rdi"],
    }
    pub(super) const CASE: Case = Case {
        name: "fixed",
        rule: "MOV to DR6 of 32 ones, to DR7 of bits 15, 14 and 12: bit 12 of DR6 and those of DR7 stay 0.",
        flags: CaseFlags::CONFORMANCE,
        act: ACT,
        left: &Left { general: &[(General::Rbx, 0xFFFF_EFFF), (General::Rcx, 0x400)], ..Left::NEW },
        ..Case::NEW
    };
}
