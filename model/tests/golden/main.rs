//! The rules of FRED, each with its expectation written out: a test for each, or a row for each in a table of
//! what is alike. Each names the part of the manual (SDM vol. 3, ch. 8, "Flexible return and event delivery",
//! unless it says otherwise) whose rule it holds the model to.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set itself up has failed")]

#[path = "../guest/mod.rs"]
mod guest;

mod context;
mod data;
mod debug;
mod enabling;
mod frame;
mod length;
mod returns;
mod shadow;

use guest::{CODE, DATA, DB, ENTRY, GP, Guest, NEXT, PF, RF, STACK, TF, UD};
use model::event::Event;
use model::processor::{Entry, ExitReason};

/// A ring-0 guest under FRED at some bytes of code.
fn ring_0(bytes: &[u8]) -> Guest {
    Guest::fred().with_bytes(bytes)
}

/// The same in ring 3.
fn ring_3(bytes: &[u8]) -> Guest {
    Guest::fred().in_ring_3().with_bytes(bytes)
}

/// The same in compatibility mode.
fn compatibility_mode(bytes: &[u8]) -> Guest {
    ring_3(bytes).but(|g| {
        let cs = &mut g.cpu.segments.cs;
        (cs.selector, cs.l, cs.db) = (0x1B, false, true);
    })
}

/// In compatibility mode, where POP SS is: POP SS from DATA, then two NOPs.
fn pop_ss() -> Guest {
    compatibility_mode(&[0x17, 0x90, 0x90]).but(|g| {
        g.put(DATA, 0x23);
        g.cpu.gpr[4] = DATA;
    })
}

/// Where IA32_FRED_RSP0 puts a frame.
const STACK_0: u64 = guest::FRED_RSP[0] - 0x1000;

/// DR7 with breakpoint 0 on execution; on writes of 1 byte and of 8; on reads and writes of 1 byte and of 8.
const EXECUTE: u64 = 0x402;
const WRITE_1: u64 = 0x1_0402;
const WRITE_8: u64 = 0x9_0402;
const ACCESS_1: u64 = 0x3_0402;
const ACCESS_8: u64 = 0xB_0402;

const UD2: &[u8] = &[0x0F, 0x0B];
const INT3: &[u8] = &[0xCC];
const INT1: &[u8] = &[0xF1];
const SYSCALL: &[u8] = &[0x0F, 0x05];
/// INT 14.
const INT_14: &[u8] = &[0xCD, 14];
/// MOV EAX, 0x18; MOV SS, EAX, which is #GP(0x18): a segment for code.
const BAD_SS: &[u8] = &[0xB8, 0x08, 0, 0, 0, 0x8E, 0xD0];
const NOP: &[u8] = &[0x90];
/// MOV BYTE [DATA], 1.
const STORE: &[u8] = &[0xC6, 0x04, 0x25, 0, 0, 0x19, 0, 1];
/// MOV EAX, [DATA], and of the page after it.
const LOAD: &[u8] = &[0xA1, 0, 0, 0x19, 0, 0, 0, 0, 0];
const LOAD_NEXT: &[u8] = &[0xA1, 0, 0x10, 0x19, 0, 0, 0, 0, 0];
/// Where [`BAD_SS`] faults.
const BAD_SS_RIP: u64 = CODE + 5;
