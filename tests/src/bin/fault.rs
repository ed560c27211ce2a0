//! Faults without event data, each by more than one way: #DE, #UD, #SS(0) and #GP(0).
//!
//! Rule: #DE comes of a quotient that does not fit as of a division by 0; #UD of an opcode or a prefix that does not
//! exist, before the operand is looked at; #SS(0) of an address that is not canonical with RSP or RBP as base, #GP(0)
//! with any other; #GP(0) of an operand that is not aligned or a value that a register does not take, which keeps
//! its own (SDM vol. 3 ch. 7, interrupts 0, 6, 12, 13). The event data is 0, RF is 1, registers stay.
//!
//! Out: #BR, which in 64-bit mode only MPX raises, and no processor with FRED has it (BOUND does not exist there).
//! #CP: the model does not offer CET.
//!
//! Known bugs that fail it: #GP for #SS by an emulator that looks at the segment but not at the base (linearize of
//! KVM's); the register written before the value is refused; event data of an earlier event in the frame.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "fault",
    rule: "#DE, #UD, #SS(0) and #GP(0), whatever the cause, have no event data, and registers stay.",
    spec: "SDM vol. 3 ch. 7 interrupts 0, 6, 12, 13; ch. 8 FRED",
    cases: [
        divide_overflow::CASE, idiv_minimum::CASE, lock_register::CASE, push_es::CASE, ud1_unmapped::CASE,
        push_not_canonical::CASE, rbp_not_canonical::CASE, rbp_ring3::CASE, movaps_unaligned::CASE, mov_cr8::CASE,
        mov_dr7::CASE, wrmsr::CASE, mov_cr0_ring3::CASE,
    ],
}

/// #DE.
const DE: Event = Event { vector: 0, ss: ss_slot(HARDWARE_EXCEPTION, 0), ..Event::NEW };
/// #SS(0).
const SS: Event =
    Event { vector: 12, ss: ss_slot(HARDWARE_EXCEPTION, 12), idt_frame_bytes: 48, ..Event::NEW };

/// CR8, which is 0 by default.
fn cr8() -> u64 {
    let cr8: u64;
    // SAFETY: reads a register.
    unsafe { core::arch::asm!("mov {}, cr8", out(reg) cr8, options(nomem, nostack, preserves_flags)) };
    cr8
}

