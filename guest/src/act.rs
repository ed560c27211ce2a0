//! Acts: how one is written, and how it is entered and left.
//!
//! An act runs on its own stack page, with RFLAGS = 2 and every register but RSP its own. Before it begins each
//! general register has a value of its own, and XMM0 and XMM1 too. Its last
//! OUT before the act proper is `Armed`: a host may, at that OUT, move RIP to where the event
//! comes and put the event into the queue itself, and the frame must be the same.

use crate::general_registers::save_general;
use crate::layout::{ACT_HEADROOM, ACT_STACK, MAILBOX, PAGE};
use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU8, AtomicU64};
use protocol::delivery::Delivery;
use protocol::mailbox::{HostFlags, Mailbox};

/// 1 in FRED mode: how an act gets to ring 3.
pub static FRED_MODE: AtomicU8 = AtomicU8::new(0);

/// RSP of compiled code while an act runs.
static SAVED_RSP: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" {
    static act_leave: u8;
}

/// Where an act in ring 3 comes back to in ring 0.
pub(crate) const LEAVE: crate::address::Address = crate::address::Address::of(&raw const act_leave);

/// What assembly stores. Compiled code looks at it in one piece: an emulated guest pays for each word that is copied by
/// itself.
struct Stored<T>(UnsafeCell<T>);

// SAFETY: one processor, and compiled code looks at it only while no act runs.
unsafe impl<T> Sync for Stored<T> {}

/// The general registers at `Armed`, in the order of [`GENERAL`](protocol::field::GENERAL).
static ARMED: Stored<[u64; 15]> = Stored(UnsafeCell::new([0; _]));
/// The registers when the act has ended, in a delivery's form.
static LEFT: Stored<Delivery> = Stored(UnsafeCell::new(Delivery::EMPTY));
/// Where the act begins.
static START: AtomicU64 = AtomicU64::new(0);

global_asm!(
    ".pushsection .entry.act_enter, \"ax\", @progbits",
    "act_enter:",
    "push rbx",
    "push rbp",
    "mov [rip + {start}], rcx",
    "mov [rip + {saved}], rsp",
    "lea rsp, [rip + {stack} + {RSP}]",
    // Every register has a value that no other has, so that one that is lost shows.
    "movabs rcx, 0x9A01760152013101",
    "movabs rbx, 0x9A03760352033103",
    "movabs rbp, 0x9A05760552053105",
    "movabs rsi, 0x9A06760652063106",
    "movabs rdi, 0x9A07760752073107",
    "movabs r8, 0x9A08760852083108",
    "movabs r9, 0x9A09760952093109",
    "movabs r10, 0x9A0A760A520A310A",
    "movabs r11, 0x9A0B760B520B310B",
    "movabs r12, 0x9A0C760C520C310C",
    "movabs r13, 0x9A0D760D520D310D",
    "movabs r14, 0x9A0E760E520E310E",
    "movabs r15, 0x9A0F760F520F310F",
    "jmp qword ptr [rip + {start}]",
    // Called by an act just before its doorbell.
    ".globl act_armed",
    "act_armed:",
    save_general!("{armed}"),
    // As `report::ring` waits, with every register but RFLAGS and RSP as it is at the doorbell.
    "test byte ptr [rip + {mailbox} + {host}], {HOLD}",
    "jz 3f",
    "mov [rip + {mailbox} + {waiting}], eax",
    "2:",
    "cmp dword ptr [rip + {mailbox} + {waiting}], 0",
    "jne 2b",
    "3:",
    "ret",
    ".globl act_leave",
    "act_leave:",
    save_general!("{left} + {LEFT_GENERAL}"),
    "mov [rip + {left} + {LEFT_RSP}], rsp",
    "mov rsp, [rip + {saved}]",
    "pushfq",
    "pop qword ptr [rip + {left} + {LEFT_RFLAGS}]",
    "cld",
    "lea rdi, [rip + {left} + {LEFT_XMM}]",
    "call capture_xmm",
    "push 2",
    "popfq",
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
    armed = sym ARMED,
    left = sym LEFT,
    LEFT_RFLAGS = const offset_of!(Delivery, frame) + 8 * 3,
    LEFT_RSP = const offset_of!(Delivery, frame) + 8 * 4,
    LEFT_GENERAL = const offset_of!(Delivery, general),
    LEFT_XMM = const offset_of!(Delivery, xmm),
    start = sym START,
    mailbox = sym MAILBOX,
    host = const offset_of!(Mailbox, host),
    waiting = const offset_of!(Mailbox, waiting),
    HOLD = const HostFlags::HOLD.bits(),
    stack = sym ACT_STACK,
    RSP = const PAGE - ACT_HEADROOM,
);

