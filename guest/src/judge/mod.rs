//! The judge: compares what an entry stub captured with what the manual says it must be.
//!
//! Expectations are literals, written per case; nothing here is shared with what delivers events
//! anywhere. Portable, so that its own tests run on the host.

mod comparisons;
pub mod disturbed;
pub mod event;
pub mod general;
mod left;
mod places;

use crate::options::DeliveryMode;
use comparisons::Comparisons;
pub use comparisons::Told;
use disturbed::Registers;
use event::{Event, Rip};
use general::General;
pub use left::Left;
pub use places::Places;
use protocol::delivery::Delivery;
use protocol::disturbance::Disturbance;
use protocol::field::Field;
use protocol::mailbox::RETURNED;

/// What the machine is like.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// How events are delivered.
    pub delivery: DeliveryMode,
    /// Whether IA32_XFD and IA32_XFD_ERR exist.
    pub xfd: bool,
    /// Whether IA32_DEBUGCTL was captured.
    pub debugctl: bool,
}

/// What an act must bring about.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// What must be delivered, in this order; empty when the act must not raise anything.
    pub events: &'a [Event],
    /// What the registers must read at each entry whose event does not say otherwise.
    pub registers: &'a Registers,
    /// What the act leaves.
    pub left: &'a Left,
}

/// What happened between `Armed` and the judge.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The general registers at `Armed`.
    pub armed: &'a [u64; 15],
    /// What a byte of [`INPUT`](protocol::port::INPUT) reads.
    pub input: u8,
    /// How often a handler was entered.
    pub entries: u32,
    /// The first deliveries, oldest first; at least one if `entries` is not 0.
    pub deliveries: &'a [Delivery],
    /// Registers after the act, in a delivery's form; of its frame only RFLAGS and RSP mean anything.
    pub left: &'a Delivery,
    /// What the host rewrote while the first delivery was stopped, oldest first.
    pub disturbances: &'a [Disturbance],
}

/// Compares, and tells `compare` of every field.
///
/// A delivery that is missing gives no comparison but that of the number of entries, which differs.
pub fn judge(
    expected: &Expected<'_>,
    places: &Places,
    machine: Machine,
    seen: &Seen<'_>,
    compare: impl Told,
) {
    let Expected { events, left, .. } = *expected;
    let compare = &mut Comparisons { delivery: 0, each: compare };
    compare.field(Field::Entries, events.len() as u64, seen.entries as u64);
    let captured = &seen.deliveries[..seen.deliveries.len().min(seen.entries as usize)];
    let literal =
        |event: Option<&Event>| *event.and_then(|event| event.registers).unwrap_or(expected.registers);
    let first = literal(events.first());
    let mut state = State {
        general: *seen.armed,
        last: (first, first.disturbed(events.first(), seen.disturbances)),
        came_here: true,
    };
    for index in as_captured(events) {
        let (Some(event), Some(got)) = (events.get(index), captured.get(index)) else { continue };
        if index > 0 || interrupted(events, index) {
            let literal = literal(Some(event));
            // The event's own effects on registers came before those of the one that interrupted its handler.
            let effects = Some(event).filter(|_| !interrupted(events, index));
            state.last = (literal, literal.following(state.last, effects, event.written));
        }
        compare.delivery = index as u32;
        judge_frame(event, places, machine.delivery, got, compare);
        judge_registers(&state.last.1, Some(event), machine, got, compare);
        state.judge_general(event, places, machine, (got, seen.input), compare);
    }
    let State { last, came_here, .. } = state;
    if came_here && events.len() == seen.entries as usize {
        let last_captured = as_captured(events).last();
        compare.delivery = RETURNED;
        left::judge(
            left,
            &left::Before {
                event: last_captured.map(|index| &events[index]),
                captured: last_captured.and_then(|index| captured.get(index)),
                registers: last,
                armed: seen.armed,
            },
            places,
            machine,
            seen.left,
            compare,
        );
    }
}

/// The events' places in the order in which they are captured: one that comes before a handler's first instruction is
/// captured before that handler captures its own.
fn as_captured(events: &[Event]) -> impl Iterator<Item = usize> {
    (0..events.len()).map(|index| match index.checked_sub(1) {
        _ if interrupted(events, index) => index + 1,
        Some(before) if interrupted(events, before) => before,
        _ => index,
    })
}

/// Whether the next event comes before this one's handler has run.
fn interrupted(events: &[Event], index: usize) -> bool {
    events.get(index + 1).is_some_and(|next| matches!(next.rip, Rip::Entry(_) | Rip::UserEntry(_)))
}

/// What is known after some entries.
struct State {
    /// The general registers.
    general: [u64; 15],
    /// What the case says of the other registers at the last entry, and what they must have read.
    last: (Registers, Registers),
    /// Whether every event so far came where it must.
    came_here: bool,
}

