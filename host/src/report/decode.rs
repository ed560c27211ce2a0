//! A captured delivery in words: its frame, and what the entry stub recorded besides it.

use crate::compare::observe::DELIVERY_WORDS;
use crate::image::Image;
use crate::scenario::DeliveryMode;
use fred::config::FredConfig;
use fred::data::{DebugData, DeviceNotAvailableData, PageFaultData};
use fred::debug::{Dr6, Dr7};
use fred::event::vector;
use fred::frame::Frame;
use protocol::delivery::Delivery;

/// Each quadword of `delivery` in words, in the order of [`QUADWORDS`](super::difference::QUADWORDS). The IDT has no event information:
/// its CS and SS are selectors.
pub(crate) fn decode(delivery: &Delivery, mode: DeliveryMode, image: &Image) -> [String; DELIVERY_WORDS] {
    let frame = Frame::from_words(delivery.frame);
    let hex = |value: u64| format!("{value:#x}");
    let (cs, ss) = match mode {
        DeliveryMode::Fred => (frame.cs.to_string(), frame.ss.to_string()),
        DeliveryMode::Idt => (hex(frame.cs.0), hex(frame.ss.0)),
    };
    let number = u8::try_from(delivery.vector).unwrap_or(u8::MAX);
    let named = [
        hex(frame.error_code),
        image.describe_address(frame.rip).to_string(),
        cs,
        hex(frame.rflags),
        hex(frame.rsp),
        ss,
        event_data(number, frame.event_data),
        hex(frame.reserved),
        image.describe_address(delivery.entry_point).to_string(),
        hex(delivery.entry_rflags),
        hex(delivery.entry_rsp),
        hex(delivery.gs_base),
        hex(delivery.kernel_gs_base),
        hex(delivery.cr2),
        Dr6(delivery.dr6).to_string(),
        Dr7(delivery.dr7).to_string(),
        FredConfig(delivery.fred_config).to_string(),
        hex(delivery.xfd),
        hex(delivery.xfd_err),
        match vector::name(number) {
            Some(name) => format!("{:#x} ({name})", delivery.vector),
            None => hex(delivery.vector),
        },
        hex(delivery.cr0),
        hex(delivery.fs_base),
        hex(delivery.debugctl),
    ];
    let others = delivery.general.iter().chain(&delivery.xmm).map(|word| hex(*word));
    let mut words = named.into_iter().chain(others);
    std::array::from_fn(|_| words.next().unwrap_or_default())
}

/// Event data in words, of an event of this vector.
pub(super) fn event_data(number: u8, data: u64) -> String {
    match number {
        vector::PF => PageFaultData(data).to_string(),
        vector::DB => DebugData(data).to_string(),
        vector::NM => DeviceNotAvailableData(data).to_string(),
        _ => format!("{data:#x}"),
    }
}
