//! SYSCALL, SYSRET and far returns to ring 3 without FRED: what they load, what they refuse.
//!
//! Rule: SYSRET loads RIP from RCX, RFLAGS from R11 without RF, VM and reserved bits, CS and SS from IA32_STAR with RPL 3; with
//! a 64-bit operand to 64-bit mode, else to compatibility mode with ECX. It is #UD without EFER.SCE, and so is SYSCALL; on
//! Intel's processors #GP(0) for an RCX that is not canonical. SYSCALL clears the RPL of CS and RFLAGS by IA32_FMASK. A far RET
//! and IRETQ to ring 3 pop RSP and SS, and make data segments null that ring 3 must not have (SDM vol. 2, "SYSRET",
//! "SYSCALL", "RET", "IRET", operation).
//!
//! Not here: FRED, under which SYSRET is #UD (image iret).
//!
//! Known bugs that fail it: SYSRET to compatibility mode with 64 bits of RCX; a selector with IA32_STAR's RPL
//! (em_syscall of KVM's emulator clears it).
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "sysret",
    rule: "SYSRET and a far RET enter ring 3 with RIP, RFLAGS, CS, SS and RSP as the manual says.",
    spec: "SDM vol. 2 SYSRET, SYSCALL, RET",
    cases: [long::CASE, short::CASE, syscall::CASE, no_syscall::CASE, disabled::CASE, not_canonical::CASE, retf::CASE],
}

/// IA32_STAR.
const STAR: u32 = 0xC000_0081;

/// The #UD after the act, in ring 3.
const UD_RING3: Event = Event {
    rip: Rip::After,
    cs: USER_CS,
    rsp: Stack::ActBelow(64),
    ss: user_ss_slot(HARDWARE_EXCEPTION, 6),
    csl: 0,
    entry: 0,
    ..UD
};

/// SYSRET to the act in ring 3. `set` itself rings the doorbell and goes there.
macro_rules! sysret {
    (
        $module:ident, $name:literal, $act:literal, $rule:literal, star: $star:literal, rflags: $rflags:literal,
        rcx: [$($rcx:literal),*], $sysret:literal, act: [$($line:literal),*], $event:expr
    ) => {
        mod $module {
            use super::*;
            act_ring3! {
                name: $act,
                set: [
                    "call act_armed", "out dx, eax", concat!("lea rcx, [rip + \"", $act, ".act\"]"), $($rcx,)*
                    concat!("mov r11, ", $rflags), $sysret
                ],
                act: [$($line,)* "mov ecx, 0"],
            }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: Needs::USER.union(Needs::IDT),
                flags: CaseFlags::USER,
                prepare: || {
                    write_msr(STAR, $star);
                    route(6, 1, IST_FRAME);
                },
                act: ACT,
                events: &[$event],
                ..Case::NEW
            };
        }
    };
}

sysret! {
    long, "long", "sysret.long",
    "SYSRETQ, IA32_STAR with RPL 3 in it: 64-bit mode; RFLAGS are R11's, without RF, VM and reserved bits.",
    star: 0x001B_0008_0000_0000, rflags: "0xFFFFFFFFFFE74CFF", rcx: [], "sysretq", act: [],
    Event {
        rflags: 0x0024_4CD7 | RF,
        idt_entry_rflags: 0x0024_0CD7,
        general: &[(General::Rcx, 0), (General::R11, 0xFFFF_FFFF_FFE7_4CFF)],
        ..UD_RING3
    }
}
sysret! {
    short, "short", "sysret.short",
    "SYSRET of 32 bits, IA32_STAR without RPL: compatibility mode, RPL 3, RIP is ECX, IOPL is loaded.",
    star: 0x0018_0008_0000_0000, rflags: "0x3046", rcx: ["bts rcx, 62"], ".byte 0x0F, 0x07",
    // LEA EBX, [0x1234]; in 64-bit mode the address would be relative to RIP.
    act: [".byte 0x8D, 0x1D, 0x34, 0x12, 0, 0"],
    Event {
        rflags: 0x3046 | RF,
        idt_entry_rflags: 0x3046,
        cs: 0x1B,
        ss: 0x0003_0006_0000_0023,
        general: &[(General::Rbx, 0x1234), (General::Rcx, 0), (General::R11, 0x3046)],
        ..UD_RING3
    }
}

