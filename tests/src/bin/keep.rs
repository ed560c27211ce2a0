//! What migrates must be felt afterwards: registers that a guest has set before an event, used after it.
//!
//! Rule: an event changes no register but those that its delivery defines, and neither does a migration. DR0 to DR3 still
//! break, CR0.TS and WP still fault, RFLAGS.TF with IA32_DEBUGCTL.BTF still traps after branches alone, MOV from CR8,
//! RDTSCP and SYSCALL still find their registers (SDM vol. 3 ch. 19, ch. 4; vol. 2, "RDTSCP", "SYSCALL"), and a segment
//! register with a null selector still has no segment (vol. 3 ch. 5). Each case sets, is stopped in a #PF and then
//! executes what depends on it: a register that only reads back does not pass.
//!
//! Known bugs that fail it: DR0 to DR3 saved and not loaded when they are next used; CR8 that KVM_RUN takes from its own
//! page; a TSC_AUX that is the host's (kvm_set_user_return_msr of KVM loads it late); SYSCALL MSRs switched lazily; a
//! null segment that is usable after KVM_SET_SREGS; BTF ignored, as KVM does on Intel.
//!
//! Not here: IA32_PAT, whose effect no instruction can feel; the MSRs of SYSENTER, which AMD's 64-bit mode has not.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "keep",
    rule: "What a guest has set before an event still has its effect after it, and after a migration.",
    spec: "SDM vol. 3 ch. 4, 5, 19; vol. 2 RDTSCP, SYSCALL",
    cases: [
        breakpoints::CASE, task_switched::CASE, write_protect::CASE, cr8::CASE, tsc_aux::CASE, btf::CASE,
        syscall::CASE, null_segment::CASE, cr3::CASE,
    ],
}

/// The event at which the guest is stopped.
const PAGE_FAULT: Event = Event { event_data: UNMAPPED, ..PF };
const FAULTED: Registers = Registers { cr2: UNMAPPED, ..RESTING };
/// RFLAGS.DF.
const DF: u64 = 1 << 10;
const CANCEL: Cancel = Cancel::Payload { payload: UNMAPPED, rflags: 0 };

/// #PF, and after its handler's return the instructions that feel what `set` has set.
macro_rules! kept {
    (name: $name:literal, set: [$($set:expr),*], then: [$($then:expr),*], $($operands:tt)*) => {
        act! {
            name: $name,
            set: [$($set,)* "movabs rdi, 0x8000001A58"],
            armed: [],
            act: ["mov rbx, [rdi]"],
            then: [$($then),*],
            $($operands)*
        }
    };
}

mod breakpoints {
    use super::*;
    kept! {
        name: "keep.breakpoints",
        set: [
            "movabs rdi, 0x8000004100", "mov dr0, rdi", "add rdi, 2", "mov dr1, rdi", "add rdi, 2", "mov dr2, rdi",
            "add rdi, 2", "mov dr3, rdi", "mov edi, 0x77770455", "mov dr7, rdi"
        ],
        then: ["movabs rdi, 0x8000004100", "mov rbx, [rdi]"],
    }
    /// DR7 with all four breakpoints, each for an access of 2 bytes.
    const ALL: u64 = 0x7777_0455;
    pub(super) const CASE: Case = Case {
        name: "breakpoints",
        rule: "Four breakpoints on the parts of 8 bytes: a read of them after a #PF meets all four.",
        act: ACT,
        events: &[
            PAGE_FAULT,
            Event {
                rip: Rip::Last,
                rflags: RFLAGS,
                event_data: 0xF,
                // The page is zeros.
                general: &[(General::Rdi, 0x0000_0080_0000_4100), (General::Rbx, 0)],
                registers: Some(&Registers { dr6: DR6 | 0xF, dr7: ALL, ..FAULTED }),
                ..SINGLE_STEP
            },
        ],
        registers: Registers { dr7: ALL, ..FAULTED },
        cancel: CANCEL,
        ..Case::NEW
    };
}

mod task_switched {
    use super::*;
    kept! { name: "keep.task-switched", set: [], then: ["fninit"], }
    pub(super) const CASE: Case = Case {
        name: "task-switched",
        rule: "CR0.TS after a #PF: FNINIT is #NM.",
        prepare: set_task_switched,
        act: ACT,
        events: &[PAGE_FAULT, Event { rip: Rip::After, ..NM }],
        registers: Registers { cr0: MP | TS, ..FAULTED },
        cancel: CANCEL,
        ..Case::NEW
    };
}

mod write_protect {
    use super::*;
    kept! { name: "keep.write-protect", set: [], then: ["mov [rdi + 0x1000], rbx"], }
    pub(super) const CASE: Case = Case {
        name: "write-protect",
        rule: "CR0.WP after a #PF: ring 0's write to a read-only page is another.",
        act: ACT,
        events: &[
            PAGE_FAULT,
            Event {
                error_code: PFERR_WRITE | PFERR_PRESENT,
                rip: Rip::After,
                event_data: 0x0000_0080_0000_2A58,
                registers: Some(&Registers { cr2: 0x0000_0080_0000_2A58, ..RESTING }),
                ..PF
            },
        ],
        registers: FAULTED,
        cancel: CANCEL,
        ..Case::NEW
    };
}

mod cr8 {
    use super::*;
    // CR8 stays as it is: lowering it is an exit for the host. Nothing here depends on it.
    kept! { name: "keep.cr8", set: ["mov edi, 5", "mov cr8, rdi"], then: ["mov rbx, cr8"], }
    pub(super) const CASE: Case = Case {
        name: "cr8",
        rule: "CR8 is after a #PF what was written before it.",
        act: ACT,
        events: &[PAGE_FAULT],
        registers: FAULTED,
        left: &Left { general: &[(General::Rbx, 5)], ..Left::NEW },
        cancel: CANCEL,
        ..Case::NEW
    };
}

