//! Returns to ring 3: what ERETU and IRETQ load, ring 3 has.
//!
//! Rule: both load RF, TF and RSP as they are, RSP also when it is not canonical. Bit 17 of the SS slot makes a single
//! step pending at once, bit 18 unblocks NMIs, bit 16 means nothing to ERETU. In compatibility mode ERETU truncates RIP
//! to 32 bits. ERETU exchanges the base of GS and IA32_KERNEL_GS_BASE (SDM vol. 2, "ERETU", operation; "IRET").
//!
//! Known bugs that fail it: the exchange of GS forgotten or done twice, when ERETU is emulated or run again after an
//! exit; the single step after a system call lost; NMIs unblocked by every return; RF dropped, so that a debugger's
//! breakpoint comes for ever.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "return-ring3",
    rule: "Ring 3 has what the return loads, and a pending step or an NMI where its SS slot asks for it.",
    spec: "SDM vol. 2 ERETU, IRET; vol. 3 ch. 8 FRED return",
    cases: [
        rf::CASE,
        step::CASE,
        step_at_once::CASE,
        sti::CASE,
        nmi::CASE,
        compatibility_mode::CASE,
        rsp_whole::CASE,
        gs::CASE,
        segments::CASE, expand_down::CASE,
    ],
}

const STEPPED: Registers = Registers { dr6: DR6 | BS, ..RESTING };

/// #UD in ring 3.
const USER_UD: Event =
    Event { cs: USER_CS, rsp: Stack::User, ss: user_ss_slot(HARDWARE_EXCEPTION, 6), csl: 0, entry: 0, ..UD };

/// A single step in ring 3.
const USER_STEP: Event = Event {
    cs: USER_CS,
    rsp: Stack::User,
    ss: user_ss_slot(HARDWARE_EXCEPTION, 1),
    csl: 0,
    entry: 0,
    ..SINGLE_STEP
};

/// #PF in ring 3, a read at offset 8 of GS.
const USER_PF: Event = Event {
    vector: 14,
    error_code: PFERR_USER,
    ss: user_ss_slot(HARDWARE_EXCEPTION, 14),
    event_data: 0xFFFF_FFFF_8888_9008,
    idt_frame_bytes: 48,
    ..USER_UD
};

mod rf {
    use super::*;
    act_ring3! { name: "return-ring3.rf", cs: "0x2B", ss: "0x23", rflags: "0x10002", set: [], act: ["ud2"], }
    pub(super) const CASE: Case = Case {
        name: "rf",
        rule: "ERETU and IRETQ with RF onto an execution breakpoint in ring 3: no #DB, the #UD comes.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || {
            route(6, 1, IST_FRAME);
            set_dr0(ACT.act.value());
            set_dr7(DR7 | L0);
        },
        act: ACT,
        events: &[USER_UD],
        registers: Registers { dr7: DR7 | L0, ..RESTING },
        ..Case::NEW
    };
}

mod step {
    use super::*;
    act_ring3! { name: "return-ring3.step", cs: "0x2B", ss: "0x23", rflags: "0x102", set: [], act: ["nop"], }
    pub(super) const CASE: Case = Case {
        name: "step",
        rule: "ERETU and IRETQ to ring 3 with TF: one instruction runs, then a single step.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        act: ACT,
        events: &[USER_STEP],
        registers: STEPPED,
        ..Case::NEW
    };
}

mod step_at_once {
    use super::*;
    act_ring3! {
        name: "return-ring3.step-at-once", cs: "0x2B", ss: "0x20023", rflags: "0x102", set: [], act: ["nop"],
    }
    pub(super) const CASE: Case = Case {
        name: "step-at-once",
        rule: "ERETU to ring 3 with TF and bit 17: a single step before any instruction. IRETQ: after one.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        act: ACT,
        events: &[Event { rip: Rip::Act, ..USER_STEP }],
        registers: STEPPED,
        idt: Some(&Idt { events: &[USER_STEP], left: Left::NEW }),
        ..Case::NEW
    };
}

mod sti {
    use super::*;
    act_ring3! { name: "return-ring3.sti", cs: "0x2B", ss: "0x10023", rflags: "0x202", set: [], act: ["ud2"], }
    pub(super) const CASE: Case = Case {
        name: "sti",
        rule: "ERETU with bit 16 and IF: no blocking by STI.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[Event { rflags: RFLAGS | RF | IF, ..USER_UD }],
        ..Case::NEW
    };
}

