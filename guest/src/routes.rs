//! Which stack an event lands on, for a case that needs another than most.
//!
//! | | FRED | IDT |
//! |---|---|---|
//! | #PF, #DB, #NM | level 1, RSP1: the frame page | IST 1: the frame page |
//! | #DF | level 3, RSP3 | IST 2 |
//! | others | level 2, RSP2: the stack of other events | IST 4: the same |
//! | everything from ring 3 | level 0, RSP0: the frame page | by vector |
//! | INT n, SYSCALL from ring 0 | level 0: the stack that is in use | by vector |
//!
//! What a case's `prepare` changes here is restored after the case.
//!
//! Stacks reach the frame page at [`crate::layout::FRAME_STACK`] only, by page tables that serve
//! nothing else.

use crate::act::FRED_MODE;
use crate::address::Address;
use crate::entry::stubs::IDT_STUBS;
use crate::entry::{fred_setup, idt};
pub use crate::paging::UNMAPPED_TOP;
use crate::registers::{read_msr, write_msr};
pub use crate::segments::{IST_OTHER, IST_TESTED as IST_FRAME, IST_UNMAPPED};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use fred::config::StackLevels;
use fred::msr::{FRED_CONFIG, FRED_RSP0, FRED_STKLVLS};

/// A bit for each vector whose gate is not as usual.
static GATES: AtomicU32 = AtomicU32::new(0);

/// The event of a vector below 32 goes to stack level `level` under FRED and to interrupt stack
/// `ist` under the IDT.
pub fn route(vector: u8, level: u8, ist: u64) {
    if FRED_MODE.load(Relaxed) == 1 {
        write_msr(FRED_STKLVLS, StackLevels(read_msr(FRED_STKLVLS)).with(vector, level).0);
    }
    idt::set_gate(vector, ist);
    GATES.store(GATES.load(Relaxed) | 1 << vector, Relaxed);
}

/// The stack of level 0..=3 begins below `top`. Under the IDT nothing happens.
pub fn set_stack(level: u8, top: Address) {
    if FRED_MODE.load(Relaxed) == 1 {
        write_msr(FRED_RSP0 + u32::from(level), top.value());
    }
}

/// Sets bits 11:0 of IA32_FRED_CONFIG, the current stack level among them. Needs FRED.
pub fn set_config(bits: u64) {
    write_msr(FRED_CONFIG, fred_setup::ENTRY_PAGE.value() | bits);
}

/// External interrupts enter on stack level `level`. Under the IDT nothing happens.
pub fn set_interrupt_level(level: u64) {
    if FRED_MODE.load(Relaxed) == 1 {
        set_config(level << 9);
    }
}

/// Where the handler of a vector below 32 begins that is entered from ring 0, or from another ring.
pub fn entry_point(vector: u8, from_ring0: bool) -> u64 {
    if FRED_MODE.load(Relaxed) == 1 {
        fred_setup::ENTRY_PAGE.value() + if from_ring0 { 0x100 } else { 0 }
    } else {
        IDT_STUBS.value() + 16 * u64::from(vector)
    }
}

/// Restores what it is by default.
pub(crate) fn rest() {
    let mut gates = GATES.swap(0, Relaxed);
    while gates != 0 {
        idt::set_usual_gate(gates.trailing_zeros() as u8);
        gates &= gates - 1;
    }
    if FRED_MODE.load(Relaxed) == 1 {
        fred_setup::set_stacks();
    }
}
