//! The image's note, made of its cases.

use crate::address::Address;
use crate::case::{Cancel, Case};
use crate::judge::event::{Event, Rip};
use protocol::name;
use protocol::note::{CancelNote, CaseFlags, CaseNote, ImageNote, NAME, NAME_SIZE, Note, TYPE};
use protocol::text::fixed;

/// What the note says about the image itself.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// The image's name; at most 16 bytes.
    pub name: &'static str,
    /// The rule of the architecture that it is about; at most 128 bytes.
    pub rule: &'static str,
    /// Where the rule is written; at most 64 bytes.
    pub spec: &'static str,
}

/// The pages that the note names.
#[derive(Clone, Copy, Debug)]
pub struct Pages {
    /// The mailbox.
    pub mailbox: Address,
    /// The page that only the delivery under test touches.
    pub frame_page: Address,
    /// The PDPT by which the frame page, and nothing else, is reached.
    pub frame_pdpt: Address,
    /// The page directory by which it is reached.
    pub frame_pd: Address,
    /// The page table by which it is reached.
    pub frame_pt: Address,
    /// The act stack.
    pub act_stack: Address,
    /// The other page tables, the PML4 first.
    pub page_tables: Address,
    /// Just past them.
    pub page_tables_end: Address,
    /// The FRED entry page.
    pub entry_page: Address,
    /// The IDT.
    pub idt: Address,
    /// The GDT.
    pub gdt: Address,
    /// The TSS.
    pub tss: Address,
}

/// The image's note. Texts that do not fit stop the build, and so do names that an id cannot hold,
/// cases of one name and a case without a rule.
///
/// # Panics
/// For these reasons, where it is not called in a `const`.
pub const fn note<const CASES: usize>(
    image: Description,
    pages: Pages,
    cases: &[Case; CASES],
) -> Note<Address, CASES> {
    let mut notes = [CaseNote {
        name: [0; 32],
        rule: [0; 160],
        needs: 0,
        entries: 0,
        act: Address::new(0),
        after: Address::new(0),
        cancel: NO_CANCEL,
        flags: 0,
        event_type: 0,
        vector: 0,
        reserved: [0; 2],
    }; CASES];
    assert!(name::is_valid(image.name), "the image's name breaks protocol::name::RULE");
    let mut index = 0;
    while index < CASES {
        assert!(name::is_valid(cases[index].name), "a case's name breaks protocol::name::RULE");
        assert!(!cases[index].rule.is_empty(), "a case says no rule");
        let mut other = 0;
        while other < index {
            assert!(!name::is_same(cases[other].name, cases[index].name), "two cases have one name");
            other += 1;
        }
        notes[index] = cases[index].note();
        index += 1;
    }
    Note {
        name_size: NAME_SIZE,
        descriptor_size: (size_of::<ImageNote>() + CASES * size_of::<CaseNote>()) as u32,
        note_type: TYPE,
        name: NAME,
        image: ImageNote {
            version: protocol::VERSION,
            case_count: CASES as u32,
            header_size: size_of::<ImageNote>() as u32,
            case_size: size_of::<CaseNote>() as u32,
            name: fixed(image.name),
            rule: fixed(image.rule),
            spec: fixed(image.spec),
            mailbox: pages.mailbox,
            frame_page: pages.frame_page,
            frame_pdpt: pages.frame_pdpt,
            frame_pd: pages.frame_pd,
            frame_pt: pages.frame_pt,
            act_stack: pages.act_stack,
            page_tables: pages.page_tables,
            page_tables_end: pages.page_tables_end,
            entry_page: pages.entry_page,
            idt: pages.idt,
            gdt: pages.gdt,
            tss: pages.tss,
        },
        cases: notes,
    }
}

const NO_CANCEL: CancelNote<Address> = CancelNote {
    rip: Address::new(0),
    payload: Address::new(0),
    rflags: 0,
    error_code: 0,
    vector: 0,
    present: 0,
    reserved: [0; 2],
};

impl Case {
    const fn note(&self) -> CaseNote<Address> {
        CaseNote {
            name: fixed(self.name),
            rule: fixed(self.rule),
            needs: self.needs.bits(),
            entries: self.events.len() as u32,
            act: self.act.act,
            after: self.act.after,
            cancel: match (self.events, self.cancel) {
                ([event, ..], Cancel::Payload { payload, rflags }) => CancelNote {
                    rip: match event.rip {
                        Rip::Act => self.act.act,
                        Rip::After | Rip::Last | Rip::Entry(_) => self.act.after,
                    },
                    payload: Address::new(payload),
                    rflags,
                    error_code: event.error_code as u32,
                    vector: event.vector as u8,
                    present: 1,
                    reserved: [0; 2],
                },
                _ => NO_CANCEL,
            },
            flags: self.flags.union(self.implied_flags()).bits(),
            event_type: match self.events {
                [event, ..] => (event.ss >> 48 & 0xF) as u8,
                [] => 0,
            },
            vector: match self.events {
                [event, ..] => event.vector as u8,
                [] => 0,
            },
            reserved: [0; 2],
        }
    }

    /// What follows from the rest of the declaration.
    const fn implied_flags(&self) -> CaseFlags {
        let mut flags = CaseFlags::empty();
        if let [Event { ss, .. }, ..] = self.events
            && matches!(*ss >> 48 & 0xF, 4..=7)
        {
            flags = flags.union(CaseFlags::SOFT);
        }
        // Bit 58 of the SS slot, which a #DF does not have.
        if let [Event { ss, vector, .. }, ..] = self.events
            && (*ss >> 58 & 1 != 0 || *vector == 8)
        {
            flags = flags.union(CaseFlags::NESTED);
        }
        if self.flags.contains(CaseFlags::USER) {
            // Under the IDT, IRETQ to ring 3 reads the descriptors of CS and SS.
            flags = flags.union(CaseFlags::TOUCHES_GDT);
        }
        flags
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Act;
    use crate::judge::disturbed::RESTING;
    use protocol::need::Needs;

    const TRAP: Case = Case {
        name: "step",
        rule: "A rule.",
        needs: Needs::XFD,
        flags: CaseFlags::IO,
        prepare: || {},
        act: Act {
            start: Address::new(1),
            act: Address::new(2),
            after: Address::new(3),
            last: Address::new(3),
        },
        events: &[Event {
            vector: 1,
            rip: Rip::After,
            rflags: 0x102,
            ss: 0x10,
            event_data: 0x4000,
            ..Event::NEW
        }],
        in_handler: false,
        registers: RESTING,
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
    fn flags_that_follow_are_not_written_by_hand() {
        let flags = |case: Case| CaseFlags::from_bits_retain(case.note().flags);
        for (event_type, soft) in
            [(0, false), (2, false), (3, false), (4, true), (5, true), (6, true), (7, true)]
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
}