mod nmi {
    use super::*;
    act_ring3! { name: "return-ring3.nmi", cs: "0x2B", ss: "0x23", rflags: "2", set: [], act: ["ud2"], }
    pub(super) const CASE: Case = Case {
        name: "nmi",
        rule: "An NMI that waits: an ERETU without bit 18 leaves NMIs blocked, the next, with it, lets it come.",
        // IRETQ unblocks always.
        needs: Needs::USER.union(Needs::FRED).union(Needs::NMI),
        flags: CaseFlags::USER.union(CaseFlags::BLOCK_NMI).union(CaseFlags::NMI_AT_CUT),
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[
            Event {
                handler: Some(|frame| {
                    frame.ss |= SS_NMI;
                    frame.rflags &= !RF;
                }),
                returns: Return::Frame,
                ..USER_UD
            },
            Event {
                vector: 2,
                rflags: RFLAGS,
                ss: user_ss_slot(NON_MASKABLE_INTERRUPT, 2) | SS_NMI,
                ..USER_UD
            },
        ],
        ..Case::NEW
    };
}

mod compatibility_mode {
    use super::*;
    act_ring3! {
        name: "return-ring3.compatibility-mode", cs: "0x1B", ss: "0x23", rflags: "2",
        // RIP, above the error code.
        set: ["movabs rbx, 0x8000123400000000", "or [rsp + 8], rbx"], act: [".code32", "ud2"],
    }
    pub(super) const CASE: Case = Case {
        name: "compatibility-mode",
        rule: "ERETU to compatibility mode: bits 63:32 of RIP count for nothing. Bit 57 of #UD's SS slot is 0.",
        needs: Needs::FRED.union(Needs::USER),
        flags: CaseFlags::USER,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[Event { cs: 0x1B, ss: 0x0003_0006_0000_0023, ..USER_UD }],
        ..Case::NEW
    };
}

mod rsp_whole {
    use super::*;
    act_ring3! {
        name: "return-ring3.rsp-whole",
        // RSP, the fourth above the error code.
        set: ["movabs rbx, 0x8000000000000123", "mov [rsp + 32], rbx"], act: ["ud2"],
    }
    pub(super) const CASE: Case = Case {
        name: "rsp-whole",
        rule: "ERETU and IRETQ load RSP as it is, though it is not canonical.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[Event { rsp: Stack::At(0x8000_0000_0000_0123), ..USER_UD }],
        ..Case::NEW
    };
}

mod gs {
    use super::*;
    act_ring3! { name: "return-ring3.gs", set: [], act: ["mov rbx, gs:[8]"], }
    pub(super) const CASE: Case = Case {
        name: "gs",
        rule: "After ERETU the base of GS is what IA32_KERNEL_GS_BASE was: the address of a #PF shows it.",
        needs: Needs::FRED.union(Needs::USER),
        flags: CaseFlags::USER,
        act: ACT,
        events: &[USER_PF],
        registers: Registers { cr2: 0xFFFF_FFFF_8888_9008, ..RESTING },
        ..Case::NEW
    };
}

mod segments {
    use super::*;
    act_ring3! {
        name: "return-ring3.segments",
        set: ["mov ecx, 0x10", "mov ds, ecx", "mov es, ecx"],
        act: ["mov ebx, ds", "mov ecx, es", "ud2"],
    }
    pub(super) const CASE: Case = Case {
        name: "segments",
        rule: "ERETU with data segments of ring 0 in DS and ES: unlike IRETQ it leaves them there.",
        needs: Needs::USER.union(Needs::FRED),
        flags: CaseFlags::USER,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[Event {
            rip: Rip::Plus(4),
            general: &[(General::Rbx, 0x10), (General::Rcx, 0x10)],
            ..USER_UD
        }],
        ..Case::NEW
    };
}

mod expand_down {
    use super::*;
    act_ring3! {
        name: "return-ring3.expand-down",
        set: ["mov ecx, 0x48", "mov ds, ecx", "mov ecx, 0x50", "mov es, ecx"],
        act: ["mov ebx, ds", "mov ecx, es", "ud2"],
    }
    pub(super) const CASE: Case = Case {
        name: "expand-down",
        rule: "IRETQ with expand-down data of ring 0 in DS, conforming code of ring 0 in ES: DS is null then, ES stays.",
        needs: Needs::USER.union(Needs::IDT),
        flags: CaseFlags::USER.union(CaseFlags::TOUCHES_GDT),
        prepare: || {
            // Data, expand-down, writable; conforming code, readable.
            set_descriptor(0x48, 0x00CF_9600_0000_FFFF);
            set_descriptor(0x50, 0x00AF_9E00_0000_FFFF);
            route(6, 1, IST_FRAME);
        },
        act: ACT,
        events: &[Event {
            rip: Rip::Plus(4),
            general: &[(General::Rbx, 0), (General::Rcx, 0x50)],
            ..USER_UD
        }],
        ..Case::NEW
    };
}