impl State {
    /// Compares the general registers. An event that came at another place finds others there, and so does what comes after
    /// it.
    fn judge_general(
        &mut self,
        event: &Event,
        places: &Places,
        machine: Machine,
        (got, input): (&Delivery, u8),
        compare: &mut Comparisons<impl Told>,
    ) {
        general::change(&mut self.general, event.general);
        if event.input {
            self.general[General::Rax as usize] =
                self.general[General::Rax as usize] & !0xFF | u64::from(input);
        }
        self.came_here &= got.frame[1] == places.rip(event.rip, machine.delivery);
        if self.came_here {
            general::compare(&self.general, (&got.general, &got.xmm), has_xmm(&self.last.1), compare);
        }
    }
}

/// MP, EM and TS of CR0.
const CR0_FPU: u64 = 0b1110;

/// Whether CR0 lets instructions at XMM0.
const fn has_xmm(registers: &Registers) -> bool {
    registers.cr0 & 0b1100 == 0
}

// Inlined at each call it would make the image larger.
#[inline(never)]
fn judge_registers(
    registers: &Registers,
    event: Option<&Event>,
    machine: Machine,
    got: &Delivery,
    compare: &mut Comparisons<impl Told>,
) {
    let mut cr2 = within(registers.cr2, registers.cr2_span, got.cr2);
    if let Some(Event { vector: 14, event_data, event_data_span: span @ 1.., .. }) = event
        && registers.cr2_span != 0
        && machine.delivery == DeliveryMode::Fred
    {
        // Whichever address it is, event data and CR2 have the same. Event data that is none of them says
        // nothing about CR2.
        if within(*event_data, *span, got.frame[6]) == got.frame[6] {
            cr2 = got.frame[6];
        }
    }
    let dr6_open = if matches!(event, Some(Event { vector: 1, .. })) { registers.dr6_open } else { 0 };
    let dr6 = kept_or_cleared(registers.dr6, dr6_open, got.dr6);
    compare.fields(
        &[Field::Cr0, Field::Cr2, Field::Dr6, Field::Dr7],
        &[registers.cr0, cr2, dr6, registers.dr7],
        &[got.cr0 & CR0_FPU, got.cr2, got.dr6, got.dr7],
    );
    if machine.debugctl {
        compare.field(Field::Debugctl, registers.debugctl, got.debugctl);
    }
    if machine.xfd {
        compare.fields(
            &[Field::Xfd, Field::XfdErr],
            &[registers.xfd, registers.xfd_err],
            &[got.xfd, got.xfd_err],
        );
    }
    compare.fields(
        &[Field::FsBase, Field::GsBase, Field::KernelGsBase],
        &[registers.fs_base, registers.gs_base, registers.kernel_gs_base],
        &[got.fs_base, got.gs_base, got.kernel_gs_base],
    );
}

/// The expectation for a value that may lie anywhere from `lowest` to `span` above it.
fn within(lowest: u64, span: u64, got: u64) -> u64 {
    if got.wrapping_sub(lowest) <= span { got } else { lowest }
}

/// The expectation for a value whose `open` bits may also be clear, all of them.
fn kept_or_cleared(value: u64, open: u64, got: u64) -> u64 {
    if got & open == 0 { value & !open } else { value }
}

/// Compares what the delivery alone decides. What the IDT does not push is left out: its stub has stored
/// zeros in its place.
fn judge_frame(
    event: &Event,
    places: &Places,
    delivery: DeliveryMode,
    got: &Delivery,
    compare: &mut Comparisons<impl Told>,
) {
    let (cs, ss, entry_point, entry_rsp) = match delivery {
        DeliveryMode::Fred => {
            (event.cs, event.ss, places.entry_page + event.entry, places.top(event.fred_top) - 0x40)
        }
        // The IDT's frame is FRED's without what FRED added, the upper parts of CS and SS as well.
        DeliveryMode::Idt => (
            event.cs & 0xFFFF,
            event.ss & 0xFFFF,
            places.idt_stubs + 0x10 * event.vector,
            places.top(event.idt_top) - event.idt_frame_bytes,
        ),
    };
    let fred = delivery == DeliveryMode::Fred;
    if fred || event.idt_frame_bytes == 48 {
        compare.field(Field::ErrorCode, event.error_code, got.frame[0]);
    }
    let (rip, rsp) = (places.rip(event.rip, delivery), places.stack(event.rsp, delivery));
    let rflags = kept_or_cleared(event.rflags, event.rflags_open, got.frame[3]);
    compare.fields(
        &[Field::Rip, Field::Cs, Field::Rflags, Field::Rsp, Field::Ss],
        &[rip, cs, rflags, rsp, ss],
        &[got.frame[1], got.frame[2], got.frame[3], got.frame[4], got.frame[5]],
    );
    if fred {
        let event_data = within(event.event_data, event.event_data_span, got.frame[6]);
        compare.fields(
            &[Field::EventData, Field::Reserved, Field::Csl],
            &[event_data, 0, event.csl],
            &[got.frame[6], got.frame[7], got.fred_config & 3],
        );
    }
    compare.fields(
        &[Field::EntryPoint, Field::EntryRflags, Field::EntryRsp, Field::Vector],
        &[entry_point, if fred { 0x2 } else { event.idt_entry_rflags }, entry_rsp, event.vector],
        &[got.entry_point, got.entry_rflags, got.entry_rsp, got.vector],
    );
}

#[cfg(test)]
mod tests;
