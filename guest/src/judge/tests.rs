//! The judge on the host.

use super::*;
use std::vec::Vec;

pub(super) const PF: Event = Event {
    vector: 14,
    error_code: 2,
    rip: Rip::Act,
    cs: 0x8,
    rflags: 0x1_0002,
    rsp: Stack::Act,
    ss: 0x0203_000E_0000_0010,
    event_data: 0x7000,
    csl: 1,
    entry: 0x100,
    idt_frame_bytes: 48,
    ..Event::NEW
};
pub(super) const STEP: Event = Event {
    vector: 1,
    error_code: 0,
    rip: Rip::After,
    rflags: 0x102,
    ss: 0x0203_0001_0000_0010,
    event_data: 0x4000,
    idt_frame_bytes: 40,
    ..PF
};
pub(super) const NM_XFD: Event =
    Event { vector: 7, error_code: 0, event_data: 1 << 18, idt_frame_bytes: 40, ..PF };

const PLACES: Places = Places {
    act: 0x1000,
    after: 0x1003,
    last: 0x1005,
    act_rsp: 0x2FD8,
    user_rsp: 0x3FD8,
    frame_stack_end: 0x5000,
    other_stack_end: 0x9000,
    act_stack_end: 0x3000,
    entry_page: 0x6000,
    idt_stubs: 0x8000,
    gs_base: 0xAAAA,
    kernel_gs_base: 0xBBBB,
};
const REGISTERS: Registers = Registers { cr2: 0x7000, ..disturbed::RESTING };

fn fred_delivery() -> Delivery {
    Delivery {
        frame: [2, 0x1000, 0x8, 0x1_0002, 0x2FD8, 0x0203_000E_0000_0010, 0x7000, 0],
        entry_point: 0x6100,
        entry_rflags: 2,
        entry_rsp: 0x4FC0,
        gs_base: 0xAAAA,
        kernel_gs_base: 0xBBBB,
        cr2: 0x7000,
        dr6: 0xFFFF_0FF0,
        dr7: 0x400,
        fred_config: 0x6001,
        xfd: 0,
        xfd_err: 0,
        vector: 14,
    }
}

fn idt_delivery() -> Delivery {
    Delivery {
        frame: [2, 0x1000, 0x8, 0x1_0002, 0x2FD8, 0x10, 0, 0],
        entry_point: 0x80E0,
        entry_rsp: 0x4FD0,
        fred_config: 0,
        ..fred_delivery()
    }
}

/// Number of fields compared, and those that differ.
fn run(
    events: &[Event],
    delivery: DeliveryMode,
    entries: u32,
    got: Delivery,
) -> (usize, Vec<(Field, u64, u64)>) {
    let (compared, differing) = run_all(events, &REGISTERS, delivery, entries, &[got]);
    (compared, differing.into_iter().map(|(_, field, expected, got)| (field, expected, got)).collect())
}

fn run_all(
    events: &[Event],
    registers: &Registers,
    delivery: DeliveryMode,
    entries: u32,
    got: &[Delivery],
) -> (usize, Vec<(u32, Field, u64, u64)>) {
    let (mut compared, mut differing) = (0, Vec::new());
    let seen = Seen { entries, deliveries: got, after: got[0], disturbances: &[] };
    let mut compare = |index, field, expected, got| {
        compared += 1;
        if expected != got {
            differing.push((index, field, expected, got));
        }
    };
    judge(events, registers, &PLACES, Machine { delivery, xfd: true }, &seen, &mut compare);
    (compared, differing)
}

#[test]
fn the_right_frames_pass_with_every_field_compared() {
    assert_eq!(run(&[PF], DeliveryMode::Fred, 1, fred_delivery()), (20, Vec::new()));
    assert_eq!(run(&[PF], DeliveryMode::Idt, 1, idt_delivery()), (17, Vec::new()));
}

#[test]
fn a_wrong_value_in_each_captured_field_is_found_alone() {
    // fred_config has the CSL in its low bits; xfd is not judged.
    type Place = fn(&mut Delivery) -> &mut u64;
    let fields: [(Place, Field); 12] = [
        (|d| &mut d.entry_point, Field::EntryPoint),
        (|d| &mut d.entry_rflags, Field::EntryRflags),
        (|d| &mut d.entry_rsp, Field::EntryRsp),
        (|d| &mut d.gs_base, Field::GsBase),
        (|d| &mut d.kernel_gs_base, Field::KernelGsBase),
        (|d| &mut d.cr2, Field::Cr2),
        (|d| &mut d.dr6, Field::Dr6),
        (|d| &mut d.dr7, Field::Dr7),
        (|d| &mut d.fred_config, Field::Csl),
        (|d| &mut d.xfd_err, Field::XfdErr),
        (|d| &mut d.vector, Field::Vector),
        (|d| &mut d.frame[7], Field::Reserved),
    ];
    for (place, field) in fields {
        let mut got = fred_delivery();
        *place(&mut got) ^= 1;
        let (_, differing) = run(&[PF], DeliveryMode::Fred, 1, got);
        assert_eq!(differing.iter().map(|d| d.0).collect::<Vec<_>>(), [field]);
    }
    for (delivery, right, quadwords) in
        [(DeliveryMode::Fred, fred_delivery(), 8), (DeliveryMode::Idt, idt_delivery(), 6)]
    {
        for index in 0..quadwords {
            let mut got = right;
            got.frame[index] ^= 1 << 40;
            let (_, differing) = run(&[PF], delivery, 1, got);
            assert_eq!(differing.len(), 1, "quadword {index}");
            assert_eq!(Some(differing[0].0), Field::of_frame(index));
        }
    }
}

