//! An event at the first instruction of another's handler is captured before that handler has captured its own.

use super::*;

/// #UD at the first instruction of #PF's handler; the act has changed RCX by then.
const AT_ENTRY_OF_PF: Event =
    Event { rip: Rip::Entry(14), rsp: Stack::Handler(48), general: &[(General::Rcx, 0x77)], ..UD };

fn both() -> [Delivery; 2] {
    let mut got = [fred_delivery(), second_delivery()];
    (got[1].frame[1], got[1].frame[4]) = (0x6100, 0x4FC0);
    (got[0].general[1], got[1].general[1]) = (0x77, 0x77);
    got
}

fn differing(got: [Delivery; 2]) -> Vec<(u32, Field, u64, u64)> {
    run_all(&[PF, AT_ENTRY_OF_PF], &REGISTERS, DeliveryMode::Fred, 2, &got).1
}

#[test]
fn registers_go_on_in_the_order_of_the_captures() {
    assert_eq!(differing(both()), []);
    // The first event's are those that the later one has left.
    let mut stale = both();
    stale[0].general[1] = 2;
    assert!(differing(stale).contains(&(0, Field::Rcx, 0x77, 2)));
}

#[test]
fn each_of_the_two_is_compared() {
    for index in 0..2 {
        let mut wrong = both();
        wrong[index].dr7 = 0x2400;
        assert!(differing(wrong).contains(&(index as u32, Field::Dr7, 0x400, 0x2400)), "{index}");
        let mut wrong = both();
        wrong[index].frame[7] = 1;
        assert_eq!(differing(wrong), [(index as u32, Field::Reserved, 0, 1)]);
    }
}
