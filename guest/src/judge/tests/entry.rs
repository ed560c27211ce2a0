//! RFLAGS at the first instruction of a handler: FRED clears them all, a gate of the IDT some.

use super::*;

#[test]
fn rflags_at_entry_are_2_under_fred_and_the_cases_under_the_idt() {
    let rich = Event { idt_entry_rflags: 0x3CD7, ..PF };
    let at_entry = |expected, got| (Field::EntryRflags, expected, got);
    for (delivery, clean, expected) in
        [(DeliveryMode::Fred, fred_delivery(), 0x2), (DeliveryMode::Idt, idt_delivery(), 0x3CD7)]
    {
        let with = |entry_rflags| run(&[rich], delivery, 1, Delivery { entry_rflags, ..clean }).1;
        assert_eq!(with(expected), []);
        let other = expected ^ 0x3CD5;
        assert_eq!(with(other), [at_entry(expected, other)]);
    }
}
