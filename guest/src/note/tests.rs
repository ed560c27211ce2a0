//! The note says what the cases say.

use super::*;
use crate::case::Act;
use crate::case::Idt;
use crate::judge::Left;
use crate::judge::disturbed::RESTING;
use protocol::need::Needs;

const TRAP: Case = Case {
    name: "step",
    rule: "A rule.",
    needs: Needs::XFD,
    flags: CaseFlags::IO,
    prepare: || {},
    act: Act { start: Address::new(1), act: Address::new(2), after: Address::new(3), last: Address::new(3) },
    events: &[Event {
        vector: 1,
        rip: Rip::After,
        rflags: 0x102,
        ss: 0x10,
        event_data: 0x4000,
        ..Event::NEW
    }],
    registers: RESTING,
    left: &Left::NEW,
    idt: None,
    results: &[],
    cancel: Cancel::Payload { payload: 0x4000, rflags: 0x100 },
};
const QUIET: Case = Case { name: "quiet", events: &[], ..TRAP };
const TWICE: Case = Case { name: "twice", events: &[Event::NEW, Event::NEW], ..TRAP };

fn pages() -> Pages {
    let at = Address::new;
    Pages {
        mailbox: at(0x10),
        frame_page: at(0x20),
        frame_pdpt: at(0x22),
        frame_pd: at(0x24),
        frame_pt: at(0x26),
        act_stack: at(0x30),
        page_tables: at(0x40),
        page_tables_end: at(0x50),
        entry_page: at(0x60),
        idt: at(0x70),
        gdt: at(0x80),
        tss: at(0x90),
    }
}

#[test]
fn the_note_says_what_the_cases_say() {
    let image = Description { name: "db", rule: "r", spec: "s" };
    let note = note(image, pages(), &[TRAP, QUIET, TWICE]);
    assert_eq!((note.image.case_count, note.name_size, note.note_type), (3, 10, 1));
    assert_eq!(note.descriptor_size as usize, size_of_val(&note) - 24);
    assert_eq!((note.image.mailbox.value(), note.image.tss.value()), (0x10, 0x90));
    let tables = [note.image.frame_pdpt, note.image.frame_pd, note.image.frame_pt];
    assert_eq!(tables.map(Address::value), [0x22, 0x24, 0x26]);
    let [trap, quiet, twice] = note.cases;
    assert_eq!(protocol::text::read(&trap.name), Some("step"));
    assert_eq!((trap.entries, quiet.entries, twice.entries), (1, 0, 2));
    assert_eq!((trap.cancel.present, quiet.cancel.present), (1, 0));
    assert_eq!((trap.cancel.rip.value(), trap.cancel.payload.value()), (3, 0x4000));
    assert_eq!((trap.cancel.rflags, trap.cancel.vector, trap.flags, trap.needs), (0x100, 1, 1, 2));
}

#[test]
#[should_panic(expected = "two cases have one name")]
fn two_cases_of_one_name_stop_the_build() {
    note(Description { name: "db", rule: "r", spec: "s" }, pages(), &[TRAP, QUIET, TRAP]);
}

#[test]
#[should_panic(expected = "the image's name breaks")]
fn an_image_without_a_name_stops_the_build() {
    note(Description { name: "", rule: "r", spec: "s" }, pages(), &[TRAP]);
}

#[test]
#[should_panic(expected = "a case's name breaks")]
fn a_name_that_ids_cannot_hold_stops_the_build() {
    note(Description { name: "db", rule: "r", spec: "s" }, pages(), &[Case { name: "-step", ..TRAP }]);
}

#[test]
fn the_idts_events_are_counted_apart() {
    let idt = Some(&Idt { events: &[Event::NEW, Event::NEW], left: Left::NEW });
    let note = Case { idt, ..QUIET }.note();
    assert_eq!((note.entries, note.idt_entries), (0, 2));
    let note = TWICE.note();
    assert_eq!((note.entries, note.idt_entries), (2, 2));
}

#[test]
#[should_panic(expected = "differ in kind")]
fn first_events_of_two_kinds_stop_the_build() {
    let soft = Event { ss: 0x2204_0003_0002_0010, ..Event::NEW };
    let idt = Some(&*Box::leak(Box::new(Idt { events: TRAP.events, left: Left::NEW })));
    Case { events: Box::leak([soft].into()), idt, ..TRAP }.note();
}

#[test]
fn flags_that_follow_are_not_written_by_hand() {
    let flags = |case: Case| CaseFlags::from_bits_retain(case.note().flags);
    for (event_type, soft) in [(0, false), (2, false), (3, false), (4, true), (5, true), (6, true), (7, true)]
    {
        let event = Event { ss: 0x2000_0001_0000_0010 | event_type << 48, ..Event::NEW };
        for events in [&[event][..], &[event, TRAP.events[0]]] {
            let case = Case { events: Box::leak(events.into()), ..TRAP };
            assert_eq!(flags(case).contains(CaseFlags::SOFT), soft, "type {event_type}");
        }
    }
    assert_eq!(flags(QUIET), CaseFlags::IO);
    assert_eq!(
        flags(Case { events: &[Event { vector: 14, ss: 0x0603_000E_0000_0010, ..Event::NEW }], ..TRAP }),
        CaseFlags::IO | CaseFlags::NESTED
    );
    let double_fault =
        Case { events: &[Event { vector: 8, ss: 0x0203_0008_0000_0010, ..Event::NEW }], ..TRAP };
    assert_eq!(flags(double_fault), CaseFlags::IO | CaseFlags::NESTED);
    let user = Case { flags: CaseFlags::USER, ..TRAP };
    assert_eq!(flags(user), CaseFlags::USER | CaseFlags::TOUCHES_GDT);
}
