//! Bits of a register that an instruction does not look at: the upper half of RAX, RCX and RDX, the upper part of a selector.
//!
//! Rule: CPUID, RDMSR, WRMSR, XGETBV and XSETBV have EAX, ECX and EDX as operands, and what they write clears bits 63:32 of the
//! register. IN and OUT have DX. A MOV to a segment register, LLDT and LMSW read 16 bits. MOV of a control register has 64 bits
//! whatever the prefixes; without CR4.DE DR4 and DR5 are DR6 and DR7 (SDM vol. 2, their operation sections; vol. 1 ch. 3,
//! "Operand-size attribute"; vol. 3 ch. 19, "Debug registers DR4 and DR5").
//!
//! Known bugs that fail it: a hypervisor that reads a 64-bit register where the instruction has 32 bits: kvm_register_read_raw in
//! place of kvm_ecx_read.
#![no_std]
#![no_main]

use guest::prelude::*;

guest::image! {
    name: "upper",
    rule: "What an instruction does not read of a register does not matter, and 32 bits that it writes clear the rest.",
    spec: "SDM vol. 2 CPUID, RDMSR, WRMSR, XGETBV, XSETBV, OUT, MOV, LLDT",
    cases: [msr::CASE, wrmsrns::CASE, cpuid::CASE, xcr0::CASE, tsc::CASE, port::CASE, selectors::CASE, control::CASE, aliases::CASE],
}

/// A case that raises nothing, and leaves these registers.
macro_rules! leaves {
    (
        $module:ident, $name:literal, $act:literal, $rule:literal, needs: $needs:expr, flags: $flags:expr,
        armed: [$($armed:literal),*], act: [$($line:literal),*], general: [$($general:expr),*], $($operands:tt)*
    ) => {
        mod $module {
            use super::*;
            act! { name: $act, set: [], armed: [$($armed),*], act: [$($line,)* "push 2", "popfq"], $($operands)* }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: $needs,
                flags: CaseFlags::CONFORMANCE.union($flags),
                act: ACT,
                left: &Left { general: &[$($general),*], ..Left::NEW },
                ..Case::NEW
            };
        }
    };
}

leaves! {
    msr, "msr", "upper.msr",
    "WRMSR and RDMSR of IA32_SYSENTER_ESP with bits 63:32 of all operands set: they are ignored, and cleared by RDMSR.",
    needs: Needs::empty(), flags: CaseFlags::empty(),
    armed: ["movabs rcx, 0xFFFFFFFF00000175"],
    act: [
        "movabs rax, 0xFFFFFFFF12345678", "movabs rdx, 0xFFFFFFFF00000012", "wrmsr", "mov rax, -1", "mov rdx, -1", "rdmsr",
        "mov rbx, rax", "mov rsi, rdx", "mov eax, 0", "mov edx, 0", "mov ecx, 0x175", "wrmsr"
    ],
    general: [
        (General::Rax, 0), (General::Rdx, 0), (General::Rcx, 0x175), (General::Rbx, 0x1234_5678), (General::Rsi, 0x12)
    ],
}
leaves! {
    wrmsrns, "wrmsrns", "upper.wrmsrns",
    "WRMSRNS, or WRMSR where CPUID does not offer it, of IA32_SYSENTER_ESP with the upper halves set, and RDMSR.",
    needs: Needs::empty(), flags: CaseFlags::empty(),
    armed: [],
    act: [
        // ESI is the feature's bit, of leaf 7 and sub-leaf 1.
        "mov eax, 0", "mov ecx, 0", "cpuid", "mov esi, 0", "cmp eax, 7", "jb 55f", "mov eax, 7", "mov ecx, 1", "cpuid",
        "mov esi, eax", "55:", "movabs rcx, 0xFFFFFFFF00000175", "movabs rax, 0xFFFFFFFF12345678",
        "movabs rdx, 0xFFFFFFFF00000012", "bt esi, 19", "jnc 56f", ".byte 0x0F, 0x01, 0xC6", "jmp 57f", "56:", "wrmsr", "57:",
        "rdmsr", "mov rbx, rax", "mov rsi, rdx", "mov eax, 0", "mov edx, 0", "mov ecx, 0x175", "wrmsr"
    ],
    general: [
        (General::Rax, 0), (General::Rdx, 0), (General::Rcx, 0x175), (General::Rbx, 0x1234_5678), (General::Rsi, 0x12)
    ],
}
leaves! {
    cpuid, "cpuid", "upper.cpuid",
    "CPUID with bits 63:32 of RAX and RCX set answers as without: leaf 0, and leaf 7, whose sub-leaf is ECX.",
    needs: Needs::empty(), flags: CaseFlags::empty(),
    armed: [],
    act: [
        "mov eax, 0", "mov ecx, 0", "cpuid", "mov rsi, rbx", "movabs rax, 0x100000000", "movabs rcx, 0x300000000", "cpuid",
        "sub rsi, rbx", "mov eax, 7", "mov ecx, 0", "cpuid", "mov rdi, rbx", "movabs rax, 0x8000000000000007",
        "movabs rcx, 0x100000000", "cpuid", "sub rdi, rbx", "mov eax, 0", "mov ebx, 0", "mov ecx, 0", "mov edx, 0"
    ],
    general: [
        (General::Rax, 0), (General::Rbx, 0), (General::Rcx, 0), (General::Rdx, 0), (General::Rsi, 0), (General::Rdi, 0)
    ],
}

