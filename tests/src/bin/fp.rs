//! #MF and #XM: floating-point exceptions that are not masked, without event data.
//!
//! Rule: #MF comes of the first waiting x87 instruction, WAIT among them, after an x87 exception that the control
//! word does not mask, with CR0.NE. #XM comes of the SSE instruction itself, MXCSR has the exception then; without
//! CR4.OSXMMEXCPT it is #UD (SDM vol. 3 ch. 7, interrupts 16, 19). RIP is the instruction that faults, event data 0.
//!
//! Known bugs that fail it: the pending x87 exception or MXCSR's masks lost with the extended state in a migration;
//! #MF that an emulator takes for its own (flush_pending_x87_faults of KVM); event data of an earlier event.
#![no_std]
#![no_main]

use core::arch::asm;
use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "fp",
    rule: "#MF and #XM come where the x87 control word and MXCSR say, without event data.",
    spec: "SDM vol. 3 ch. 7 interrupts 16, 19; ch. 8 FRED",
    cases: [
        mf_wait::CASE, mf_ring3::CASE, mf_add::CASE, mf_fninit::CASE, xm_comiss::CASE, xm_ring3::CASE, xm_masked::CASE, xm_off::CASE,
        fnclex::CASE,
    ],
}

/// #MF.
const MF: Event = Event { vector: 16, ss: ss_slot(HARDWARE_EXCEPTION, 16), ..Event::NEW };
/// #XM.
const XM: Event = Event { vector: 19, ss: ss_slot(HARDWARE_EXCEPTION, 19), ..Event::NEW };

/// An x87 exception is pending, invalid operation, which the control word does not mask. #MF on the frame page.
fn x87_exception() {
    route(16, 1, IST_FRAME);
    // SAFETY: FXSAVE's area is on the window page; compiled code uses neither x87 nor SSE, and XMM registers stay.
    unsafe {
        asm!(
            "fninit", "fxsave64 [{0}]",
            "mov word ptr [{0}], 0x37E", "mov word ptr [{0} + 2], 0x8081",
            "fxrstor64 [{0}]",
            in(reg) paging::WRITABLE + 0x200, options(nostack, preserves_flags),
        );
    }
}

/// The x87 status word; then no exception is pending.
fn x87_exceptions() -> u64 {
    // SAFETY: compiled code does not use x87, and the window page is only reached through raw pointers.
    unsafe {
        asm!("fnstsw word ptr [{}]", "fninit", in(reg) paging::WRITABLE + 0x200, options(nostack, preserves_flags));
    }
    paging::window(0x200) & 0xFFFF
}

