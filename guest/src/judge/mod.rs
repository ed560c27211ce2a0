//! The judge: compares what an entry stub captured with what the manual says it must be.
//!
//! Expectations are literals, written per case; nothing here is shared with what delivers events
//! anywhere. Portable, so that its own tests run on the host.

pub mod disturbed;
pub mod event;

use crate::options::DeliveryMode;
use disturbed::Registers;
use event::{Event, Rip, Stack};
use protocol::delivery::Delivery;
use protocol::disturbance::Disturbance;
use protocol::field::Field;

/// Where things lie in this image: what the symbols in an [`Event`] stand for.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// The act's first instruction.
    pub act: u64,
    /// The instruction behind the act.
    pub after: u64,
    /// RSP while an act runs in ring 0.
    pub act_rsp: u64,
    /// RSP while an act runs in ring 3.
    pub user_rsp: u64,
    /// Just past the frame page.
    pub frame_page_end: u64,
    /// The FRED entry page.
    pub entry_page: u64,
    /// The first of the IDT stubs, 16 bytes each.
    pub idt_stubs: u64,
    /// IA32_GS_BASE in ring 0.
    pub gs_base: u64,
    /// IA32_KERNEL_GS_BASE in ring 0.
    pub kernel_gs_base: u64,
}

/// What the machine is like.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// How events are delivered.
    pub delivery: DeliveryMode,
    /// Whether IA32_XFD_ERR exists.
    pub xfd: bool,
}

/// What happened between `Armed` and the judge.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// How often a handler was entered.
    pub entries: u32,
    /// The first deliveries, oldest first; at least one if `entries` is not 0.
    pub deliveries: &'a [Delivery],
    /// Registers behind the act, in a delivery's form; its frame means nothing.
    pub after: Delivery,
    /// What the host rewrote meanwhile, oldest first.
    pub disturbances: &'a [Disturbance],
}

/// Compares, and calls `compare` with every field: its name, the expected value, the value got.
///
/// `event` is what must have happened; `None` means that the act must not raise anything, and the
/// registers behind it are compared instead. An act that raised nothing though it had to gives
/// one comparison, the number of entries, which differs.
pub fn judge(
    event: Option<&Event>,
    registers: &Registers,
    places: &Places,
    machine: Machine,
    seen: &Seen<'_>,
    compare: &mut dyn FnMut(Field, u64, u64),
) {
    compare(Field::Entries, event.is_some() as u64, seen.entries as u64);
    let got = match (event, seen.entries, seen.deliveries.first()) {
        (None, 0, _) => &seen.after,
        (_, 1.., Some(delivery)) => delivery,
        _ => return,
    };
    if let Some(event) = event {
        for (field, expected, got) in event_fields(event, places, machine.delivery, got) {
            compare(field, expected, got);
        }
    }
    let registers = registers.disturbed(event, seen.disturbances);
    compare(Field::Cr2, registers.cr2, got.cr2);
    compare(Field::Dr6, registers.dr6, got.dr6);
    compare(Field::Dr7, registers.dr7, got.dr7);
    if machine.xfd {
        compare(Field::XfdErr, registers.xfd_err, got.xfd_err);
    }
    compare(Field::GsBase, places.gs_base, got.gs_base);
    compare(Field::KernelGsBase, places.kernel_gs_base, got.kernel_gs_base);
    if event.is_none() {
        compare(Field::Csl, 0, got.fred_config & 3);
    }
}

/// The fields that the delivery alone decides: name, expected, got.
fn event_fields(
    event: &Event,
    places: &Places,
    delivery: DeliveryMode,
    got: &Delivery,
) -> [(Field, u64, u64); 13] {
    let rip = match event.rip {
        Rip::Act => places.act,
        Rip::After => places.after,
    };
    let rsp = match event.rsp {
        Stack::Act => places.act_rsp,
        Stack::User => places.user_rsp,
    };
    // The IDT's frame is FRED's without what FRED added: the upper parts of CS and SS, the event
    // data, the stack level.
    let (cs, ss, event_data, csl, entry_point, frame_bytes) = match delivery {
        DeliveryMode::Fred => {
            (event.cs, event.ss, event.event_data, event.csl, places.entry_page + event.entry, 0x40)
        }
        DeliveryMode::Idt => (
            event.cs & 0xFFFF,
            event.ss & 0xFFFF,
            0,
            0,
            places.idt_stubs + 0x10 * event.vector,
            event.idt_frame_bytes,
        ),
    };
    [
        (Field::ErrorCode, event.error_code, got.frame[0]),
        (Field::Rip, rip, got.frame[1]),
        (Field::Cs, cs, got.frame[2]),
        (Field::Rflags, event.rflags, got.frame[3]),
        (Field::Rsp, rsp, got.frame[4]),
        (Field::Ss, ss, got.frame[5]),
        (Field::EventData, event_data, got.frame[6]),
        (Field::Reserved, 0, got.frame[7]),
        (Field::Csl, csl, got.fred_config & 3),
        (Field::EntryPoint, entry_point, got.entry_point),
        // FRED sets RFLAGS to 2. An interrupt gate clears IF, TF, NT, VM and RF, and the acts run
        // with every other flag clear.
        (Field::EntryRflags, 0x2, got.entry_rflags),
        (Field::EntryRsp, places.frame_page_end - frame_bytes, got.entry_rsp),
        (Field::Vector, event.vector, got.vector),
    ]
}

#[cfg(test)]
mod tests;