mod divide_overflow {
    use super::*;
    act! { name: "fault.divide-overflow", set: ["mov ecx, 1"], armed: [], act: ["div ecx"], }
    pub(super) const CASE: Case = Case {
        name: "divide-overflow",
        rule: "DIV whose quotient has 33 bits: #DE, and RDX and RAX stay.",
        prepare: || route(0, 1, IST_FRAME),
        act: ACT,
        events: &[DE],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod idiv_minimum {
    use super::*;
    act! {
        name: "fault.idiv-minimum",
        set: ["mov ecx, -1"],
        armed: ["mov eax, 0x80000000", "mov edx, 0xFFFFFFFF"],
        act: ["idiv ecx"],
    }
    pub(super) const CASE: Case = Case {
        name: "idiv-minimum",
        rule: "IDIV of the least number by -1: #DE, and RDX and RAX stay.",
        prepare: || route(0, 1, IST_FRAME),
        act: ACT,
        events: &[Event { general: &[(General::Rax, 0x8000_0000), (General::Rdx, 0xFFFF_FFFF)], ..DE }],
        // RAX and RDX come after `Armed`.
        cancel: Cancel::No,
        ..Case::NEW
    };
}

mod lock_register {
    use super::*;
    act! { name: "fault.lock-register", set: [], armed: [], act: [".byte 0xF0, 0x01, 0xC0"], }
    pub(super) const CASE: Case = Case {
        name: "lock-register",
        rule: "LOCK ADD EAX, EAX, which has no memory operand: #UD.",
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[UD],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod push_es {
    use super::*;
    act! { name: "fault.push-es", set: [], armed: [], act: [".byte 0x06"], }
    pub(super) const CASE: Case = Case {
        name: "push-es",
        rule: "PUSH ES, which 64-bit mode does not have: #UD, and RSP stays.",
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[UD],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod ud1_unmapped {
    use super::*;
    act! {
        name: "fault.ud1-unmapped",
        set: ["movabs rdi, 0x8000001A58"],
        armed: [],
        act: [".byte 0x48, 0x0F, 0xB9, 0x1F"],
    }
    pub(super) const CASE: Case = Case {
        name: "ud1-unmapped",
        rule: "UD1 RBX with an operand on an unmapped page: #UD, no #PF, CR2 stays.",
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[UD],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod push_not_canonical {
    use super::*;
    act! { name: "fault.push-not-canonical", set: [], armed: ["movabs rsp, 0x8000000000001000"], act: ["push rbx"], }
    pub(super) const CASE: Case = Case {
        name: "push-not-canonical",
        rule: "PUSH below an RSP that is not canonical: #SS(0), and RSP stays.",
        prepare: || route(12, 1, IST_FRAME),
        act: ACT,
        events: &[Event { rsp: Stack::At(0x8000_0000_0000_1000), ..SS }],
        // RSP comes after `Armed`.
        cancel: Cancel::No,
        ..Case::NEW
    };
}

mod rbp_not_canonical {
    use super::*;
    act! {
        name: "fault.rbp-not-canonical",
        set: ["movabs rbp, 0x0000800000000000"],
        armed: [],
        act: ["mov rbx, [rbp]"],
    }
    pub(super) const CASE: Case = Case {
        name: "rbp-not-canonical",
        rule: "A read at RBP, which is not canonical: #SS(0), not #GP(0).",
        prepare: || route(12, 1, IST_FRAME),
        act: ACT,
        events: &[SS],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod rbp_ring3 {
    use super::*;
    act_ring3! { name: "fault.rbp-ring3", set: ["movabs rbp, 0xFFFF7FFFFFFFFFF8"], act: ["mov [rbp], rbx"], }
    pub(super) const CASE: Case = Case {
        name: "rbp-ring3",
        rule: "A write at RBP, which is not canonical, in ring 3: #SS(0), ring-3 entry point, stack level 0.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || route(12, 1, IST_FRAME),
        act: ACT,
        events: &[Event {
            cs: USER_CS,
            rsp: Stack::User,
            ss: user_ss_slot(HARDWARE_EXCEPTION, 12),
            csl: 0,
            entry: 0,
            ..SS
        }],
        ..Case::NEW
    };
}

mod movaps_unaligned {
    use super::*;
    act! { name: "fault.movaps-unaligned", set: ["movabs rdi, 0x8000001A58"], armed: [], act: ["movaps xmm0, [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "movaps-unaligned",
        rule: "MOVAPS from an unmapped address that is not a multiple of 16: #GP(0), no #PF.",
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[GP],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod mov_cr8 {
    use super::*;
    act! { name: "fault.mov-cr8", set: ["mov ecx, 0x10"], armed: [], act: ["mov cr8, rcx"], }
    pub(super) const CASE: Case = Case {
        name: "mov-cr8",
        rule: "MOV to CR8 of 16: #GP(0).",
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[GP],
        results: &[Check { expected: 0, read: cr8 }],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod mov_dr7 {
    use super::*;
    act! { name: "fault.mov-dr7", set: ["movabs rcx, 0x100000401"], armed: [], act: ["mov dr7, rcx"], }
    pub(super) const CASE: Case = Case {
        name: "mov-dr7",
        rule: "MOV to DR7 with bit 32: #GP(0), and DR7 stays.",
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[GP],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod wrmsr {
    use super::*;
    act! {
        name: "fault.wrmsr",
        set: ["mov ecx, 0xC0000102"],
        armed: ["mov eax, 0", "mov edx, 0x80000000"],
        act: ["wrmsr"],
    }
    pub(super) const CASE: Case = Case {
        name: "wrmsr",
        rule: "WRMSR of an address that is not canonical to IA32_KERNEL_GS_BASE: #GP(0), and the base stays.",
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[Event { general: &[(General::Rax, 0), (General::Rdx, 0x8000_0000)], ..GP }],
        // RAX and RDX come after `Armed`.
        cancel: Cancel::No,
        ..Case::NEW
    };
}

mod mov_cr0_ring3 {
    use super::*;
    act_ring3! { name: "fault.mov-cr0-ring3", set: [], act: ["mov cr0, rbx"], }
    pub(super) const CASE: Case = Case {
        name: "mov-cr0-ring3",
        rule: "MOV to CR0 in ring 3: #GP(0), ring-3 entry point, stack level 0.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || route(13, 1, IST_FRAME),
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
