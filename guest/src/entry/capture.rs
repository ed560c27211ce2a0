//! The capture: what each entry stub calls. It records everything, then goes back to the act.
//!
//! Nothing compiled runs between the event and the end of the capture, and nothing here can raise
//! an event on a sound machine: DR7.GD is clear after a #DB, and RDMSR reads only what CPUID
//! offers. A counter turns an event inside a stub into a record, and the case into a failure.
//!
//! General registers are not preserved: an act has given up all of them but RSP, and where the
//! stub goes back to, the stack of compiled code is restored from memory.

use super::stubs::ERROR_CODES;
use crate::exit::{ENDLESS, INSIDE_STUB, UNEXPECTED, event_error};
use crate::layout::{ACT_HEADROOM, ACT_STACK, MAILBOX, MAIN_STACK, PAGE};
use core::mem::offset_of;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use protocol::delivery::Delivery;
use protocol::exit::ImageExit;
use protocol::mailbox::{DELIVERIES, Mailbox};
use uart_16550::spec::registers::LSR;

/// 1 where the XFD MSRs exist.
pub(crate) static XFD: AtomicU8 = AtomicU8::new(0);
/// 1 while an act runs: an event at any other time is an error.
pub(crate) static ACTING: AtomicU8 = AtomicU8::new(0);
/// Where the stub of an act's first event goes back to.
pub(crate) static RESUME: AtomicU64 = AtomicU64::new(0);
/// Where the stub of every later one goes back to.
pub(crate) static RESUME_NEXT: AtomicU64 = AtomicU64::new(0);
/// 1 when the next stub must not return: [`RESUME`] is part of the handler.
pub(crate) static STAY: AtomicU32 = AtomicU32::new(0);
/// 1 when an NMI's stub must return by its frame as it is: it came before a handler's first
/// instruction, which needs no register but RSP.
pub(crate) static THROUGH: AtomicU32 = AtomicU32::new(0);
/// RCX at the last entry.
static ENTRY_RCX: AtomicU64 = AtomicU64::new(0);
/// R11 at the last entry.
static ENTRY_R11: AtomicU64 = AtomicU64::new(0);
/// How many stubs are running.
static RUNNING: AtomicU32 = AtomicU32::new(0);
/// Where a delivery is captured that has no place in the mailbox.
static OVERFLOW: [AtomicU64; size_of::<Delivery>() / 8] = [const { AtomicU64::new(0) }; _];

/// More entries than any act can have.
const MOST_ENTRIES: u32 = 16;

/// RCX at the last entry: SYSCALL without FRED would have put RIP there.
pub fn rcx_at_entry() -> u64 {
    ENTRY_RCX.load(Relaxed)
}

/// R11 at the last entry: SYSCALL without FRED would have put RFLAGS there.
pub fn r11_at_entry() -> u64 {
    ENTRY_R11.load(Relaxed)
}