mod syscall {
    use super::*;
    act! {
        name: "sysret.syscall",
        set: [
            "push rax", "push rdx", "lea rax, [rip + 55f]", "xor edx, edx", "mov ecx, 0xC0000082", "wrmsr",
            "pop rdx", "pop rax"
        ],
        armed: ["jmp 56f", "55:", "mov ebx, cs", "lea rdi, [rip + \"sysret.syscall.after\"]", "sub rcx, rdi",
            "mov edi, 0x10", "mov ss, edi", "jmp \"sysret.syscall.after\"", "56:", "push 0x44CD7", "popfq"],
        act: ["syscall"],
        then: ["pushfq", "pop rsi", "push 2", "popfq"],
    }
    pub(super) const CASE: Case = Case {
        name: "syscall",
        rule: "SYSCALL in ring 0 with an RPL in IA32_STAR and DF, AC in IA32_FMASK: CS has RPL 0, RCX is the next RIP, R11 RFLAGS.",
        needs: Needs::IDT,
        flags: CaseFlags::CONFORMANCE,
        prepare: || {
            write_msr(STAR, 0x001B_000B_0000_0000);
            write_msr(0xC000_0084, 0x4_0400);
        },
        act: ACT,
        left: &Left {
            general: &[
                (General::Rbx, 8),
                (General::Rcx, 0),
                (General::Rdi, 0x10),
                (General::R11, 0x4_4CD7),
                // SUB has left ZF and PF.
                (General::Rsi, 0x4046),
            ],
            ..Left::NEW
        },
        ..Case::NEW
    };
}

/// EFER.SCE is clear from `set` on, until `then`.
macro_rules! disabled {
    ($module:ident, $name:literal, $act:literal, $rule:literal, $instruction:literal) => {
        mod $module {
            use super::*;
            act! {
                name: $act,
                set: [
                    "push rax", "push rdx", "mov ecx, 0xC0000080", "rdmsr", "and eax, 0xFFFFFFFE", "wrmsr", "pop rdx",
                    "pop rax"
                ],
                armed: [],
                act: [$instruction],
                then: [
                    "push rax", "push rdx", "rdmsr", "or eax, 1", "wrmsr", "pop rdx", "pop rax", "push 2", "popfq"
                ],
            }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: Needs::IDT,
                prepare: || route(6, 1, IST_FRAME),
                act: ACT,
                events: &[UD],
                cancel: Cancel::Payload { payload: 0, rflags: 0 },
                ..Case::NEW
            };
        }
    };
}

disabled! {
    no_syscall, "no-syscall", "sysret.no-syscall", "SYSCALL without EFER.SCE: #UD, RCX and R11 stay.", "syscall"
}
disabled! {
    disabled, "no-sysret", "sysret.no-sysret", "SYSRETQ without EFER.SCE: #UD in ring 0.", "sysretq"
}

mod not_canonical {
    use super::*;
    act! { name: "sysret.not-canonical", set: ["mov ecx, 1", "shl rcx, 47"], armed: [], act: ["sysretq"], }
    pub(super) const CASE: Case = Case {
        name: "not-canonical",
        rule: "SYSRETQ with an RCX that is not canonical: #GP(0), in ring 0 still. (AMD's processors fault in ring 3.)",
        needs: Needs::IDT.union(Needs::INTEL),
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[GP],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod retf {
    use super::*;
    act_ring3! {
        name: "sysret.retf",
        set: [
            "mov ecx, 0x10", "mov ds, ecx", "mov ecx, 0x23", "mov es, ecx", "push 0x23",
            "lea rcx, [rip + {user_stack} + 0x1000 - 0x28 - 16]", "push rcx", "push 7", "push 5", "push 0x2B",
            "lea rcx, [rip + \"sysret.retf.act\"]", "push rcx", "call act_armed", "out dx, eax",
            "push 2", "popfq", ".byte 0x48, 0xCA, 16, 0"
        ],
        act: ["mov ebx, ds", "mov ecx, es"],
        user_stack = sym USER_STACK,
    }
    pub(super) const CASE: Case = Case {
        name: "retf",
        rule: "A far RET to ring 3 that releases 16 bytes, on both stacks; DS of ring 0 becomes null, ES of ring 3 stays.",
        needs: Needs::USER.union(Needs::IDT),
        flags: CaseFlags::USER,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[Event {
            rsp: Stack::User,
            general: &[(General::Rbx, 0), (General::Rcx, 0x23)],
            ..UD_RING3
        }],
        ..Case::NEW
    };
}
