//! Where a stub goes with an event from which there is no return: it came inside a stub, while no act was running, or
//! again and again.

use super::capture::RUNNING;
use crate::exit::event_error;
use crate::layout::MAIN_STACK;
use protocol::exit::ImageExit;
use uart_16550::spec::registers::LSR;

// edi: what is wrong with it; r10: its record.
core::arch::global_asm!(
    ".pushsection .entry.no_return, \"ax\", @progbits",
    "no_return:",
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
    "15: in al, dx",
    "test al, {TRANSMITTER_EMPTY}",
    "loopz 15b",
    "mov al, {FAIL}",
    "out 0xF4, al",
    // The same for Bochs: the last line on its console, and the end.
    "lea rsi, [rip + 16f]",
    "mov dx, {DEBUG_CONSOLE}",
    "mov ecx, 12",
    "rep outsb",
    "mov dx, {SHUTDOWN}",
    "mov ecx, 8",
    "rep outsb",
    "9: cli",
    "hlt",
    "jmp 9b",
    "16: .ascii \"\\nEXIT: fail\\n\"",
    "17: .ascii \"Shutdown\"",
    ".popsection",
    running = sym RUNNING,
    main_stack = sym MAIN_STACK,
    event_error = sym event_error,
    MAIN_STACK = const size_of_val(&MAIN_STACK),
    LINE_STATUS = const protocol::port::COM1 + 5,
    ATTEMPTS = const crate::serial::ATTEMPTS,
    TRANSMITTER_EMPTY = const LSR::TRANSMITTER_EMPTY.bits(),
    FAIL = const ImageExit::Fail as u8,
    DEBUG_CONSOLE = const protocol::port::DEBUG_CONSOLE,
    SHUTDOWN = const protocol::port::SHUTDOWN,
);