#[test]
fn an_event_that_never_comes_fails() {
    assert_eq!(run(&[PF], DeliveryMode::Fred, 0, fred_delivery()), (1, [(Field::Entries, 1, 0)].into()));
}

#[test]
fn a_second_entry_fails() {
    let (_, differing) = run(&[PF], DeliveryMode::Fred, 2, fred_delivery());
    assert_eq!(differing, [(Field::Entries, 1, 2)]);
}

#[test]
fn a_case_without_event_compares_the_registers_after_it() {
    let got = Delivery { fred_config: 0, ..fred_delivery() };
    assert_eq!(run(&[], DeliveryMode::Fred, 0, got), (8, Vec::new()));
    let (_, differing) = run(&[], DeliveryMode::Fred, 0, Delivery { xfd_err: 1 << 18, ..got });
    assert_eq!(differing, [(Field::XfdErr, 0, 0x4_0000)]);
    assert_eq!(run(&[], DeliveryMode::Idt, 0, got), (7, Vec::new()));
    let (compared, differing) = run(&[], DeliveryMode::Fred, 1, got);
    assert!(compared > 1);
    assert_eq!(differing, [(Field::Entries, 0, 1)]);
}

const UD: Event = Event {
    vector: 6,
    rip: Rip::After,
    ss: 0x0203_0006_0000_0010,
    csl: 2,
    fred_top: Top::Other(0),
    idt_top: Top::Other(0),
    ..Event::NEW
};

fn second_delivery() -> Delivery {
    Delivery {
        frame: [0, 0x1003, 0x8, 0x1_0002, 0x2FD8, 0x0203_0006_0000_0010, 0, 0],
        entry_rsp: 0x8FC0,
        fred_config: 0x6002,
        vector: 6,
        ..fred_delivery()
    }
}

#[test]
fn each_of_two_deliveries_is_compared_whole_and_named() {
    let both = [fred_delivery(), second_delivery()];
    let judge = |got: &[Delivery]| run_all(&[PF, UD], &REGISTERS, DeliveryMode::Fred, 2, got);
    assert_eq!(judge(&both), (39, Vec::new()));
    let mut stale = both;
    stale[1].frame[6] = 0x7000;
    assert_eq!(judge(&stale).1, [(1, Field::EventData, 0, 0x7000)]);
    let (compared, differing) = run_all(&[PF, UD], &REGISTERS, DeliveryMode::Fred, 1, &both);
    assert_eq!((compared, differing), (20, [(0, Field::Entries, 2, 1)].into()), "a missing one");
}

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
fn what_the_stub_stores_for_the_idt_is_not_judged() {
    let step = Delivery {
        frame: [0, 0x1003, 0x8, 0x102, 0x2FD8, 0x10, 0, 0],
        entry_point: 0x8010,
        entry_rsp: 0x4FD8,
        vector: 1,
        ..idt_delivery()
    };
    assert_eq!(run(&[STEP], DeliveryMode::Idt, 1, step), (16, Vec::new()), "#DB has no error code");
    let mut stored = step;
    (stored.frame[0], stored.frame[6], stored.frame[7], stored.fred_config) = (7, 7, 7, 3);
    assert_eq!(run(&[STEP], DeliveryMode::Idt, 1, stored), (16, Vec::new()));
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
        let seen = Seen { entries: 1, deliveries: &[got], after: got, disturbances };
        let mut differing = Vec::new();
        let machine = Machine { delivery: DeliveryMode::Fred, xfd: true };
        judge(&[event], &registers, &PLACES, machine, &seen, &mut |_, field, expected, got| {
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
fn an_event_before_a_handlers_first_instruction_has_its_entry_point_and_its_stack() {
    let event = Event { rip: Rip::Entry(14), rsp: Stack::Handler(48), ..PF };
    let mut got = fred_delivery();
    (got.frame[1], got.frame[4]) = (0x6100, 0x4FC0);
    assert_eq!(run(&[event], DeliveryMode::Fred, 1, got).1, []);
    let mut got = idt_delivery();
    (got.frame[1], got.frame[4]) = (0x80E0, 0x4FD0);
    assert_eq!(run(&[event], DeliveryMode::Idt, 1, got).1, []);
    (got.frame[1], got.frame[4]) = (0x80E2, 0x4FD8);
    let differing = [(Field::Rip, 0x80E0, 0x80E2), (Field::Rsp, 0x4FD0, 0x4FD8)];
    assert_eq!(run(&[event], DeliveryMode::Idt, 1, got).1, differing);
}
