//! A single step over SYSCALL and SYSRET without FRED.
//!
//! Rule: TF counts as it is after the instruction. A TF that IA32_FMASK clears does not trap after SYSCALL, one that it keeps
//! traps where SYSCALL leads; a TF that SYSRET loads traps at once, where IRET's lets one instruction through (SDM vol. 2,
//! "SYSCALL", "SYSRET", operation; vol. 3 ch. 19, "Single-Step Exception Condition").
//!
//! Not here: FRED, under which SYSCALL is an event and SYSRET #UD.
//!
//! Known bugs that fail it: an emulated SYSCALL or SYSRET that traps by the TF from before (CVE-2017-7518, em_syscall before
//! c8401dda2f0a, "KVM: x86: fix singlestepping over syscall"; test_syscall_tf of kvm-unit-tests); a return by IRET in SYSRET's place, which the
//! comment in arch/x86/entry of Linux tells apart.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "step-syscall",
    rule: "A single step over SYSCALL and SYSRET traps by TF as it is at their end.",
    spec: "SDM vol. 2 SYSCALL, SYSRET; vol. 3 ch. 19 single step",
    cases: [masked::CASE, stepped::CASE, traps::CASE],
}

/// IA32_STAR.
const STAR: u32 = 0xC000_0081;

mod masked {
    use super::*;
    act! {
        name: "step-syscall.masked",
        set: [
            "push rax", "push rdx", "lea rax, [rip + 55f]", "xor edx, edx", "mov ecx, 0xC0000082", "wrmsr",
            "pop rdx", "pop rax"
        ],
        armed: [
            "jmp 56f", "55:", "lea rdi, [rip + \"step-syscall.masked.after\"]", "sub rcx, rdi", "mov edi, 0x10", "mov ss, edi",
            "jmp \"step-syscall.masked.after\"", "56:", "push 0x102", "popfq"
        ],
        act: ["syscall"],
        then: ["pushfq", "pop rsi", "push 2", "popfq"],
    }
    pub(super) const CASE: Case = Case {
        name: "masked",
        rule: "SYSCALL in ring 0 with TF set, and TF in IA32_FMASK: no single step, R11 has TF, RFLAGS has it not.",
        needs: Needs::IDT,
        flags: CaseFlags::CONFORMANCE,
        prepare: || {
            write_msr(STAR, 0x001B_0008_0000_0000);
            write_msr(0xC000_0084, TF);
        },
        act: ACT,
        left: &Left {
            general: &[
                (General::Rcx, 0),
                (General::Rdi, 0x10),
                (General::R11, RFLAGS | TF),
                // SUB has left ZF and PF.
                (General::Rsi, 0x46),
            ],
            ..Left::NEW
        },
        ..Case::NEW
    };
}

mod stepped {
    use super::*;
    act! { name: "step-syscall.stepped", set: ["movabs rdi, 0x8000004100"], armed: ["push 0x102", "popfq"], act: ["jmp rdi"], }
    const STEP: Event = Event { rip: Rip::Act, ..SINGLE_STEP };
    pub(super) const CASE: Case = Case {
        name: "stepped",
        rule: "A JMP to SYSCALL with TF set, which IA32_FMASK does not have: a single step after each, the second where SYSCALL leads.",
        needs: Needs::IDT,
        prepare: || {
            paging::set_window(0x100, 0x050F);
            write_msr(STAR, 0x001B_0008_0000_0000);
            write_msr(0xC000_0082, ACT.after.value());
            write_msr(0xC000_0084, 0);
        },
        act: Act { act: Address::new(0x0000_0080_0000_4100), ..ACT },
        events: &[
            Event { returns: Return::Frame, ..STEP },
            Event {
                rip: Rip::After,
                general: &[(General::Rcx, 0x0000_0080_0000_4102), (General::R11, RFLAGS | TF)],
                ..STEP
            },
        ],
        registers: Registers { dr6: DR6 | BS, ..RESTING },
        cancel: Cancel::No,
        ..Case::NEW
    };
}

mod traps {
    use super::*;
    act_ring3! {
        name: "step-syscall.traps",
        set: ["call act_armed", "out dx, eax", "movabs rcx, 0x18000000100", "mov r11, 0x102", "sysretq"],
        act: ["nop"],
    }
    /// Where SYSRET leads.
    const TARGET: u64 = 0x0000_0180_0000_0100;
    pub(super) const CASE: Case = Case {
        name: "traps",
        rule: "SYSRETQ with TF in R11: unlike IRETQ it traps at once, before the instruction in ring 3 that it leads to.",
        needs: Needs::USER.union(Needs::IDT),
        flags: CaseFlags::USER,
        prepare: || {
            write_msr(STAR, 0x001B_0008_0000_0000);
            paging::set_own([P | W | U | A, P | W | U | A, P | W | U | A, P | U | A]);
            // A NOP.
            paging::set_window(0x100, 0x90);
        },
        act: Act { act: Address::new(TARGET), ..ACT },
        events: &[Event {
            rip: Rip::Act,
            cs: USER_CS,
            rsp: Stack::ActBelow(64),
            ss: user_ss_slot(HARDWARE_EXCEPTION, 1),
            csl: 0,
            entry: 0,
            general: &[(General::Rcx, TARGET), (General::R11, RFLAGS | TF)],
            ..SINGLE_STEP
        }],
        registers: Registers { dr6: DR6 | BS, ..RESTING },
        ..Case::NEW
    };
}
