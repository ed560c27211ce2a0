//! Code above 4 GiB: RIP has 64 bits in every frame.
//!
//! Rule: in 64-bit mode RIP, RSP and the addresses of operands have 64 bits. The RIP that INT3 and INT n save is that of the next
//! instruction, a fault's its own; a single step's is the next one, after a branch its target. An
//! instruction that is rewritten by its own linear address is executed as it is then (SDM vol. 1 ch. 3, "Instruction
//! pointer"; vol. 3 ch. 8, "FRED event delivery"; ch. 7, "Program or task restart"; ch. 13, "Self-modifying
//! code").
//!
//! Known bugs that fail it: the next RIP computed in 32 bits where a software event is injected again (svm_update_soft_interrupt_rip
//! and kvm_rip_write of KVM know the mode).
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "high",
    rule: "Events of code above 4 GiB save a RIP of 64 bits, and return to it.",
    spec: "SDM vol. 1 ch. 3 RIP; vol. 3 ch. 8 FRED, ch. 7",
    cases: [int3::CASE, int_n::CASE, undefined::CASE, step::CASE, calls::CASE, rewritten::CASE],
}

/// Where all of this is executed.
const CODE: u64 = 0x0000_0180_0000_0300;

/// Puts the code there.
fn prepare(bytes: u64) {
    paging::set_own([P | W | U | A, P | W | U | A, P | W | U | A, P | W | A | D]);
    paging::set_window(0x300, bytes);
    for vector in [3, 6, 31] {
        route(vector, 1, IST_FRAME);
    }
}

/// A case of an instruction there, `$length` bytes after which lies JMP RSI, which leads to the end of the act. `$armed` leads to
/// it, with its address in RDI.
macro_rules! high {
    (
        $module:ident, $name:literal, $act:literal, $rule:literal, armed: [$($armed:literal),*], flags: $flags:expr, code: $code:literal,
        length: $length:literal, events: $events:expr, dr6: $dr6:expr, general: [$($general:expr),*], $($operands:tt)*
    ) => {
        mod $module {
            use super::*;
            act! {
                name: $act,
                set: ["movabs rdi, 0x18000000300", concat!("lea rsi, [rip + \"", $act, ".landed\"]")],
                armed: [$($armed),*],
                act: ["nop"],
                then: ["ud2", concat!("\"", $act, ".landed\":"), "mov esi, 0", "push 2", "popfq"],
                $($operands)*
            }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                flags: $flags,
                prepare: || prepare($code),
                act: Act { act: Address::new(CODE), after: Address::new(CODE + $length), ..ACT },
                events: $events,
                registers: Registers { dr6: $dr6, ..RESTING },
                left: &Left { general: &[(General::Rsi, 0), $($general),*], ..Left::NEW },
                ..Case::NEW
            };
        }
    };
}

high! {
    int3, "int3", "high.int3", "INT3: a trap after it.",
    armed: ["jmp rdi"], flags: CaseFlags::empty(), code: 0x00E6_FFCC, length: 1,
    events: &[Event {
        vector: 3,
        rip: Rip::After,
        rflags: RFLAGS,
        ss: ss_slot(SOFTWARE_EXCEPTION, 3) | ss_length(1),
        ..Event::NEW
    }],
    dr6: DR6, general: [],
}
high! {
    int_n, "int-n", "high.int-n", "INT 31: a trap after it, on the stack that is in use.",
    armed: ["movabs rsp, {rsp}", "jmp rdi"], flags: CaseFlags::empty(), code: 0xE6FF_1FCD, length: 2,
    events: &[Event {
        vector: 31,
        rip: Rip::After,
        rflags: RFLAGS,
        ss: ss_slot(SOFTWARE_INTERRUPT, 31) | SS_SOFTWARE | ss_length(2),
        rsp: Stack::Frame(0x28),
        csl: 0,
        fred_top: Top::Frame(0x40),
        ..Event::NEW
    }],
    dr6: DR6, general: [], rsp = const FRAME_STACK + 0xFD8,
}
high! {
    undefined, "undefined", "high.undefined", "UD2: a fault at it.",
    armed: ["jmp rdi"], flags: CaseFlags::empty(), code: 0xE6FF_0B0F, length: 2, events: &[UD], dr6: DR6, general: [],
}
high! {
    step, "step", "high.step", "A single step over a short jump: the trap is at its target, two bytes after it.",
    // POPF sets TF, and the jump to the code is stepped over too: its trap is at the code itself.
    armed: ["push 0x102", "popfq", "jmp rdi"], flags: CaseFlags::empty(), code: 0xE6FF_00EB, length: 2,
    events: &[
        Event { rip: Rip::Act, returns: Return::Frame, ..SINGLE_STEP },
        SINGLE_STEP,
    ],
    dr6: DR6 | BS, general: [],
}
high! {
    calls, "calls", "high.calls",
    "CALL and RET there push and pop eight bytes: the return address has 64 bits.",
    armed: ["jmp rdi"], flags: CaseFlags::CONFORMANCE,
    // CALL to the next instruction, which is POP RBX; PUSH RSI; RET.
    code: 0xC356_5B00_0000_00E8, length: 5, events: &[], dr6: DR6, general: [(General::Rbx, CODE + 5)],
}

mod rewritten {
    use super::*;
    act! {
        name: "high.rewritten",
        set: ["movabs rdi, 0x18000000300", "lea rsi, [rsp - 64]"],
        armed: [],
        // The second time MOV [RSI], AL writes the immediate of the instruction after it.
        act: ["call rdi", "mov ecx, ebx", "lea rsi, [rdi + 3]", "mov al, 9", "call rdi", "mov esi, 0", "mov eax, 0"],
    }
    pub(super) const CASE: Case = Case {
        name: "rewritten",
        rule: "An instruction that rewrites the next one, by the address that it is executed at: the new one is executed.",
        flags: CaseFlags::CONFORMANCE,
        // MOV [RSI], AL; MOV BL, 7; RET.
        prepare: || prepare(0x00C3_07B3_0688),
        act: ACT,
        left: &Left {
            general: &[
                (General::Rax, 0),
                (General::Rbx, 0x9A03_7603_5203_3109),
                (General::Rcx, 0x5203_3107),
                (General::Rsi, 0),
            ],
            ..Left::NEW
        },
        ..Case::NEW
    };
}
