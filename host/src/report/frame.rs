//! A FRAME line in words.

use super::decode;
use super::difference::QUADWORDS;
use crate::compare::printed::PRINTED;
use crate::machines::transcript;
use crate::scenario::DeliveryMode;
use fred::data::PageFaultData;
use fred::debug::Dr6;
use fred::event::vector;
use fred::slot::{CsSlot, SsSlot};
use protocol::field::Field as Judged;

/// A captured delivery, as a FRAME line has it.
pub(crate) struct PrintedFrame {
    /// Which delivery of the case, from 0.
    pub(crate) number: u32,
    /// How the event was delivered.
    pub(crate) mode: DeliveryMode,
    /// The vector that the frame names; the IDT's names none.
    pub(crate) vector: Option<u8>,
    /// Each quadword by its name, in the line's order.
    pub(crate) words: Vec<(&'static str, u64)>,
}

impl PrintedFrame {
    /// What a line says; `None` if it is no FRAME line.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let printed = transcript::frame(line.strip_prefix("FRAME ")?, line)?;
        let mode = printed.delivery.parse().ok()?;
        let vector = match mode {
            DeliveryMode::Fred => Some(SsSlot(printed.values[5]).vector()),
            DeliveryMode::Idt => None,
        };
        let names = PRINTED.map(|place| QUADWORDS[place].1);
        let words = names.into_iter().zip(printed.values).collect();
        Some(Self { number: printed.number, mode, vector, words })
    }

    /// A value of the field of this name in words; `address` names an address.
    pub(crate) fn in_words(&self, name: &str, value: u64, address: impl Fn(u64) -> String) -> String {
        let number = self.vector.unwrap_or(u8::MAX);
        match (Judged::named(name), self.mode) {
            (Some(Judged::Rip | Judged::EntryPoint), _) => address(value),
            (Some(Judged::Cs), DeliveryMode::Fred) => CsSlot(value).to_string(),
            (Some(Judged::Ss), DeliveryMode::Fred) => SsSlot(value).to_string(),
            (Some(Judged::EventData), DeliveryMode::Fred) => decode::event_data(number, value),
            (Some(Judged::Dr6), _) => Dr6(value).to_string(),
            (Some(Judged::Cr2), _) if self.vector == Some(vector::PF) => PageFaultData(value).to_string(),
            _ => format!("{value:#x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "FRAME pf/read 0 fred 0000000000000000 0000000000109118 0000000000010008 \
                        0000000000010002 0000000000125fd8 0203000e00000010 0000008000001a58 0000000000000000 \
                        0000008000001a58 00000000ffff0ff0 0000000000000000";

    fn words(line: &str) -> Vec<(&'static str, String)> {
        let frame = PrintedFrame::read(line).unwrap();
        let address = |value| format!("act ({value:#x})");
        frame.words.iter().map(|(name, value)| (*name, frame.in_words(name, *value, address))).collect()
    }

    #[test]
    fn a_fred_frame_is_decoded() {
        let words = words(LINE);
        assert_eq!(words[1], ("RIP", "act (0x109118)".to_owned()));
        assert_eq!(words[2], ("CS", "0x0000000000010008 (selector 0x8, SL 1)".to_owned()));
        let ss =
            "0x0203000e00000010 (selector 0x10, vector 14, type 3 hardware exception, length 0, 64-bit mode)";
        assert_eq!(words[5], ("SS", ss.to_owned()));
        assert_eq!(words[6], ("event data", "0x0000008000001a58 (linear address)".to_owned()));
        assert_eq!(words[9], ("DR6", "0xffff0ff0 (none)".to_owned()));
        assert_eq!(words.len(), 11);
    }

    #[test]
    fn an_idt_frame_has_selectors_and_no_event_data() {
        let words = words(&LINE.replace(" fred ", " idt "));
        assert_eq!(words[2], ("CS", "0x10008".to_owned()));
        assert_eq!(words[6], ("event data", "0x8000001a58".to_owned()));
    }

    #[test]
    fn what_is_no_frame_line_is_none() {
        for line in ["", "FRAME", "FRAME pf/read 0 fred 0", &LINE.replace("fred", "<b>"), &LINE[1..]] {
            assert!(PrintedFrame::read(line).is_none(), "{line}");
        }
    }
}
