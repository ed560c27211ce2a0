//! Single steps over instructions that a hypervisor executes itself: one trap, after each.
//!
//! Rule: with TF set a #DB comes after the instruction, whether the processor or a hypervisor has executed it (SDM vol.
//! 3, "Single-Step Exception Condition"). POPF that clears TF still traps: TF counts as it was when the instruction
//! began. What the instruction does is done by then.
//!
//! Known bugs that fail it: an exit whose instruction is skipped and whose single step is forgotten
//! (kvm_skip_emulated_instruction of KVM is where it is remembered: CPUID, RDMSR, WRMSR, moves to control
//! registers); a step reported one instruction late; one that wakes no HLT.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "step-exits",
    rule: "A single step over an instruction that a hypervisor executes: one trap, after it.",
    spec: "SDM vol. 3 ch. 19 single step; ch. 27 instructions that exit",
    cases: [
        cpuid::CASE,
        rdmsr::CASE,
        wrmsr::CASE,
        mov_to_cr3::CASE,
        mov_to_cr8::CASE,
        mov_to_cr0::CASE,
        mov_from_dr::CASE,
        invlpg::CASE,
        rep_outsb_once::CASE,
        insb::CASE,
        popfq::CASE,
        hlt::CASE,
        jump::CASE,
    ],
}

const STEPPED: Registers = Registers { dr6: DR6 | BS, ..RESTING };

/// IA32_PAT after reset.
const PAT: u64 = 0x0007_0406_0007_0406;

/// Writes IA32_PAT.
fn set_pat() {
    write_msr(0x277, PAT);
}

mod cpuid {
    use super::*;
    act! {
        name: "step-exits.cpuid",
        set: [],
        armed: ["mov eax, 7", "mov ecx, 0x40", "push 0x102", "popfq"],
        act: ["cpuid"],
    }
    pub(super) const CASE: Case = Case {
        name: "cpuid",
        rule: "A single step over CPUID, which always exits; of a sub-leaf 7 that does not exist: zeros.",
        act: ACT,
        events: &[Event {
            general: &[(General::Rax, 0), (General::Rbx, 0), (General::Rcx, 0), (General::Rdx, 0)],
            ..SINGLE_STEP
        }],
        registers: STEPPED,
        // The registers come after `Armed`.
        cancel: Cancel::No,
        ..Case::NEW
    };
}

mod rdmsr {
    use super::*;
    act! {
        name: "step-exits.rdmsr",
        set: [],
        armed: ["mov ecx, 0x277", "push 0x102", "popfq"],
        act: ["rdmsr"],
    }
    pub(super) const CASE: Case = Case {
        name: "rdmsr",
        rule: "A single step over RDMSR of IA32_PAT: one trap, after it, EDX:EAX read.",
        prepare: set_pat,
        act: ACT,
        events: &[Event {
            general: &[(General::Rax, 0x0007_0406), (General::Rcx, 0x277), (General::Rdx, 0x0007_0406)],
            ..SINGLE_STEP
        }],
        registers: STEPPED,
        ..Case::NEW
    };
}

mod wrmsr {
    use super::*;
    act! {
        name: "step-exits.wrmsr",
        set: [],
        armed: ["mov ecx, 0x277", "mov eax, 0x00070406", "mov edx, 0x06070406", "push 0x102", "popfq"],
        act: ["wrmsr"],
    }
    pub(super) const CASE: Case = Case {
        name: "wrmsr",
        rule: "A single step over WRMSR of IA32_PAT: one trap, after it; the MSR has the value.",
        prepare: set_pat,
        act: ACT,
        events: &[Event {
            general: &[(General::Rax, 0x0007_0406), (General::Rcx, 0x277), (General::Rdx, 0x0607_0406)],
            ..SINGLE_STEP
        }],
        registers: STEPPED,
        results: &[Check { expected: 0x0607_0406_0007_0406, read: || read_msr(0x277) }],
        ..Case::NEW
    };
}

mod mov_to_cr3 {
    use super::*;
    act! {
        name: "step-exits.mov-to-cr3",
        set: ["mov rbx, cr3"],
        armed: ["push 0x102", "popfq"],
        act: ["mov cr3, rbx"],
    }
    pub(super) const CASE: Case = Case {
        name: "mov-to-cr3",
        rule: "A single step over MOV to CR3, which drops every translation: one trap, after it.",
        act: ACT,
        events: &[SINGLE_STEP],
        registers: STEPPED,
        cancel: Cancel::Payload { payload: BS, rflags: TF },
        ..Case::NEW
    };
}

mod mov_to_cr8 {
    use super::*;
    act! {
        name: "step-exits.mov-to-cr8",
        set: ["mov rbx, cr8"],
        armed: ["push 0x102", "popfq"],
        act: ["mov cr8, rbx"],
    }
    pub(super) const CASE: Case = Case {
        name: "mov-to-cr8",
        rule: "A single step over MOV to CR8, which user space sees without an interrupt controller: one trap.",
        act: ACT,
        events: &[SINGLE_STEP],
        registers: STEPPED,
        cancel: Cancel::Payload { payload: BS, rflags: TF },
        ..Case::NEW
    };
}

