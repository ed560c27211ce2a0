//! Acts: how one is written, and how it is entered and left.
//!
//! An act runs on its own stack page, with RFLAGS = 2 and every register but RSP its own. Its last
//! OUT before the act proper is `Armed`: a host may, at that OUT, move RIP to where the event
//! comes and put the event into the queue itself, and the frame must be the same.

use crate::layout::{ACT_HEADROOM, ACT_STACK, PAGE};
use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicU8, AtomicU64};

/// 1 in FRED mode: how an act gets to ring 3.
pub static FRED_MODE: AtomicU8 = AtomicU8::new(0);

/// RSP of compiled code while an act runs.
static SAVED_RSP: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" {
    static act_leave: u8;
}

/// Where an act in ring 3 comes back to in ring 0.
pub(crate) const LEAVE: crate::address::Address = crate::address::Address::of(&raw const act_leave);

global_asm!(
    ".pushsection .text.act_enter, \"ax\", @progbits",
    "act_enter:",
    "push rbx",
    "push rbp",
    "mov [rip + {saved}], rsp",
    "lea rsp, [rip + {stack} + {RSP}]",
    "jmp rcx",
    ".globl act_leave",
    "act_leave:",
    "mov edx, {settle}",
    "out dx, al",
    // If the event of DR7.GD was lost, the next access to a debug register raises it. That is this one,
    // while the stubs can still return: the judge then finds RIP wrong.
    "mov rax, dr7",
    "mov rsp, [rip + {saved}]",
    "push 2",
    "popfq",
    "pop rbp",
    "pop rbx",
    "ret",
    ".popsection",
    settle = const protocol::port::SETTLE,
    saved = sym SAVED_RSP,
    stack = sym ACT_STACK,
    RSP = const PAGE - ACT_HEADROOM,
);

/// Runs an act from its `start`, with `armed` for the doorbell.
///
/// # Safety
/// `start` must be an [`Act`](crate::case::Act)'s, and the stubs must know where to go back to.
pub(crate) unsafe fn enter(start: u64, armed: u32) {
    // SAFETY: the caller names an act; act_leave restores the stack, RBX and RBP, and every other
    // register is declared lost.
    unsafe {
        asm!(
            "call act_enter",
            in("rcx") start, in("eax") armed, in("edx") protocol::port::DOORBELL as u32,
            out("r12") _, out("r13") _, out("r14") _, out("r15") _,
            clobber_abi("sysv64"),
        );
    }
}

/// Writes an act in ring 0 and names its places in a constant `ACT`.
///
/// `set` gives registers their values (not RAX and RDX, which hold the doorbell's, nor RSP), then
/// flags become 2 and the doorbell rings; `armed` is what must come after it (TF, a port in EDX, a
/// stack); `act` is the instruction that raises the event. `then`, where it is given, is the
/// instruction that raises the second event: it begins with RSP and flags as `act` did, every
/// other register lost. Operands follow as in `global_asm!`.
#[macro_export]
macro_rules! act {
    (
        name: $name:literal, set: [$($set:expr),*], armed: [$($armed:expr),*], act: [$($act:expr),*],
        then: [$($then:expr),*], $($operands:tt)*
    ) => {
        ::core::arch::global_asm!(
            ".pushsection .text.acts, \"ax\", @progbits",
            $crate::act_names!($name),
            concat!("\"", $name, ".start\":"),
            $($set,)*
            "push 2",
            "popfq",
            "out dx, eax",
            $($armed,)*
            concat!("\"", $name, ".act\":"),
            $($act,)*
            concat!("\"", $name, ".after\":"),
            $($then,)*
            concat!("\"", $name, ".last\":"),
            "jmp act_leave",
            ".popsection",
            $($operands)*
        );
        $crate::act_places!($name);
    };
    (
        name: $name:literal, set: [$($set:expr),*], armed: [$($armed:expr),*], act: [$($act:expr),*],
        $($operands:tt)*
    ) => {
        $crate::act! {
            name: $name, set: [$($set),*], armed: [$($armed),*], act: [$($act),*], then: [],
            $($operands)*
        }
    };
}

/// Writes an act in ring 3 and names its places in a constant `ACT`.
///
/// `set` as in [`act!`]; then the doorbell rings in ring 0, and ERETU or IRETQ leads to `act`. An
/// act that raises nothing falls into a UD2, whose event the judge then finds wrong.
#[macro_export]
macro_rules! act_ring3 {
    (name: $name:literal, set: [$($set:expr),*], act: [$($act:expr),*], $($operands:tt)*) => {
        ::core::arch::global_asm!(
            ".pushsection .text.acts, \"ax\", @progbits",
            $crate::act_names!($name),
            concat!("\"", $name, ".start\":"),
            // ERETU's frame, whose middle is IRETQ's.
            "push 0",
            "push 0",
            "push 0x23",
            "lea rbx, [rip + {act_user_stack} + {act_user_rsp}]",
            "push rbx",
            "push 2",
            "push 0x2B",
            concat!("lea rbx, [rip + \"", $name, ".act\"]"),
            "push rbx",
            "push 0",
            $($set,)*
            "out dx, eax",
            "cmp byte ptr [rip + {act_fred}], 0",
            "je 2f",
            ".byte 0xF3, 0x0F, 0x01, 0xCA",
            "2:",
            "add rsp, 8",
            "iretq",
            ".popsection",
            ".pushsection .user, \"ax\", @progbits",
            concat!("\"", $name, ".act\":"),
            $($act,)*
            concat!("\"", $name, ".after\":"),
            concat!("\"", $name, ".last\":"),
            "ud2",
            ".popsection",
            act_user_stack = sym $crate::layout::USER_STACK,
            act_user_rsp = const $crate::layout::PAGE - $crate::layout::ACT_HEADROOM,
            act_fred = sym $crate::act::FRED_MODE,
            $($operands)*
        );
        $crate::act_places!($name);
    };
}

/// The symbols of an act, global.
#[doc(hidden)]
#[macro_export]
macro_rules! act_names {
    ($name:literal) => {
        concat!(
            ".globl \"",
            $name,
            ".start\", \"",
            $name,
            ".act\", \"",
            $name,
            ".after\", \"",
            $name,
            ".last\""
        )
    };
}

/// The symbols of an act as a constant `ACT`.
#[doc(hidden)]
#[macro_export]
macro_rules! act_places {
    ($name:literal) => {
        unsafe extern "C" {
            #[link_name = concat!($name, ".start")]
            static START: u8;
            #[link_name = concat!($name, ".act")]
            static FIRST: u8;
            #[link_name = concat!($name, ".after")]
            static AFTER: u8;
            #[link_name = concat!($name, ".last")]
            static LAST: u8;
        }
        const ACT: $crate::case::Act = $crate::case::Act {
            start: $crate::address::Address::of(&raw const START),
            act: $crate::address::Address::of(&raw const FIRST),
            after: $crate::address::Address::of(&raw const AFTER),
            last: $crate::address::Address::of(&raw const LAST),
        };
    };
}
