//! The judge: compares what an entry stub captured with what the manual says it must be.
//!
//! Expectations are literals, written per case; nothing here is shared with what delivers events
//! anywhere. Portable, so that its own tests run on the host.

pub mod disturbed;
pub mod event;
pub mod general;
mod left;

use crate::options::DeliveryMode;
use disturbed::Registers;
use event::{Event, Rip, Stack, Top};
use general::General;
pub use left::Left;
use protocol::delivery::Delivery;
use protocol::disturbance::Disturbance;
use protocol::field::Field;
use protocol::mailbox::RETURNED;

/// Where things lie in this image: what the symbols in an [`Event`] stand for.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// The act's first instruction.
    pub act: u64,
    /// The instruction after the act.
    pub after: u64,
    /// The instruction after the second act.
    pub last: u64,
    /// RSP while an act runs in ring 0.
    pub act_rsp: u64,
    /// RSP while an act runs in ring 3.
    pub user_rsp: u64,
    /// Just past the frame stack, the linear address of the frame page.
    pub frame_stack_end: u64,
    /// Just past the stack of other events.
    pub other_stack_end: u64,
    /// Just past the act stack.
    pub act_stack_end: u64,
    /// The FRED entry page.
    pub entry_page: u64,
    /// The first of the IDT stubs, 16 bytes each.
    pub idt_stubs: u64,
}

impl Places {
    fn rip(&self, rip: Rip, delivery: DeliveryMode) -> u64 {
        match rip {
            Rip::Act => self.act,
            Rip::After => self.after,
            Rip::Last => self.last,
            Rip::Entry(vector) => self.entry(vector, 0x100, delivery),
            Rip::UserEntry(vector) => self.entry(vector, 0, delivery),
        }
    }

    fn entry(&self, vector: u64, offset: u64, delivery: DeliveryMode) -> u64 {
        match delivery {
            DeliveryMode::Fred => self.entry_page + offset,
            DeliveryMode::Idt => self.idt_stubs + 0x10 * vector,
        }
    }

    fn stack(&self, stack: Stack, delivery: DeliveryMode) -> u64 {
        match stack {
            Stack::Act => self.act_rsp,
            Stack::User => self.user_rsp,
            Stack::Frame(below) => self.frame_stack_end - below,
            Stack::Handler(idt_frame_bytes) => match delivery {
                DeliveryMode::Fred => self.frame_stack_end - 0x40,
                DeliveryMode::Idt => self.frame_stack_end - idt_frame_bytes,
            },
            Stack::At(address) => address,
        }
    }

    fn top(&self, top: Top) -> u64 {
        match top {
            Top::Frame(below) => self.frame_stack_end - below,
            Top::Other(below) => self.other_stack_end - below,
            Top::Act(below) => self.act_stack_end - below,
        }
    }
}

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
    pub armed: [u64; 15],
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

/// Compares, and calls `compare` with every field: the delivery since `Armed`, from 0, the field's
/// name, the expected value, the value got.
///
/// A delivery that is missing gives no comparison but that of the number of entries, which differs.
pub fn judge(
    expected: &Expected<'_>,
    places: &Places,
    machine: Machine,
    seen: &Seen<'_>,
    compare: &mut dyn FnMut(u32, Field, u64, u64),
) {
    let Expected { events, left, .. } = *expected;
    compare(0, Field::Entries, events.len() as u64, seen.entries as u64);
    let captured = &seen.deliveries[..seen.deliveries.len().min(seen.entries as usize)];
    let mut general = seen.armed;
    let literal =
        |event: Option<&Event>| *event.and_then(|event| event.registers).unwrap_or(expected.registers);
    let first = literal(events.first());
    // What the case says of the last entry, and what must have been read there.
    let mut last = (first, first.disturbed(events.first(), seen.disturbances));
    let mut came_here = true;
    for (index, (event, got)) in events.iter().zip(captured).enumerate() {
        if index > 0 {
            let literal = literal(Some(event));
            last = (literal, literal.following(last, Some(event), event.written));
        }
        general = general::changed(general, event.general);
        if event.input {
            general[General::Rax as usize] = general[General::Rax as usize] & !0xFF | u64::from(seen.input);
        }
        let compare = &mut |field, expected, got| compare(index as u32, field, expected, got);
        judge_frame(event, places, machine.delivery, got, compare);
        judge_registers(&last.1, Some(event), machine, got, compare);
        // An event that came elsewhere finds other registers there, and so does what comes after it.
        came_here &= got.frame[1] == places.rip(event.rip, machine.delivery);
        if came_here {
            general::compare(&general, (&got.general, &got.xmm), has_xmm(&last.1), compare);
        }
    }
    if came_here && events.len() == seen.entries as usize {
        left::judge(
            left,
            &left::Before {
                event: events.last(),
                captured: captured.last(),
                registers: last,
                armed: seen.armed,
            },
            places,
            machine,
            seen.left,
            &mut |field, expected, got| {
                compare(RETURNED, field, expected, got);
            },
        );
    }
}

/// MP, EM and TS of CR0.
const CR0_FPU: u64 = 0b1110;

/// Whether CR0 lets instructions at XMM0.
const fn has_xmm(registers: &Registers) -> bool {
    registers.cr0 & 0b1100 == 0
}

fn judge_registers(
    registers: &Registers,
    event: Option<&Event>,
    machine: Machine,
    got: &Delivery,
    compare: &mut dyn FnMut(Field, u64, u64),
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
    compare(Field::Cr0, registers.cr0, got.cr0 & CR0_FPU);
    compare(Field::Cr2, cr2, got.cr2);
    let dr6_open = if matches!(event, Some(Event { vector: 1, .. })) { registers.dr6_open } else { 0 };
    compare(Field::Dr6, kept_or_cleared(registers.dr6, dr6_open, got.dr6), got.dr6);
    compare(Field::Dr7, registers.dr7, got.dr7);
    if machine.debugctl {
        compare(Field::Debugctl, registers.debugctl, got.debugctl);
    }
    if machine.xfd {
        compare(Field::Xfd, registers.xfd, got.xfd);
        compare(Field::XfdErr, registers.xfd_err, got.xfd_err);
    }
    compare(Field::FsBase, registers.fs_base, got.fs_base);
    compare(Field::GsBase, registers.gs_base, got.gs_base);
    compare(Field::KernelGsBase, registers.kernel_gs_base, got.kernel_gs_base);
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
    compare: &mut dyn FnMut(Field, u64, u64),
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
        compare(Field::ErrorCode, event.error_code, got.frame[0]);
    }
    compare(Field::Rip, places.rip(event.rip, delivery), got.frame[1]);
    compare(Field::Cs, cs, got.frame[2]);
    compare(Field::Rflags, kept_or_cleared(event.rflags, event.rflags_open, got.frame[3]), got.frame[3]);
    compare(Field::Rsp, places.stack(event.rsp, delivery), got.frame[4]);
    compare(Field::Ss, ss, got.frame[5]);
    if fred {
        let event_data = within(event.event_data, event.event_data_span, got.frame[6]);
        compare(Field::EventData, event_data, got.frame[6]);
        compare(Field::Reserved, 0, got.frame[7]);
        compare(Field::Csl, event.csl, got.fred_config & 3);
    }
    compare(Field::EntryPoint, entry_point, got.entry_point);
    compare(Field::EntryRflags, if fred { 0x2 } else { event.idt_entry_rflags }, got.entry_rflags);
    compare(Field::EntryRsp, entry_rsp, got.entry_rsp);
    compare(Field::Vector, event.vector, got.vector);
}

#[cfg(test)]
mod tests;
