//! The capture: what each entry stub calls. It records everything, then goes back to the act.
//!
//! Nothing compiled runs between the event and the end of the capture, and nothing here can raise
//! an event on a sound machine: DR7.GD is clear after a #DB, and RDMSR reads only what CPUID
//! offers. A counter turns an event inside a stub into a record, and the case into a failure.
//!
//! General registers are saved, and restored when the handler returns; XMM registers no compiled code uses. After
//! the capture the handler leaves its own stack alone until the return reads the frame there.

use super::handler::{ReturnBy, handle};
use super::stubs::ERROR_CODES;
use crate::exit::{ENDLESS, INSIDE_STUB, UNEXPECTED};
use crate::general_registers::{restore_general, save_general};
use crate::layout::{HANDLER_STACK, MAILBOX};
use core::mem::offset_of;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};
use protocol::delivery::Delivery;
use protocol::mailbox::{DELIVERIES, Mailbox};

/// 1 where the XFD MSRs exist.
pub(crate) static XFD: AtomicU8 = AtomicU8::new(0);
/// 1 while an act runs: an event at any other time is an error.
pub(crate) static ACTING: AtomicU8 = AtomicU8::new(0);
/// 1 when a case has written IA32_DEBUGCTL.
pub(crate) static DEBUGCTL: AtomicU8 = AtomicU8::new(0);
/// Where a handler that does not return goes on.
pub(super) static STAY_AT: AtomicU64 = AtomicU64::new(0);
/// The general registers at the last entry.
static GENERAL: [AtomicU64; 15] = [const { AtomicU64::new(0) }; _];
/// 1 when the last entry was by FRED.
static BY_FRED: AtomicU32 = AtomicU32::new(0);
/// Where the last entry's frame is.
static FRAME: AtomicU64 = AtomicU64::new(0);
/// The instruction by which the handler ends.
static EXIT: AtomicU64 = AtomicU64::new(0);
/// How many stubs are running.
pub(super) static RUNNING: AtomicU32 = AtomicU32::new(0);
/// Where a delivery is captured that has no place in the mailbox.
static OVERFLOW: [AtomicU64; size_of::<Delivery>() / 8] = [const { AtomicU64::new(0) }; _];

/// More entries than any act can have.
const MOST_ENTRIES: u32 = 16;

