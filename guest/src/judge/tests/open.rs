//! What no manual defines passes either way, and nothing else does.

use super::*;

#[test]
fn any_address_of_the_frame_that_faulted_is_accepted_if_cr2_has_the_same() {
    let event = Event { event_data: 0x1FC0, event_data_span: 0x3F, ..PF };
    let registers = Registers { cr2: 0x1FC0, cr2_span: 0x3F, ..REGISTERS };
    let judge = |data, cr2, delivery| {
        let mut got = if delivery == DeliveryMode::Fred { fred_delivery() } else { idt_delivery() };
        got.cr2 = cr2;
        if delivery == DeliveryMode::Fred {
            got.frame[6] = data;
        }
        let (_, differing) = run_all(&[event], &registers, delivery, 1, &[got]);
        differing.into_iter().map(|d| (d.1, d.2)).collect::<Vec<_>>()
    };
    for address in [0x1FC0, 0x1FF8, 0x1FFF] {
        assert_eq!(judge(address, address, DeliveryMode::Fred), []);
        assert_eq!(judge(0, address, DeliveryMode::Idt), []);
    }
    assert_eq!(judge(0x1FF8, 0x1FC0, DeliveryMode::Fred), [(Field::Cr2, 0x1FF8)]);
    // Event data that was lost does not make a right CR2 look wrong.
    for address in [0x1FC0, 0x1FF8] {
        assert_eq!(judge(0, address, DeliveryMode::Fred), [(Field::EventData, 0x1FC0)]);
    }
    for address in [0x1FBF, 0x2000] {
        assert_eq!(
            judge(address, address, DeliveryMode::Fred),
            [(Field::EventData, 0x1FC0), (Field::Cr2, 0x1FC0)]
        );
        assert_eq!(judge(0, address, DeliveryMode::Idt), [(Field::Cr2, 0x1FC0)]);
    }
}

#[test]
fn open_bits_of_rflags_are_as_stated_or_clear() {
    let event = Event { rflags: 0x1_0002, rflags_open: 0x1_0000, ..PF };
    for (rflags, wrong) in [(0x1_0002, 0), (0x2, 0), (0x1_0102, 1), (0x102, 1)] {
        let mut got = fred_delivery();
        got.frame[3] = rflags;
        assert_eq!(run(&[event], DeliveryMode::Fred, 1, got).1.len(), wrong, "{rflags:#x}");
    }
    let mut got = fred_delivery();
    got.frame[3] = 0x1_0002;
    let clear = Event { rflags: 0x2, ..event };
    assert_eq!(run(&[clear], DeliveryMode::Fred, 1, got).1, [(Field::Rflags, 0x2, 0x1_0002)]);
}

#[test]
fn open_bits_of_dr6_are_kept_or_cleared_by_a_debug_exception_and_by_nothing_else() {
    const INT1: Event = Event { event_data: 0, ..STEP };
    let debug = |dr6| Delivery {
        frame: [0, 0x1003, 0x8, 0x102, 0x2FD8, 0x0203_0001_0000_0010, 0, 0],
        vector: 1,
        dr6,
        ..fred_delivery()
    };
    let differing = |event, dr6, got, disturbances: &[Disturbance]| {
        let registers = Registers { dr6, dr6_open: 0xF, ..REGISTERS };
        let end = left_after(got);
        let seen = Seen { disturbances, ..seen(1, std::slice::from_ref(&got), &end) };
        let mut differing = Vec::new();
        let machine = Machine { delivery: DeliveryMode::Fred, xfd: true, debugctl: true };
        let expected = Expected { events: &[event], registers: &registers, left: &Left::NEW };
        judge(&expected, &PLACES, machine, &seen, &mut |_, field, expected, got| {
            if expected != got {
                differing.push((field, expected, got));
            }
        });
        differing
    };
    for dr6 in [0xFFFF_0FF6, 0xFFFF_0FF0] {
        assert_eq!(differing(INT1, 0xFFFF_0FF6, debug(dr6), &[]), []);
    }
    for dr6 in [0xFFFF_0FF2, 0xFFFF_0FF9, 0xFFFF_0FFF, 0xFFFF_4FF6, 0xFFFF_4FF0] {
        let differing = differing(INT1, 0xFFFF_0FF6, debug(dr6), &[]);
        assert_eq!(differing.iter().map(|d| (d.0, d.2)).collect::<Vec<_>>(), [(Field::Dr6, dr6)]);
    }
    assert_eq!(
        differing(PF, 0xFFFF_0FF6, fred_delivery(), &[]),
        [(Field::Dr6, 0xFFFF_0FF6, 0xFFFF_0FF0)],
        "only a #DB may clear them"
    );
    use protocol::disturbance::{Phase, Register};
    let before = [Disturbance::new(Register::Dr6, Phase::Before, 0xFFFF_AFF4)];
    for (dr6, wrong) in [(0xFFFF_AFF4, 0), (0xFFFF_AFF0, 0), (0xFFFF_AFF1, 1), (0xFFFF_0FF4, 1)] {
        assert_eq!(differing(INT1, 0xFFFF_0FF0, debug(dr6), &before).len(), wrong, "{dr6:#x}");
    }
}

#[test]
fn event_data_at_another_address_says_nothing_about_a_cr2_that_has_one_value() {
    let event = Event { event_data: 0x1FC0, event_data_span: 0x3F, ..PF };
    let registers = Registers { cr2: 0x5555, ..REGISTERS };
    let judge = |cr2| {
        let mut got = Delivery { cr2, ..fred_delivery() };
        got.frame[6] = 0x1FF8;
        run_all(&[event], &registers, DeliveryMode::Fred, 1, &[got]).1
    };
    assert_eq!(judge(0x5555), []);
    assert_eq!(judge(0x1FF8), [(0, Field::Cr2, 0x5555, 0x1FF8)]);
}

#[test]
fn no_bit_of_dr6_is_open_for_an_event_that_is_no_debug_exception() {
    let registers = Registers { dr6: 0xFFFF_0FF1, dr6_open: 0xF, ..REGISTERS };
    let (_, differing) = run_all(&[PF], &registers, DeliveryMode::Fred, 1, &[fred_delivery()]);
    assert_eq!(differing, [(0, Field::Dr6, 0xFFFF_0FF1, 0xFFFF_0FF0)]);
}