mod tsc_aux {
    use super::*;
    kept! {
        name: "keep.tsc-aux",
        set: [],
        then: ["push rax", "push rdx", "rdtscp", "pop rdx", "pop rax"],
    }
    pub(super) const CASE: Case = Case {
        name: "tsc-aux",
        rule: "RDTSCP reads after a #PF what was written to IA32_TSC_AUX before it.",
        needs: Needs::RDTSCP,
        prepare: || write_msr(0xC000_0103, 0x89AB_CDEF),
        act: ACT,
        events: &[PAGE_FAULT],
        registers: FAULTED,
        left: &Left { general: &[(General::Rcx, 0x89AB_CDEF)], ..Left::NEW },
        cancel: CANCEL,
        ..Case::NEW
    };
}

mod btf {
    use super::*;
    kept! { name: "keep.btf", set: [], then: ["push 0x102", "popfq", "nop", "jmp 2f", "2:"], }
    pub(super) const CASE: Case = Case {
        name: "btf",
        rule: "IA32_DEBUGCTL.BTF after a #PF: TF traps after the branch alone, and BTF is clear then.",
        prepare: || set_debugctl(BTF),
        act: ACT,
        events: &[
            PAGE_FAULT,
            Event { rip: Rip::Last, registers: Some(&Registers { dr6: DR6 | BS, ..FAULTED }), ..SINGLE_STEP },
        ],
        registers: Registers { debugctl: BTF, ..FAULTED },
        cancel: CANCEL,
        ..Case::NEW
    };
}

mod syscall {
    use super::*;
    act! {
        name: "keep.syscall",
        set: [
            "push rax", "push rdx", "lea rax, [rip + 55f]", "xor edx, edx", "mov ecx, 0xC0000082", "wrmsr",
            "pop rdx", "pop rax", "movabs rdi, 0x8000001A58"
        ],
        // At 55, to which IA32_LSTAR leads, the two registers that SYSCALL changes get values that can be named.
        armed: ["jmp 56f", "55:", "mov ecx, 0", "mov r11d, 0", "jmp act_leave", "56:"],
        act: ["mov rbx, [rdi]"],
        then: ["push 0x402", "popfq", "syscall"],
    }
    pub(super) const CASE: Case = Case {
        name: "syscall",
        rule: "SYSCALL in ring 0 after a #PF goes to IA32_LSTAR and clears DF by IA32_FMASK; under FRED it is an event.",
        prepare: || {
            write_msr(0xC000_0081, 0x001B_0008_0000_0000);
            write_msr(0xC000_0084, 0x400);
        },
        act: ACT,
        events: &[
            PAGE_FAULT,
            Event {
                vector: 1,
                rip: Rip::Last,
                rflags: RFLAGS | DF,
                ss: ss_slot(OTHER_EVENT, 1) | SS_SOFTWARE | ss_length(2),
                csl: 0,
                fred_top: Top::Act(0x40),
                ..Event::NEW
            },
        ],
        idt: Some(&Idt {
            events: &[PAGE_FAULT],
            left: Left { general: &[(General::Rcx, 0), (General::R11, 0)], ..Left::NEW },
        }),
        registers: FAULTED,
        cancel: CANCEL,
        ..Case::NEW
    };
}

mod null_segment {
    use super::*;
    act_ring3! {
        name: "keep.null-segment",
        cs: "0x1B",
        ss: "0x23",
        rflags: "2",
        set: ["mov ecx, 0", "mov ds, ecx"],
        // A read by SS of an address that is not mapped, 7 bytes, then one by DS.
        act: [".code32", ".byte 0x36, 0x8B, 0x1D, 0x58, 0x1A, 0x00, 0x70", "mov ebx, [0x1000]"],
    }
    const RING3: Event = Event { cs: 0x1B, rsp: Stack::User, csl: 0, entry: 0, ..PF };
    pub(super) const CASE: Case = Case {
        name: "null-segment",
        rule: "DS with a null selector in compatibility mode: after a #PF by SS an access by DS is #GP(0).",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[
            Event {
                error_code: PFERR_USER,
                ss: 0x0003_000E_0000_0023,
                event_data: 0x7000_1A58,
                handler: Some(skip::<7>),
                returns: Return::Frame,
                ..RING3
            },
            Event { vector: 13, rip: Rip::Plus(7), ss: 0x0003_000D_0000_0023, ..RING3 },
        ],
        registers: Registers { cr2: 0x7000_1A58, ..RESTING },
        ..Case::NEW
    };
}

mod cr3 {
    use super::*;
    kept! {
        name: "keep.cr3",
        set: ["mov rdi, cr3", "or rdi, 0x18", "mov cr3, rdi"],
        then: ["mov rbx, cr3", "mov rdi, rbx", "and rbx, -25", "mov cr3, rbx", "mov ebx, 0", "and edi, 0x18"],
    }
    pub(super) const CASE: Case = Case {
        name: "cr3",
        rule: "PWT and PCD of CR3 are after a #PF as they were.",
        act: ACT,
        events: &[PAGE_FAULT],
        registers: FAULTED,
        // AND has left PF.
        left: &Left { rflags: 0x6, general: &[(General::Rbx, 0), (General::Rdi, 0x18)], ..Left::NEW },
        cancel: CANCEL,
        ..Case::NEW
    };
}
