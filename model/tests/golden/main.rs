//! One test for each rule of FRED, its expectation written out. Each names the part of the manual
//! (SDM vol. 3, ch. 8, "Flexible return and event delivery", unless it says otherwise) whose rule it
//! holds the model to.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

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

use guest::{CODE, DATA, Guest};
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

/// In compatibility mode, where POP SS is: POP SS from DATA, then two NOPs.
fn pop_ss() -> Guest {
    let mut g = ring_3(&[0x17, 0x90, 0x90]);
    g.cpu.segments.cs.selector = 0x1B;
    (g.cpu.segments.cs.l, g.cpu.segments.cs.db) = (false, true);
    g.put(DATA, 0x23);
    g.cpu.gpr[4] = DATA;
    g
}

/// Injects an event and runs to the handler's HLT.
fn inject(g: &mut Guest, event: Event) {
    let exit = g.enter(Entry { injected: Some(event), ..Entry::default() });
    assert_eq!(exit.reason, ExitReason::Halt);
}

const UD2: &[u8] = &[0x0F, 0x0B];
const INT3: &[u8] = &[0xCC];
const INT1: &[u8] = &[0xF1];
const SYSCALL: &[u8] = &[0x0F, 0x05];
/// INT 14.
const INT_14: &[u8] = &[0xCD, 14];
/// MOV EAX, 0x18; MOV SS, EAX, which is #GP(0x18): a segment for code.
const BAD_SS: &[u8] = &[0xB8, 0x08, 0, 0, 0, 0x8E, 0xD0];
const NOP: &[u8] = &[0x90];
/// Where [`BAD_SS`] faults.
const BAD_SS_RIP: u64 = CODE + 5;
