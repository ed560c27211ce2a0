//! What differs from entry to entry, and what an act leaves.

use super::*;
use protocol::disturbance::{Disturbance, Phase, Register};

fn second() -> Delivery {
    Delivery { frame: [0, 0x1003, 0x8, 0x1_0002, 0x2FD8, 0x0203_0006_0000_0010, 0, 0], ..second_delivery() }
}

type Differing = Vec<(u32, Field, u64, u64)>;

fn differing(
    events: &[Event],
    left: &Left,
    got: &[Delivery],
    end: Delivery,
    host: &[Disturbance],
) -> Differing {
    let mut differing = Vec::new();
    let seen = Seen { disturbances: host, ..seen(got.len() as u32, got, &end) };
    let machine = Machine { delivery: DeliveryMode::Fred, xfd: true, debugctl: true };
    let expected = Expected { events, registers: &REGISTERS, left };
    judge(&expected, &PLACES, machine, &seen, &mut |index, field, expected, got| {
        if expected != got {
            differing.push((index, field, expected, got));
        }
    });
    differing
}

#[test]
fn an_event_has_registers_of_its_own() {
    let registers = Registers { dr7: 0x2400, ..REGISTERS };
    let got = [fred_delivery(), Delivery { dr7: 0x2400, ..second() }];
    let judged = |registers| {
        let events = [PF, Event { registers, ..UD }];
        differing(&events, &Left::NEW, &got, left_after(got[1]), &[])
    };
    assert_eq!(judged(None), [(1, Field::Dr7, 0x400, 0x2400)]);
    static OWN: std::sync::OnceLock<Registers> = std::sync::OnceLock::new();
    assert_eq!(judged(Some(OWN.get_or_init(|| registers))), []);
}

#[test]
fn what_an_act_changes_is_stated_and_stays() {
    let mut got = [fred_delivery(), second()];
    (got[0].general[1], got[1].general[1]) = (0x77, 0x77);
    let mut end = left_after(got[1]);
    end.general[6] = 0x88;
    let change = Event { general: &[(General::Rcx, 0x77)], ..PF };
    let left = Left { general: &[(General::Rdi, 0x88)], ..Left::NEW };
    assert_eq!(differing(&[change, UD], &left, &got, end, &[]), []);
    assert_eq!(differing(&[change, UD], &Left::NEW, &got, end, &[]), [(RETURNED, Field::Rdi, 7, 0x88)]);
    let unstated = differing(&[PF, UD], &left, &got, end, &[]);
    assert_eq!(unstated, [(0, Field::Rcx, 2, 0x77), (1, Field::Rcx, 2, 0x77)]);
}

#[test]
fn a_byte_of_the_input_port_is_the_machines() {
    let mut got = [fred_delivery()];
    got[0].general[0] = 0xA5;
    let reads = Event { input: true, ..PF };
    assert_eq!(differing(&[reads], &Left::NEW, &got, left_after(got[0]), &[]), []);
    assert_eq!(differing(&[PF], &Left::NEW, &got, left_after(got[0]), &[]), [(0, Field::Rax, 1, 0xA5)]);
}

#[test]
fn a_return_changes_nothing_but_what_the_act_leaves() {
    let got = [fred_delivery()];
    let judged = |change: fn(&mut Delivery)| {
        let mut end = left_after(got[0]);
        change(&mut end);
        differing(&[PF], &Left::NEW, &got, end, &[])
    };
    assert_eq!(judged(|end| end.frame[3] = 0x46), [(RETURNED, Field::Rflags, 0x2, 0x46)]);
    assert_eq!(judged(|end| end.frame[4] = 0x2FD0), [(RETURNED, Field::Rsp, 0x2FD8, 0x2FD0)]);
    assert_eq!(judged(|end| end.fred_config = 0x6001), [(RETURNED, Field::Csl, 0, 1)]);
    assert_eq!(judged(|end| end.general[4] = 0), [(RETURNED, Field::Rbp, 5, 0)]);
    assert_eq!(judged(|end| end.cr2 = 0), [(RETURNED, Field::Cr2, 0x7000, 0)]);
}

#[test]
fn what_the_host_wrote_stays_until_it_is_overwritten() {
    let host = [Disturbance::new(Register::Cr2, Phase::After, 0x5555)];
    let judged = |later: Event, cr2| {
        let mut got = [fred_delivery(), Delivery { cr2, ..second() }];
        got[0].cr2 = 0x5555;
        differing(&[PF, later], &Left::NEW, &got, left_after(got[1]), &host)
    };
    assert_eq!(judged(UD, 0x5555), []);
    assert_eq!(judged(UD, 0x7000), [(1, Field::Cr2, 0x5555, 0x7000)]);
    assert_eq!(judged(Event { written: &[Register::Cr2], ..UD }, 0x7000), []);
}

#[test]
fn an_event_that_came_elsewhere_is_reported_without_its_registers() {
    let mut got = [fred_delivery()];
    got[0].frame[1] = 0x1234;
    got[0].general = [0; 15];
    let at = [(0, Field::Rip, 0x1000, 0x1234)];
    assert_eq!(differing(&[PF], &Left::NEW, &got, Delivery::EMPTY, &[]), at);
}
