//! What the symbols of an event stand for.

use super::*;

#[test]
fn a_place_below_another_is_below_it() {
    let below = Event { rsp: Stack::ActBelow(0x18), fred_top: Top::Other(0x40), ..PF };
    let mut got = fred_delivery();
    (got.frame[4], got.entry_rsp) = (0x2FC0, 0x8F80);
    assert_eq!(run(&[below], DeliveryMode::Fred, 1, got).1, []);
    for (rsp, fred_top) in [(Stack::Frame(0x80), Top::Frame(0x80)), (Stack::At(0x4F80), Top::Act(0x80))] {
        let mut got = fred_delivery();
        got.frame[4] = 0x4F80;
        got.entry_rsp = if fred_top == Top::Act(0x80) { 0x2F40 } else { 0x4F40 };
        assert_eq!(run(&[Event { rsp, fred_top, ..PF }], DeliveryMode::Fred, 1, got).1, []);
    }
}

#[test]
fn a_place_in_code_is_a_number_of_bytes_from_another() {
    for (rip, at) in [
        (Rip::Act, 0x1000),
        (Rip::Plus(2), 0x1002),
        (Rip::After, 0x1003),
        (Rip::Last, 0x1005),
        (Rip::Entry(14), 0x6100),
        (Rip::UserEntry(14), 0x6000),
    ] {
        assert_eq!(PLACES.rip(rip, DeliveryMode::Fred), at);
    }
    assert_eq!(PLACES.rip(Rip::UserEntry(14), DeliveryMode::Idt), 0x80E0);
}