// From here on: [rsp] RFLAGS at entry, [rsp + 8] return address of the stub's call, [rsp + 16] the
// frame from its error code on.
// ebx: bytes from the entry point to that return address; r8d: quadwords of the frame; r9: the frame; r10: the
// delivery's place; r11d: entries.
//
// The stub counts as running before it changes any register but RSP: an event that comes earlier returns to
// a stub that has lost nothing.
core::arch::global_asm!(
    ".pushsection .entry.capture, \"ax\", @progbits",
    "fred_event:",
    "pushfq",
    "inc dword ptr [rip + {running}]",
    "mov dword ptr [rip + {by_fred}], 1",
    "jmp capture",
    "idt_event:",
    "pushfq",
    "inc dword ptr [rip + {running}]",
    "mov dword ptr [rip + {by_fred}], 0",
    "capture:",
    "cld",
    save_general!("{general}"),
    "mov ebx, 7",
    "mov r8d, 6",
    "cmp dword ptr [rip + {by_fred}], 0",
    "je 1f",
    "mov ebx, 5",
    "mov r8d, 8",
    "1:",
    "lea rsi, [rsp + 16]",
    "mov r9, rsi",
    "mov eax, [rip + {mailbox} + {ENTRIES}]",
    "lea r11d, [rax + 1]",
    "mov [rip + {mailbox} + {ENTRIES}], r11d",
    "lea r10, [rip + {overflow}]",
    "cmp eax, {DELIVERIES}",
    "jae 2f",
    "imul eax, eax, {DELIVERY}",
    "lea r10, [rip + {mailbox} + {SLOTS}]",
    "add r10, rax",
    "2:",
    "mov qword ptr [r10 + 48], 0",
    "mov qword ptr [r10 + 56], 0",
    "mov rdi, r10",
    "mov ecx, r8d",
    "rep movsq",
    "lea rsi, [rip + {general}]",
    "lea rdi, [r10 + {GENERAL}]",
    "mov ecx, 15",
    "rep movsq",
    "mov rax, [rsp]",
    "mov [r10 + {ENTRY_RFLAGS}], rax",
    "mov rax, [rsp + 8]",
    "sub rax, rbx",
    "mov [r10 + {ENTRY_POINT}], rax",
    "mov [r10 + {ENTRY_RSP}], r9",
    "mov qword ptr [r10 + {FRED_CONFIG}], 0",
    "cmp r8d, 8",
    "je 3f",
    // IDT: the vector from the gate taken; without an error code the frame began 8 bytes higher.
    "lea rcx, [rip + idt_stubs]",
    "sub rax, rcx",
    "shr eax, 4",
    "mov [r10 + {VECTOR}], rax",
    "mov ecx, {ERROR_CODES}",
    "bt ecx, eax",
    "jc 4f",
    "add qword ptr [r10 + {ENTRY_RSP}], 8",
    "jmp 4f",
    "3:",
    "movzx eax, byte ptr [r10 + 44]",
    "mov [r10 + {VECTOR}], rax",
    "4:",
    // The frame is recorded. An event that came inside a stub may have been raised further down,
    // so that it must not get there again.
    "mov edi, {INSIDE_STUB}",
    "cmp dword ptr [rip + {running}], 1",
    "ja no_return",
    "cmp r8d, 8",
    "jne 10f",
    "mov ecx, 0x1D4",
    "rdmsr",
    "mov [r10 + {FRED_CONFIG}], eax",
    "mov [r10 + {FRED_CONFIG} + 4], edx",
    "10:",
    "mov rax, cr2",
    "mov [r10 + {CR2}], rax",
    "mov rax, dr6",
    "mov [r10 + {DR6}], rax",
    "mov rax, dr7",
    "mov [r10 + {DR7}], rax",
    "lea rdi, [r10 + {FS_BASE}]",
    "mov ecx, 0xC0000100",
    "call 20f",
    "lea rdi, [r10 + {GS_BASE}]",
    "inc ecx",
    "call 20f",
    "lea rdi, [r10 + {KERNEL_GS_BASE}]",
    "inc ecx",
    "call 20f",
    "lea rdi, [r10 + {XFD}]",
    "mov ecx, 0x1C4",
    "mov bl, [rip + {xfd}]",
    "call 21f",
    "lea rdi, [r10 + {XFD_ERR}]",
    "inc ecx",
    "call 21f",
    "lea rdi, [r10 + {DEBUGCTL}]",
    "mov ecx, 0x1D9",
    "mov bl, [rip + {debugctl}]",
    "call 21f",
    "lea rdi, [r10 + {XMM}]",
    "call capture_xmm",
    "mov [r10 + {CR0}], rax",
    // Captured. Is it an event of the act's?
    "mov edi, {UNEXPECTED}",
    "cmp byte ptr [rip + {acting}], 0",
    "je no_return",
    "mov edi, {ENDLESS}",
    "cmp r11d, {MOST_ENTRIES}",
    "ja no_return",
    "mov [rip + {frame}], r9",
    "lea rsp, [rip + {handler_stack} + {HANDLER_STACK}]",
    "mov rdi, r9",
    "mov rsi, [r10 + {VECTOR}]",
    "call {handle}",
    "lea rcx, [rip + 11f]",
    "cmp eax, {BY_ERETU}",
    "lea rdx, [rip + 12f]",
    "cmove rcx, rdx",
    "cmp eax, {BY_IRETQ}",
    "lea rdx, [rip + 13f]",
    "cmove rcx, rdx",
    "cmp eax, {BY_STAYING}",
    "lea rdx, [rip + 14f]",
    "cmove rcx, rdx",
    "mov [rip + {exit}], rcx",
    restore_general!("{general}"),
    "push 2",
    "popfq",
    "mov rsp, [rip + {frame}]",
    "jmp qword ptr [rip + {exit}]",
    // An event that comes before a stub's last instruction is one inside a stub. At the last one every register
    // has its value again, and the flags are those of the entry.
    "11: mov dword ptr [rip + {running}], 0",
    ".byte 0xF2, 0x0F, 0x01, 0xCA",
    "12: mov dword ptr [rip + {running}], 0",
    ".byte 0xF3, 0x0F, 0x01, 0xCA",
    "13: lea rsp, [rsp + 8]",
    "mov dword ptr [rip + {running}], 0",
    "iretq",
    "14: mov dword ptr [rip + {running}], 0",
    "jmp qword ptr [rip + {stay_at}]",
    // MSR ecx to [rdi]; 0 unless bl is 1.
    "21:",
    "mov qword ptr [rdi], 0",
    "test bl, bl",
    "jz 22f",
    "20:",
    "rdmsr",
    "mov [rdi], eax",
    "mov [rdi + 4], edx",
    "22:",
    "ret",
    // XMM0 and XMM1 to [rdi], 0 if CR0.EM or TS keeps instructions from them; CR0 to rax.
    ".globl capture_xmm",
    "capture_xmm:",
    "mov qword ptr [rdi], 0",
    "mov qword ptr [rdi + 8], 0",
    "mov qword ptr [rdi + 16], 0",
    "mov qword ptr [rdi + 24], 0",
    "mov rax, cr0",
    "test al, 0xC",
    "jnz 23f",
    "movups [rdi], xmm0",
    "movups [rdi + 16], xmm1",
    "23:",
    "ret",
    ".popsection",
    running = sym RUNNING,
    mailbox = sym MAILBOX,
    overflow = sym OVERFLOW,
    xfd = sym XFD,
    acting = sym ACTING,
    handler_stack = sym HANDLER_STACK,
    handle = sym handle,
    general = sym GENERAL,
    by_fred = sym BY_FRED,
    frame = sym FRAME,
    exit = sym EXIT,
    stay_at = sym STAY_AT,
    debugctl = sym DEBUGCTL,
    ERROR_CODES = const ERROR_CODES,
    ENTRIES = const offset_of!(Mailbox, entries),
    SLOTS = const offset_of!(Mailbox, deliveries),
    DELIVERIES = const DELIVERIES,
    DELIVERY = const size_of::<Delivery>(),
    ENTRY_RFLAGS = const offset_of!(Delivery, entry_rflags),
    ENTRY_POINT = const offset_of!(Delivery, entry_point),
    ENTRY_RSP = const offset_of!(Delivery, entry_rsp),
    FRED_CONFIG = const offset_of!(Delivery, fred_config),
    VECTOR = const offset_of!(Delivery, vector),
    CR0 = const offset_of!(Delivery, cr0),
    FS_BASE = const offset_of!(Delivery, fs_base),
    DEBUGCTL = const offset_of!(Delivery, debugctl),
    GENERAL = const offset_of!(Delivery, general),
    XMM = const offset_of!(Delivery, xmm),
    BY_ERETU = const ReturnBy::Eretu as u32,
    BY_IRETQ = const ReturnBy::Iretq as u32,
    BY_STAYING = const ReturnBy::Staying as u32,
    HANDLER_STACK = const size_of_val(&HANDLER_STACK),
    CR2 = const offset_of!(Delivery, cr2),
    DR6 = const offset_of!(Delivery, dr6),
    DR7 = const offset_of!(Delivery, dr7),
    GS_BASE = const offset_of!(Delivery, gs_base),
    KERNEL_GS_BASE = const offset_of!(Delivery, kernel_gs_base),
    XFD = const offset_of!(Delivery, xfd),
    XFD_ERR = const offset_of!(Delivery, xfd_err),
    INSIDE_STUB = const INSIDE_STUB,
    UNEXPECTED = const UNEXPECTED,
    ENDLESS = const ENDLESS,
    MOST_ENTRIES = const MOST_ENTRIES,
);