/// Runs an act from its `start`, with `armed` for the doorbell.
///
/// # Safety
/// `start` must be an [`Act`](crate::case::Act)'s, and the handlers must know where to go back to.
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

/// The general registers at the last act's `Armed`.
pub(crate) fn armed() -> &'static [u64; 15] {
    // SAFETY: no act is running, and the next one writes it when what the last caller has got is judged.
    unsafe { &*ARMED.0.get() }
}

/// What the last act left, in a delivery's form, without the registers that compiled code finds as the act left them.
pub(crate) fn left() -> &'static mut Delivery {
    // SAFETY: no act is running, and what the last caller has got is judged before the next one.
    unsafe { &mut *LEFT.0.get() }
}

/// Writes an act in ring 0 and names its places in a constant `ACT`.
///
/// `set` gives registers their values (not RAX and RDX, which hold the doorbell's, nor RSP), then
/// flags become 2 and the doorbell rings; `armed` is what must come after it (TF, a port in EDX, a
/// stack); `act` is the instruction that raises the event. `then`, where it is given, is the
/// instruction that raises the second event: it begins with RSP and flags as `act` did. Operands follow as in
/// `global_asm!`.
#[macro_export]
macro_rules! act {
    (
        name: $name:literal, set: [$($set:expr),*], armed: [$($armed:expr),*], act: [$($act:expr),*],
        then: [$($then:expr),*], $($operands:tt)*
    ) => {
        ::core::arch::global_asm!(
            ".pushsection .entry.acts, \"ax\", @progbits",
            $crate::act_names!($name),
            concat!("\"", $name, ".start\":"),
            $($set,)*
            "call act_armed",
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
/// `set` as in [`act!`]; then the doorbell rings in ring 0, and ERETU or IRETQ leads to `act`, with the selectors
/// and the RFLAGS that `cs`, `ss` and `rflags` give as literals (64-bit mode and 2 where they are left out). With
/// `cs: "0x1B"` the act runs in compatibility mode, and its first line is `.code32`. An act that raises nothing
/// falls into a UD2, whose event the judge then finds wrong.
#[macro_export]
macro_rules! act_ring3 {
    (name: $name:literal, set: [$($set:expr),*], act: [$($act:expr),*], $($operands:tt)*) => {
        $crate::act_ring3! {
            name: $name, cs: "0x2B", ss: "0x23", rflags: "2", set: [$($set),*], act: [$($act),*],
            $($operands)*
        }
    };
    (
        name: $name:literal, cs: $cs:literal, ss: $ss:literal, rflags: $rflags:literal,
        set: [$($set:expr),*], act: [$($act:expr),*], $($operands:tt)*
    ) => {
        ::core::arch::global_asm!(
            ".pushsection .entry.acts, \"ax\", @progbits",
            $crate::act_names!($name),
            concat!("\"", $name, ".start\":"),
            // ERETU's frame, whose middle is IRETQ's.
            "push 0",
            "push 0",
            concat!("push ", $ss),
            "lea rbx, [rip + {act_user_stack} + {act_user_rsp}]",
            "push rbx",
            concat!("push ", $rflags),
            concat!("push ", $cs),
            concat!("lea rbx, [rip + \"", $name, ".act\"]"),
            "push rbx",
            "push 0",
            $($set,)*
            "call act_armed",
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
            ".code64",
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
