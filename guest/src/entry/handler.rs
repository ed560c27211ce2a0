//! What a handler does once its stub has captured everything, and how it returns.

use super::capture::STAY_AT;
use crate::act::{FRED_MODE, LEAVE};
use crate::case::Case;
use crate::exit::CURRENT;
use crate::image::IMAGE;
use crate::judge::event::{Event, Frame, Return};
use crate::layout::ACT_RSP;
use crate::options::DeliveryMode;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use protocol::note::CaseFlags;

/// The instruction by which a handler ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum ReturnBy {
    /// ERETS.
    Erets = 0,
    /// ERETU.
    Eretu = 1,
    /// IRETQ.
    Iretq = 2,
    /// None: a jump to [`STAY_AT`].
    Staying = 3,
}

/// A bit for each event of the case that has been handled.
static HANDLED: AtomicU32 = AtomicU32::new(0);
/// How many handlers have gone on with the act's next part.
static PARTS: AtomicU32 = AtomicU32::new(0);

/// Before an act.
pub(crate) fn begin() {
    HANDLED.store(0, Relaxed);
    PARTS.store(0, Relaxed);
}

/// How events are delivered.
pub(crate) fn delivery() -> DeliveryMode {
    if FRED_MODE.load(Relaxed) == 1 { DeliveryMode::Fred } else { DeliveryMode::Idt }
}

/// The handler of every event of an act. One that the case does not expect leads to the act's next part, so that
/// the judge sees it.
pub(super) extern "sysv64" fn handle(frame: &mut Frame, vector: u64) -> ReturnBy {
    let Some(case) = IMAGE.cases.get(CURRENT.load(Relaxed) as usize) else {
        return next(LEAVE.value(), frame, vector);
    };
    let event = take(case.expected(delivery()).events, vector);
    if let Some(handler) = event.and_then(|event| event.handler) {
        handler(frame);
    }
    match event.map_or(Return::Next, |event| event.returns) {
        Return::Next => next(next_part(case), frame, vector),
        Return::Frame => by_frame(frame),
        Return::Stay => {
            STAY_AT.store(next_part(case), Relaxed);
            ReturnBy::Staying
        }
    }
}

/// The first event of this vector that was not handled yet. Not simply the next one: an event that comes before a
/// handler's first instruction is handled before that handler's own.
fn take(events: &'static [Event], vector: u64) -> Option<&'static Event> {
    let handled = HANDLED.load(Relaxed);
    let (index, event) = events
        .iter()
        .enumerate()
        .find(|(index, event)| event.vector == vector && handled >> index & 1 == 0)?;
    HANDLED.store(handled | 1 << index, Relaxed);
    Some(event)
}

/// Where the act goes on: after its first part, and from then on after its last.
fn next_part(case: &Case) -> u64 {
    let part = PARTS.load(Relaxed);
    PARTS.store(part + 1, Relaxed);
    match part {
        // From ring 3 there is no way back to the act.
        _ if case.flags.contains(CaseFlags::USER) => LEAVE.value(),
        0 => case.act.after.value(),
        _ => case.act.last.value(),
    }
}

/// Every field of the frame is put right: a wrong frame must become a verdict, not a crash. The saved stack level
/// is 0, so ERETS drops the current one.
fn next(rip: u64, frame: &mut Frame, vector: u64) -> ReturnBy {
    frame.rip = rip;
    frame.cs = 0x08;
    frame.rflags = 0x2;
    frame.rsp = ACT_RSP.value();
    // Bit 18: the return ends blocking by NMI, as every IRETQ does.
    frame.ss = if vector == 2 { 0x4_0010 } else { 0x10 };
    match delivery() {
        DeliveryMode::Fred => ReturnBy::Erets,
        DeliveryMode::Idt => ReturnBy::Iretq,
    }
}

fn by_frame(frame: &Frame) -> ReturnBy {
    match (delivery(), frame.cs & 3) {
        (DeliveryMode::Idt, _) => ReturnBy::Iretq,
        (DeliveryMode::Fred, 3) => ReturnBy::Eretu,
        (DeliveryMode::Fred, _) => ReturnBy::Erets,
    }
}