// From here on: [rsp] RFLAGS at entry, [rsp + 8] return address of the stub's call, [rsp + 16] the
// frame from its error code on.
// ebx: bytes from the entry point to that return address; r8d: quadwords of the frame.
//
// The stub counts as running before it changes any register but RSP: an event that comes earlier returns to
// a stub that has lost nothing.
core::arch::global_asm!(
    ".pushsection .text.capture, \"ax\", @progbits",
    "fred_event:",
    "pushfq",
    "inc dword ptr [rip + {running}]",
    "cld",
    "mov ebx, 5",
    "mov r8d, 8",
    "jmp capture",
    "idt_event:",
    "pushfq",
    "inc dword ptr [rip + {running}]",
    "cld",
    "mov ebx, 7",
    "mov r8d, 6",
    "capture:",
    "mov [rip + {entry_rcx}], rcx",
    "mov [rip + {entry_r11}], r11",
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
    "ja 6f",
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
    "mov ecx, 0xC0000101",
    "rdmsr",
    "mov [r10 + {GS_BASE}], eax",
    "mov [r10 + {GS_BASE} + 4], edx",
    "mov ecx, 0xC0000102",
    "rdmsr",
    "mov [r10 + {KERNEL_GS_BASE}], eax",
    "mov [r10 + {KERNEL_GS_BASE} + 4], edx",
    "mov qword ptr [r10 + {XFD}], 0",
    "mov qword ptr [r10 + {XFD_ERR}], 0",
    "cmp byte ptr [rip + {xfd}], 0",
    "je 5f",
    "mov ecx, 0x1C4",
    "rdmsr",
    "mov [r10 + {XFD}], eax",
    "mov [r10 + {XFD} + 4], edx",
    "mov ecx, 0x1C5",
    "rdmsr",
    "mov [r10 + {XFD_ERR}], eax",
    "mov [r10 + {XFD_ERR} + 4], edx",
    "5:",
    // Captured. Is it an event of the act's?
    "mov edi, {UNEXPECTED}",
    "cmp byte ptr [rip + {acting}], 0",
    "je 6f",
    "mov edi, {ENDLESS}",
    "cmp r11d, {MOST_ENTRIES}",
    "ja 6f",
    "mov rsp, r9",
    "mov r11d, 0x10",
    "cmp dword ptr [r10 + {VECTOR}], 2",
    "jne 12f",
    "cmp dword ptr [rip + {through}], 0",
    "jne 13f",
    // Bit 18: the return ends blocking by NMI, as every IRETQ does.
    "mov r11d, 0x40010",
    "12:",
    "mov rax, [rip + {resume}]",
    "mov rcx, [rip + {resume_next}]",
    "mov [rip + {resume}], rcx",
    "btr dword ptr [rip + {stay}], 0",
    "jc 11f",
    // Go back through the frame, every field put right: a wrong frame must become a verdict, not
    // a crash. The saved stack level is 0, so ERETS drops the current one.
    "mov [rsp + 8], rax",
    "mov qword ptr [rsp + 16], 0x08",
    "mov qword ptr [rsp + 24], 0x2",
    "lea rax, [rip + {act_stack} + {ACT_RSP}]",
    "mov [rsp + 32], rax",
    "mov [rsp + 40], r11",
    // An event that comes before the stub's last instruction would find registers changed in part: it is one
    // inside a stub. At the last one there are only RSP and the flags of its entry.
    "13: cmp r8d, 8",
    "je 7f",
    "lea rsp, [rsp + 8]",
    "push 2",
    "popfq",
    "mov dword ptr [rip + {running}], 0",
    "iretq",
    "7: push 2",
    "popfq",
    "mov dword ptr [rip + {running}], 0",
    ".byte 0xF2, 0x0F, 0x01, 0xCA",
    // Still in the handler, on its stack, with the flags of its entry.
    "11: push 2",
    "popfq",
    "mov dword ptr [rip + {running}], 0",
    "jmp rax",
    "6:",
    "cmp dword ptr [rip + {running}], 2",
    "ja 8f",
    "lea rsp, [rip + {main_stack} + {MAIN_STACK}]",
    "mov rsi, r10",
    "call {event_error}",
    // The report itself raised an event: no more reports. What the earlier ones printed leaves the
    // serial port first, if there is one; otherwise its line status reads as all ones.
    "8:",
    "mov edx, {LINE_STATUS}",
    "mov ecx, {ATTEMPTS}",
    "14: in al, dx",
    "test al, {TRANSMITTER_EMPTY}",
    "loopz 14b",
    "mov al, {FAIL}",
    "out 0xF4, al",
    // The same for Bochs: the last line on its console, and the end.
    "lea rsi, [rip + 15f]",
    "mov dx, {DEBUG_CONSOLE}",
    "mov ecx, 12",
    "rep outsb",
    "mov dx, {SHUTDOWN}",
    "mov ecx, 8",
    "rep outsb",
    "9: cli",
    "hlt",
    "jmp 9b",
    "15: .ascii \"\\nEXIT: fail\\n\"",
    "16: .ascii \"Shutdown\"",
    ".popsection",
    running = sym RUNNING,
    mailbox = sym MAILBOX,
    overflow = sym OVERFLOW,
    xfd = sym XFD,
    acting = sym ACTING,
    resume = sym RESUME,
    resume_next = sym RESUME_NEXT,
    stay = sym STAY,
    through = sym THROUGH,
    entry_rcx = sym ENTRY_RCX,
    entry_r11 = sym ENTRY_R11,
    act_stack = sym ACT_STACK,
    main_stack = sym MAIN_STACK,
    event_error = sym event_error,
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
    ACT_RSP = const PAGE - ACT_HEADROOM,
    MAIN_STACK = const size_of_val(&MAIN_STACK),
    LINE_STATUS = const protocol::port::COM1 + 5,
    ATTEMPTS = const crate::serial::ATTEMPTS,
    TRANSMITTER_EMPTY = const LSR::TRANSMITTER_EMPTY.bits(),
    FAIL = const ImageExit::Fail as u8,
    DEBUG_CONSOLE = const protocol::port::DEBUG_CONSOLE,
    SHUTDOWN = const protocol::port::SHUTDOWN,
);
