//! The image's note, made of its cases.

use crate::address::Address;
use crate::case::{Cancel, Case};
use crate::judge::event::{Event, Rip};
use protocol::mailbox::DELIVERIES;
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
        idt_entries: 0,
    }; CASES];
    assert!(name::is_valid(image.name), "the image's name breaks protocol::name::RULE");
    let mut index = 0;
    while index < CASES {
        assert!(name::is_valid(cases[index].name), "a case's name breaks protocol::name::RULE");
        assert!(!cases[index].rule.is_empty(), "a case says no rule");
        let most = if cases[index].events.len() > cases[index].idt_events().len() {
            cases[index].events.len()
        } else {
            cases[index].idt_events().len()
        };
        assert!(most <= DELIVERIES, "a case has more events than the mailbox has places");
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
                        Rip::Act | Rip::Plus(_) | Rip::At(_) => self.act.act,
                        Rip::After | Rip::Last | Rip::Entry(_) | Rip::UserEntry(_) => self.act.after,
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
            event_type: match self.first_event() {
                Some(event) => (event.ss >> 48 & 0xF) as u8,
                None => 0,
            },
            vector: match self.first_event() {
                Some(event) => event.vector as u8,
                None => 0,
            },
            idt_entries: self.idt_events().len() as u16,
        }
    }

    /// FRED's, or the IDT's where there is none under FRED.
    const fn first_event(&self) -> Option<&Event> {
        match (self.events, self.idt_events()) {
            ([event, ..], _) | ([], [event, ..]) => Some(event),
            ([], []) => None,
        }
    }

    const fn idt_events(&self) -> &'static [Event] {
        match self.idt {
            Some(idt) => idt.events,
            None => self.events,
        }
    }

    /// What follows from the rest of the declaration.
    const fn implied_flags(&self) -> CaseFlags {
        let first = first_event_flags(self.events);
        let idt = first_event_flags(self.idt_events());
        let flags = match (self.events, self.idt_events()) {
            ([], _) => idt,
            (_, []) => first,
            _ => {
                assert!(first.bits() == idt.bits(), "the first events of FRED and the IDT differ in kind");
                first
            }
        };
        if self.flags.contains(CaseFlags::USER) {
            // Under the IDT, IRETQ to ring 3 reads the descriptors of CS and SS.
            return flags.union(CaseFlags::TOUCHES_GDT);
        }
        flags
    }
}

const fn first_event_flags(events: &[Event]) -> CaseFlags {
    let mut flags = CaseFlags::empty();
    if let [Event { ss, vector, .. }, ..] = events {
        if matches!(*ss >> 48 & 0xF, 4..=7) {
            flags = flags.union(CaseFlags::SOFT);
        }
        // Bit 58 of the SS slot, which a #DF does not have.
        if *ss >> 58 & 1 != 0 || *vector == 8 {
            flags = flags.union(CaseFlags::NESTED);
        }
    }
    flags
}

#[cfg(test)]
mod tests;
