//! Fields of `kvm_vcpu_events` that no released kernel has, in its reserved bytes.

use kvm_bindings::kvm_vcpu_events;

/// Flag: the nested bit is valid. Proposed in the FRED series, unmerged.
pub const VALID_NESTED: u32 = 0x40;
/// Flag: the event data is valid. Nobody has proposed this number: it stands for *any* extension of the uAPI
/// by a separate field.
pub const VALID_EVENT_DATA: u32 = 0x80;

/// Index into `reserved` of the nested bit: offset 54. Proposed, unmerged.
const NESTED_AT: usize = 25;
/// Index into `reserved` of the event data: offset 32, eight bytes.
const EVENT_DATA_AT: usize = 3;

/// Whether the exception is nested.
pub fn nested(events: &kvm_vcpu_events) -> bool {
    events.flags & VALID_NESTED != 0 && events.reserved[NESTED_AT] != 0
}

/// Sets whether the exception is nested.
pub fn set_nested(events: &mut kvm_vcpu_events, nested: bool) {
    events.flags |= VALID_NESTED;
    events.reserved[NESTED_AT] = u8::from(nested);
}

/// The event data, if the field is valid.
pub fn event_data(events: &kvm_vcpu_events) -> Option<u64> {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&events.reserved[EVENT_DATA_AT..EVENT_DATA_AT + 8]);
    (events.flags & VALID_EVENT_DATA != 0).then_some(u64::from_le_bytes(bytes))
}

/// Fills in the event data.
pub fn set_event_data(events: &mut kvm_vcpu_events, data: u64) {
    events.flags |= VALID_EVENT_DATA;
    events.reserved[EVENT_DATA_AT..EVENT_DATA_AT + 8].copy_from_slice(&data.to_le_bytes());
}

/// The same without the fields of these flags.
pub fn without(events: &kvm_vcpu_events, flags: u32) -> kvm_vcpu_events {
    let mut events = *events;
    if flags & VALID_NESTED != 0 {
        set_nested(&mut events, false);
    }
    if flags & VALID_EVENT_DATA != 0 {
        set_event_data(&mut events, 0);
    }
    events.flags &= !flags;
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_apart() {
        let mut events = kvm_vcpu_events::default();
        assert_eq!((nested(&events), event_data(&events)), (false, None));
        set_event_data(&mut events, 0x1122_3344_5566_7788);
        set_nested(&mut events, true);
        assert_eq!((nested(&events), event_data(&events)), (true, Some(0x1122_3344_5566_7788)));
        assert_eq!(events.reserved[25], 1);
        assert_eq!(without(&events, VALID_NESTED | VALID_EVENT_DATA), kvm_vcpu_events::default());
        let nested_only = without(&events, VALID_EVENT_DATA);
        assert_eq!((nested(&nested_only), event_data(&nested_only)), (true, None));
        assert_eq!(nested_only.reserved[..25], [0; 25]);
        let data_only = without(&events, VALID_NESTED);
        assert_eq!((nested(&data_only), event_data(&data_only)), (false, Some(0x1122_3344_5566_7788)));
        assert_eq!(events.reserved[3..11], [0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]);
    }
}