mod xcr0 {
    use super::*;
    act! {
        name: "upper.xcr0",
        set: [],
        armed: ["movabs rcx, 0x100000000"],
        act: [
            "mov rax, -1", "mov rdx, -1", "xgetbv", "mov rbx, rax", "mov rsi, rdx", "bts rax, 40", "bts rdx, 63", "xsetbv",
            "mov eax, 0", "mov edx, 0", "mov ecx, 0", "push 2", "popfq"
        ],
    }
    pub(super) const CASE: Case = Case {
        name: "xcr0",
        rule: "XGETBV and XSETBV with bits 63:32 of RCX, RAX and RDX set: XCR0 is read, x87 and SSE, and written as it is.",
        needs: Needs::XSAVE,
        flags: CaseFlags::CONFORMANCE,
        prepare: || enable_components(0),
        act: ACT,
        left: &Left {
            general: &[
                (General::Rax, 0),
                (General::Rbx, 3),
                (General::Rcx, 0),
                (General::Rdx, 0),
                (General::Rsi, 0),
            ],
            ..Left::NEW
        },
        ..Case::NEW
    };
}

leaves! {
    tsc, "tsc", "upper.tsc",
    "RDTSCP clears bits 63:32 of RAX, RDX and RCX.",
    needs: Needs::RDTSCP, flags: CaseFlags::empty(),
    armed: ["mov rcx, -1"],
    act: [
        "mov rax, -1", "mov rdx, -1", "rdtscp", "or rax, rdx", "or rax, rcx", "shr rax, 32", "mov rbx, rax", "mov eax, 0",
        "mov edx, 0", "mov ecx, 0"
    ],
    general: [(General::Rax, 0), (General::Rbx, 0), (General::Rcx, 0), (General::Rdx, 0)],
}
leaves! {
    port, "port", "upper.port",
    "OUT DX with bits 63:16 of RDX set: the port is DX.",
    needs: Needs::empty(), flags: CaseFlags::empty(),
    armed: [],
    act: ["mov rdx, -0x10000", "mov dx, {port}", "out dx, al", "mov edx, 0", "mov eax, 0"],
    general: [(General::Rax, 0), (General::Rdx, 0)], port = const OUTPUT,
}
leaves! {
    selectors, "selectors", "upper.selectors",
    "MOV ES of 32 bits, LLDT and LMSW with bits 31:16 of their register set: 16 bits are read.",
    needs: Needs::empty(), flags: CaseFlags::TOUCHES_GDT,
    armed: ["mov ecx, 0xFFFF0010"],
    act: [
        "mov es, ecx", "mov ebx, es", "mov ecx, 0xFFFF0000", "mov es, ecx", "lldt cx", "sldt esi", "smsw rdi", "mov rcx, rdi",
        "bts rcx, 30", "lmsw cx", "mov rcx, cr0", "sub rcx, rdi", "mov edi, 0"
    ],
    general: [(General::Rbx, 0x10), (General::Rcx, 0), (General::Rsi, 0), (General::Rdi, 0)],
}
leaves! {
    control, "control", "upper.control",
    "MOV from and to CR0, CR4 and DR0 with an operand-size prefix: 64 bits all the same.",
    needs: Needs::empty(), flags: CaseFlags::empty(),
    armed: ["mov rbx, -1", "mov rcx, -1", "movabs rsi, 0x8000001A58"],
    act: [
        ".byte 0x66", "mov rbx, cr0", "mov rdi, cr0", "sub rbx, rdi", ".byte 0x66", "mov rcx, cr4", "mov rdi, cr4",
        "sub rcx, rdi", ".byte 0x66", "mov dr0, rsi", ".byte 0x66", "mov rdi, dr0", "sub rdi, rsi", "mov esi, 0", "mov dr0, rsi"
    ],
    general: [(General::Rbx, 0), (General::Rcx, 0), (General::Rsi, 0), (General::Rdi, 0)],
}
leaves! {
    aliases, "aliases", "upper.aliases",
    "Without CR4.DE DR4 is DR6 and DR5 is DR7, for reads and writes.",
    needs: Needs::empty(), flags: CaseFlags::empty(),
    armed: ["mov rcx, cr4", "mov rdi, rcx", "btr rdi, 3"],
    // BS in DR4; DR5 with LE and GE, which enable nothing.
    act: [
        "mov cr4, rdi", "mov edi, 0xFFFF4FF0", "mov dr4, rdi", "mov rbx, dr6", "mov rsi, dr4", "mov edi, 0xFFFF0FF0",
        "mov dr6, rdi", "mov rdi, dr4", "mov ebp, 0x700", "mov dr5, rbp", "mov r8, dr7", "mov r9, dr5", "mov ebp, 0x400",
        "mov dr7, rbp", "mov rbp, dr5", "mov cr4, rcx", "mov ecx, 0"
    ],
    general: [
        (General::Rbx, 0xFFFF_4FF0), (General::Rsi, 0xFFFF_4FF0), (General::Rdi, 0xFFFF_0FF0), (General::Rcx, 0),
        (General::Rbp, 0x400), (General::R8, 0x700), (General::R9, 0x700)
    ],
}
