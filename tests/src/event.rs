//! Events that several images raise, as they come from ring 0: a case overrides what it is about.

use crate::manual::*;
use guest::prelude::*;

/// #DB: a single step, a trap.
pub const SINGLE_STEP: Event = Event {
    vector: 1,
    rip: Rip::After,
    rflags: RFLAGS | TF,
    ss: ss_slot(HARDWARE_EXCEPTION, 1),
    event_data: BS,
    ..Event::NEW
};

/// #UD.
pub const UD: Event = Event { vector: 6, ss: ss_slot(HARDWARE_EXCEPTION, 6), ..Event::NEW };

/// #NM of CR0.TS.
pub const NM: Event = Event { vector: 7, ss: ss_slot(HARDWARE_EXCEPTION, 7), ..Event::NEW };

/// #GP(0).
pub const GP: Event =
    Event { vector: 13, ss: ss_slot(HARDWARE_EXCEPTION, 13), idt_frame_bytes: 48, ..Event::NEW };

/// #PF: error code 0, a read of a page that is not present; event data is the address.
pub const PF: Event =
    Event { vector: 14, ss: ss_slot(HARDWARE_EXCEPTION, 14), idt_frame_bytes: 48, ..Event::NEW };

/// An address on a page that is never mapped: the module `paging` of the guest has the pages.
pub const UNMAPPED: u64 = 0x0000_0080_0000_1A58;

/// For a handler: the event returns after the instruction at which it came, which has so many bytes, with RF clear.
pub fn skip<const BYTES: u64>(frame: &mut Frame) {
    frame.rip += BYTES;
    frame.rflags &= !RF;
}
