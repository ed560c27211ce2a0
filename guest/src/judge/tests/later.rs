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
    // The other bytes are the case's.
    got[0].general[0] = 0x12A5;
    let reads = Event { general: &[(General::Rax, 0x1234)], ..reads };
    assert_eq!(differing(&[reads], &Left::NEW, &got, left_after(got[0]), &[]), []);
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

#[test]
fn what_the_host_wrote_is_an_exact_value() {
    let host = [Disturbance::new(Register::Cr2, Phase::After, 0x5555)];
    let mut got = [fred_delivery()];
    got[0].cr2 = 0x5556;
    let judged = differing(&[PF], &Left::NEW, &got, left_after(got[0]), &host);
    assert_eq!(judged, [(0, Field::Cr2, 0x5555, 0x5556)]);
}

#[test]
fn xfd_err_stays_as_the_host_wrote_it_until_xfd_raises_nm() {
    const OWN: Registers = Registers { xfd_err: 1 << 18, ..REGISTERS };
    let nm = Event { rip: Rip::After, csl: 2, fred_top: Top::Other(0), ..NM_XFD };
    let by_ts = Event { event_data: 0, ss: 0x0203_0007_0000_0010, ..nm };
    let by_xfd = Event { ss: 0x0203_0007_0000_0010, registers: Some(&OWN), ..nm };
    let host = [Disturbance::new(Register::XfdErr, Phase::After, 1 << 17)];
    let judged = |later: Event, xfd_err| {
        let mut got = [fred_delivery(), second()];
        (got[0].xfd_err, got[1].xfd_err, got[1].vector) = (1 << 17, xfd_err, later.vector);
        (got[1].frame[5], got[1].frame[6]) = (later.ss, later.event_data);
        differing(&[PF, later], &Left::NEW, &got, left_after(got[1]), &host)
    };
    for later in [UD, by_ts] {
        assert_eq!(judged(later, 1 << 17), []);
        assert_eq!(judged(later, 0), [(1, Field::XfdErr, 1 << 17, 0)]);
    }
    assert_eq!(judged(by_xfd, 1 << 18), []);
    assert_eq!(judged(by_xfd, 1 << 17), [(1, Field::XfdErr, 1 << 18, 1 << 17)]);
}

#[test]
fn a_later_page_fault_and_a_later_debug_exception_have_their_own_effects_on_what_the_host_wrote() {
    const OTHER: Registers = Registers { cr2: 0x8000, ..REGISTERS };
    let second_of = |event: &Event| {
        let mut got = second();
        (got.frame[0], got.frame[3], got.frame[5]) = (event.error_code, event.rflags, event.ss);
        Delivery { vector: event.vector, ..got }
    };
    let host = [Disturbance::new(Register::Cr2, Phase::After, 0x5555)];
    let again = Event { rip: Rip::After, csl: 2, fred_top: Top::Other(0), registers: Some(&OTHER), ..PF };
    let mut got = [fred_delivery(), second_of(&again)];
    (got[0].cr2, got[1].cr2, got[1].frame[6]) = (0x5555, 0x8000, 0x7000);
    assert_eq!(differing(&[PF, again], &Left::NEW, &got, left_after(got[1]), &host), []);

    let host = [Disturbance::new(Register::Dr6, Phase::After, 0xFFFF_AFF2)];
    let step = Event { csl: 2, fred_top: Top::Other(0), ..STEP };
    let judged = |later: Event, dr6| {
        let mut got = [fred_delivery(), second_of(&later)];
        (got[0].dr6, got[1].dr6, got[1].frame[6]) = (0xFFFF_AFF2, dr6, later.event_data);
        differing(&[PF, later], &Left::NEW, &got, left_after(got[1]), &host)
    };
    assert_eq!(judged(UD, 0xFFFF_AFF2), []);
    assert_eq!(judged(UD, 0xFFFF_0FF0), [(1, Field::Dr6, 0xFFFF_AFF2, 0xFFFF_0FF0)]);
    assert_eq!(judged(Event { written: &[Register::Dr6], ..UD }, 0xFFFF_0FF0), []);
    // BT and BD stay, B1 goes, BS comes.
    assert_eq!(judged(step, 0xFFFF_EFF0), []);
    assert_eq!(judged(step, 0xFFFF_4FF0), [(1, Field::Dr6, 0xFFFF_EFF0, 0xFFFF_4FF0)]);
}
