//! The judge on the host.

mod entry;
mod later;
mod open;
mod order;
mod symbols;

use super::event::{Stack, Top};
use super::*;
use protocol::compared::{self, FRED_FRAME, IDT_FRAME, REGISTERS as AT_ENTRY, RETURNED as AT_END};
use protocol::field::GENERAL;
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
};
const REGISTERS: Registers =
    Registers { cr2: 0x7000, gs_base: 0xAAAA, kernel_gs_base: 0xBBBB, ..disturbed::RESTING };
/// The general registers at `Armed`.
const ARMED: [u64; 15] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

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
        cr0: 0x8001_0033,
        fs_base: 0xFFFF_CCCC_3333_5000,
        debugctl: 0,
        general: ARMED,
        xmm: general::XMM,
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

/// What an act leaves whose last delivery was `last`.
fn left_after(last: Delivery) -> Delivery {
    let mut left = Delivery { fred_config: 0x6000, ..last };
    (left.frame[3], left.frame[4]) = (0x2, 0x2FD8);
    left
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

fn seen<'a>(entries: u32, deliveries: &'a [Delivery], left: &'a Delivery) -> Seen<'a> {
    Seen { armed: &ARMED, input: 0xA5, entries, deliveries, left, disturbances: &[] }
}

fn run_all(
    events: &[Event],
    registers: &Registers,
    delivery: DeliveryMode,
    entries: u32,
    got: &[Delivery],
) -> (usize, Vec<(u32, Field, u64, u64)>) {
    let (mut compared, mut differing) = (0, Vec::new());
    let left = left_after(got[got.len() - 1]);
    let seen = seen(entries, got, &left);
    let mut compare = |index, field, expected, got| {
        compared += 1;
        if expected != got {
            differing.push((index, field, expected, got));
        }
    };
    let machine = Machine { delivery, xfd: true, debugctl: true };
    judge(&Expected { events, registers, left: &Left::NEW }, &PLACES, machine, &seen, &mut compare);
    (compared, differing)
}

#[test]
fn the_right_frames_pass_with_every_field_compared() {
    assert_eq!(run(&[PF], DeliveryMode::Fred, 1, fred_delivery()), (75, Vec::new()));
    assert_eq!(run(&[PF], DeliveryMode::Idt, 1, idt_delivery()), (71, Vec::new()));
}

#[test]
fn a_judge_compares_the_fields_that_a_pass_must_have_compared() {
    let fields = |events: &[Event], delivery, entries| {
        // RIP is the last one's, so that it came where it must.
        let mut step = fred_delivery();
        (step.frame[1], step.cr0) = (0x1003, 0x3B);
        let mut fields = Vec::new();
        let machine = Machine { delivery, xfd: false, debugctl: false };
        // CR0.TS: neither XMM0 nor XMM1.
        let registers = Registers { cr0: 0xA, ..REGISTERS };
        let expected = Expected { events, registers: &registers, left: &Left::NEW };
        judge(&expected, &PLACES, machine, &seen(entries, &[step; 2], &step), &mut |_, field, _, _| {
            fields.push(field);
        });
        fields
    };
    for (delivery, frame) in [(DeliveryMode::Fred, &FRED_FRAME[..]), (DeliveryMode::Idt, &IDT_FRAME)] {
        let fred = delivery == DeliveryMode::Fred;
        // #DB has no error code under the IDT.
        let one = fields(&[STEP], delivery, 1);
        let csl: &[Field] = if fred { &[Field::Csl] } else { &[] };
        let end = [&AT_END, csl, &AT_ENTRY, &GENERAL].concat();
        assert_eq!(one, [&[Field::Entries], frame, &AT_ENTRY, &GENERAL, &end].concat(), "{delivery:?}");
        assert_eq!(fields(&[], delivery, 0), [&[Field::Entries][..], &end].concat());
        for (events, entries) in [(&[][..], 0), (&[STEP], 1), (&[STEP, STEP], 2)] {
            let csl = csl.len() as u32;
            let so_many = fields(events, delivery, entries).len() as u32;
            assert_eq!(so_many - csl, compared::least(fred, entries), "{delivery:?} {entries}");
        }
    }
}

#[test]
fn a_wrong_value_in_each_captured_field_is_found_alone() {
    // fred_config has the CSL in its low bits.
    type Place = fn(&mut Delivery) -> &mut u64;
    let fields: [(Place, Field); 20] = [
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
        (|d| &mut d.xfd, Field::Xfd),
        (|d| &mut d.debugctl, Field::Debugctl),
        (|d| &mut d.fs_base, Field::FsBase),
        (|d| &mut d.general[0], Field::Rax),
        (|d| &mut d.general[3], Field::Rbx),
        (|d| &mut d.general[14], Field::R15),
        (|d| &mut d.xmm[1], Field::Xmm0),
        (|d| &mut d.xmm[2], Field::Xmm1),
    ];
    for (place, field) in fields {
        let mut got = fred_delivery();
        *place(&mut got) ^= 1;
        let (_, differing) = run(&[PF], DeliveryMode::Fred, 1, got);
        // A return changes none of them, so that each is named once; XMM0 and XMM1 never change.
        let named: Vec<_> = differing.iter().map(|d| d.0).collect();
        assert!(named == [field] || matches!(field, Field::Xmm0 | Field::Xmm1) && named == [field; 2]);
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
    assert_eq!(run(&[], DeliveryMode::Fred, 0, got), (33, Vec::new()));
    let (_, differing) = run(&[], DeliveryMode::Fred, 0, Delivery { xfd_err: 1 << 18, ..got });
    assert_eq!(differing, [(Field::XfdErr, 0, 0x4_0000)]);
    assert_eq!(run(&[], DeliveryMode::Idt, 0, got), (32, Vec::new()));
    assert_eq!(run(&[], DeliveryMode::Fred, 1, got), (1, [(Field::Entries, 0, 1)].into()));
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
    assert_eq!(judge(&both), (117, Vec::new()));
    let mut stale = both;
    stale[1].frame[6] = 0x7000;
    assert_eq!(judge(&stale).1, [(1, Field::EventData, 0, 0x7000)]);
    let (compared, differing) = run_all(&[PF, UD], &REGISTERS, DeliveryMode::Fred, 1, &both);
    assert_eq!((compared, differing), (43, [(0, Field::Entries, 2, 1)].into()), "a missing one");
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
    assert_eq!(run(&[STEP], DeliveryMode::Idt, 1, step), (70, Vec::new()), "#DB has no error code");
    let mut stored = step;
    (stored.frame[0], stored.frame[6], stored.frame[7], stored.fred_config) = (7, 7, 7, 3);
    assert_eq!(run(&[STEP], DeliveryMode::Idt, 1, stored), (70, Vec::new()));
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