mod mov_to_cr0 {
    use super::*;
    act! {
        name: "step-exits.mov-to-cr0",
        set: ["mov rbx, cr0", "or rbx, 8"],
        armed: ["push 0x102", "popfq"],
        act: ["mov cr0, rbx"],
    }
    pub(super) const CASE: Case = Case {
        name: "mov-to-cr0",
        rule: "A single step over MOV to CR0 that sets TS: one trap, after it; TS is set at entry.",
        act: ACT,
        events: &[SINGLE_STEP],
        registers: Registers { cr0: MP | TS, ..STEPPED },
        ..Case::NEW
    };
}

mod mov_from_dr {
    use super::*;
    act! {
        name: "step-exits.mov-from-dr",
        set: [],
        armed: ["push 0x102", "popfq"],
        act: ["mov rbx, dr0"],
    }
    pub(super) const CASE: Case = Case {
        name: "mov-from-dr",
        rule: "A single step over MOV from DR0, which exits until a host loads debug registers: one trap.",
        prepare: || set_dr0(0x1234_5678),
        act: ACT,
        events: &[Event { general: &[(General::Rbx, 0x1234_5678)], ..SINGLE_STEP }],
        registers: STEPPED,
        ..Case::NEW
    };
}

mod invlpg {
    use super::*;
    act! {
        name: "step-exits.invlpg",
        set: ["movabs rdi, 0x8000004108"],
        armed: ["push 0x102", "popfq"],
        act: ["invlpg [rdi]"],
    }
    pub(super) const CASE: Case = Case {
        name: "invlpg",
        rule: "A single step over INVLPG: one trap, after it.",
        act: ACT,
        events: &[SINGLE_STEP],
        registers: STEPPED,
        cancel: Cancel::Payload { payload: BS, rflags: TF },
        ..Case::NEW
    };
}

mod rep_outsb_once {
    use super::*;
    act! {
        name: "step-exits.rep-outsb-once",
        set: ["movabs rsi, 0x8000004108", "mov ecx, 1"],
        armed: ["mov edx, {port}", "push 0x102", "popfq"],
        act: ["rep outsb"],
        port = const OUTPUT,
    }
    pub(super) const CASE: Case = Case {
        name: "rep-outsb-once",
        rule: "A single step over REP OUTSB with a count of 1: one trap, after it, RF clear.",
        act: ACT,
        events: &[Event {
            general: &[(General::Rcx, 0), (General::Rdx, 0x6D74), (General::Rsi, 0x0000_0080_0000_4109)],
            ..SINGLE_STEP
        }],
        registers: STEPPED,
        ..Case::NEW
    };
}

mod insb {
    use super::*;
    act! {
        name: "step-exits.insb",
        set: ["movabs rdi, 0x8000004108"],
        armed: ["mov edx, {port}", "push 0x102", "popfq"],
        act: ["insb"],
        port = const INPUT,
    }
    pub(super) const CASE: Case = Case {
        name: "insb",
        rule: "A single step over INSB, whose byte a host delivers: one trap, after it, RDI one further.",
        flags: CaseFlags::IO,
        act: ACT,
        events: &[Event {
            general: &[(General::Rdx, 0x6D70), (General::Rdi, 0x0000_0080_0000_4109)],
            ..SINGLE_STEP
        }],
        registers: STEPPED,
        ..Case::NEW
    };
}

mod popfq {
    use super::*;
    act! { name: "step-exits.popfq", set: [], armed: ["push 2", "push 0x102", "popfq"], act: ["popfq"], }
    pub(super) const CASE: Case = Case {
        name: "popfq",
        rule: "A single step over POPF that clears TF: one trap, after it; TF is saved as 0.",
        act: ACT,
        events: &[Event { rflags: RFLAGS, ..SINGLE_STEP }],
        registers: STEPPED,
        ..Case::NEW
    };
}

mod hlt {
    use super::*;
    act! { name: "step-exits.hlt", set: [], armed: ["push 0x102", "popfq"], act: ["hlt"], }
    pub(super) const CASE: Case = Case {
        name: "hlt",
        rule: "A single step over HLT: the trap comes after it, and the processor does not halt.",
        // Where the step wakes no HLT (Bochs, QEMU's emulation), it waits for ever.
        needs: Needs::HOST,
        act: ACT,
        events: &[SINGLE_STEP],
        registers: STEPPED,
        ..Case::NEW
    };
}

mod jump {
    use super::*;
    act! { name: "step-exits.jump", set: [], armed: ["push 0x102", "popfq"], act: ["jmp 2f", "ud2", "2:"], }
    pub(super) const CASE: Case = Case {
        name: "jump",
        rule: "A single step over JMP: one trap, at its target.",
        act: ACT,
        events: &[SINGLE_STEP],
        registers: STEPPED,
        cancel: Cancel::Payload { payload: BS, rflags: TF },
        ..Case::NEW
    };
}