mod mf_wait {
    use super::*;
    act! { name: "fp.mf-wait", set: [], armed: [], act: ["fwait"], }
    pub(super) const CASE: Case = Case {
        name: "mf-wait",
        rule: "WAIT after an x87 exception: #MF, RIP the WAIT; the exception stays in the status word.",
        prepare: x87_exception,
        act: ACT,
        events: &[MF],
        results: &[Check { expected: 0x8081, read: x87_exceptions }],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod mf_ring3 {
    use super::*;
    act_ring3! { name: "fp.mf-ring3", set: [], act: ["fwait"], }
    pub(super) const CASE: Case = Case {
        name: "mf-ring3",
        rule: "WAIT in ring 3 after an x87 exception: #MF, ring-3 entry point, stack level 0.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: x87_exception,
        act: ACT,
        events: &[Event {
            cs: USER_CS,
            rsp: Stack::User,
            ss: user_ss_slot(HARDWARE_EXCEPTION, 16),
            csl: 0,
            entry: 0,
            ..MF
        }],
        results: &[Check { expected: 0x8081, read: x87_exceptions }],
        ..Case::NEW
    };
}

mod mf_add {
    use super::*;
    act_ring3! { name: "fp.mf-add", set: [], act: ["fadd st(0), st(1)"], }
    pub(super) const CASE: Case = Case {
        name: "mf-add",
        rule: "FADD in ring 3 after an x87 exception: #MF before it computes anything, the status word stays.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: x87_exception,
        act: ACT,
        events: &[Event {
            cs: USER_CS,
            rsp: Stack::User,
            ss: user_ss_slot(HARDWARE_EXCEPTION, 16),
            csl: 0,
            entry: 0,
            ..MF
        }],
        results: &[Check { expected: 0x8081, read: x87_exceptions }],
        ..Case::NEW
    };
}

mod mf_fninit {
    use super::*;
    act! { name: "fp.mf-fninit", set: [], armed: [], act: ["fninit"], }
    pub(super) const CASE: Case = Case {
        name: "mf-fninit",
        rule: "FNINIT, which does not wait, after an x87 exception: nothing is raised, and none is pending.",
        flags: CaseFlags::CONFORMANCE,
        prepare: x87_exception,
        act: ACT,
        results: &[Check { expected: 0, read: x87_exceptions }],
        ..Case::NEW
    };
}

/// Writes MXCSR, by FXRSTOR, as KVM's emulator knows it but not LDMXCSR; XMM registers stay.
fn set_mxcsr(value: u64) {
    // SAFETY: as in `x87_exception`.
    unsafe {
        asm!(
            "fxsave64 [{0}]", "mov dword ptr [{0} + 24], {1:e}", "fxrstor64 [{0}]",
            in(reg) paging::WRITABLE + 0x200, in(reg) value, options(nostack, preserves_flags),
        );
    }
}

/// A quiet NaN lies at 0x80_0000_4100, and `mxcsr` is in MXCSR. #XM on the frame page, or #UD.
fn sse_exception(mxcsr: u64, cr4: u64) {
    paging::set_window(0x100, 0x7FC0_0000);
    set_mxcsr(mxcsr);
    set_control(|cr0| cr0, cr4);
    route(19, 1, IST_FRAME);
    route(6, 1, IST_FRAME);
}

/// MXCSR; then every exception is masked and none is recorded.
fn mxcsr() -> u64 {
    // SAFETY: as in `x87_exception`.
    unsafe { asm!("fxsave64 [{}]", in(reg) paging::WRITABLE + 0x200, options(nostack, preserves_flags)) };
    let mxcsr = paging::window(0x218) & 0xFFFF_FFFF;
    set_mxcsr(0x1F80);
    mxcsr
}

mod xm_comiss {
    use super::*;
    act! { name: "fp.xm-comiss", set: ["movabs rdi, 0x8000004100"], armed: [], act: ["comiss xmm0, [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "xm-comiss",
        rule: "COMISS with a NaN, invalid operation not masked: #XM, MXCSR.IE set, status flags as they were.",
        prepare: || sse_exception(0x1F00, OSXMMEXCPT),
        act: ACT,
        events: &[XM],
        results: &[Check { expected: 0x1F01, read: mxcsr }],
        // What the host queues, no instruction has recorded in MXCSR.
        cancel: Cancel::No,
        ..Case::NEW
    };
}

mod xm_ring3 {
    use super::*;
    act_ring3! {
        name: "fp.xm-ring3",
        set: ["mov dword ptr [rip + {stack} + 0x100], 0x7FC00000", "lea rdi, [rip + {stack} + 0x100]"],
        act: ["comiss xmm0, [rdi]"],
        stack = sym USER_STACK,
    }
    pub(super) const CASE: Case = Case {
        name: "xm-ring3",
        rule: "The same in ring 3: #XM, ring-3 entry point, stack level 0.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || sse_exception(0x1F00, OSXMMEXCPT),
        act: ACT,
        events: &[Event {
            cs: USER_CS,
            rsp: Stack::User,
            ss: user_ss_slot(HARDWARE_EXCEPTION, 19),
            csl: 0,
            entry: 0,
            ..XM
        }],
        results: &[Check { expected: 0x1F01, read: mxcsr }],
        ..Case::NEW
    };
}

mod xm_masked {
    use super::*;
    act! { name: "fp.xm-masked", set: ["movabs rdi, 0x8000004100"], armed: [], act: ["comiss xmm0, [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "xm-masked",
        rule: "COMISS with a NaN, invalid operation masked: nothing is raised, unordered, MXCSR.IE set.",
        flags: CaseFlags::CONFORMANCE,
        prepare: || sse_exception(0x1F80, OSXMMEXCPT),
        act: ACT,
        left: &Left { rflags: 0x47, ..Left::NEW },
        results: &[Check { expected: 0x1F81, read: mxcsr }],
        ..Case::NEW
    };
}

mod xm_off {
    use super::*;
    act! { name: "fp.xm-off", set: ["movabs rdi, 0x8000004100"], armed: [], act: ["comiss xmm0, [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "xm-off",
        rule: "COMISS with a NaN, invalid operation not masked, without CR4.OSXMMEXCPT: #UD.",
        prepare: || sse_exception(0x1F00, 0),
        act: ACT,
        events: &[UD],
        results: &[Check { expected: 0x1F01, read: mxcsr }],
        // What the host queues, no instruction has recorded in MXCSR.
        cancel: Cancel::No,
        ..Case::NEW
    };
}

mod fnclex {
    use super::*;
    act_ring3! { name: "fp.fnclex", set: [], act: ["fnclex", "fwait"], }
    pub(super) const CASE: Case = Case {
        name: "fnclex",
        rule: "FNCLEX after an x87 exception: WAIT raises no #MF any more, TOP stays 3.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || {
            x87_exception();
            // SAFETY: the area that was loaded, with TOP 3 in the status word; compiled code does not use x87.
            unsafe {
                asm!(
                    "or word ptr [{0} + 2], 0x1800", "fxrstor64 [{0}]",
                    in(reg) paging::WRITABLE + 0x200, options(nostack),
                );
            }
            route(6, 1, IST_FRAME);
        },
        act: ACT,
        events: &[Event {
            rip: Rip::After,
            cs: USER_CS,
            rsp: Stack::User,
            ss: user_ss_slot(HARDWARE_EXCEPTION, 6),
            csl: 0,
            entry: 0,
            ..UD
        }],
        // It leaves the condition codes undefined.
        results: &[Check { expected: 0x1800, read: || x87_exceptions() & !0x4700 }],
        ..Case::NEW
    };
}
