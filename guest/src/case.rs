//! A case: one declaration from which the note, the run and the judge are made.

use crate::address::Address;
use crate::judge::disturbed::Registers;
use crate::judge::event::{Event, Rip};
use protocol::need::Needs;
use protocol::note::{CancelNote, CaseFlags, CaseNote, ImageNote, NAME, NAME_SIZE, Note, TYPE};
use protocol::text::fixed;

/// One case: an act, and what it must bring about.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Lower case, digits and dashes; at most 32 bytes.
    pub name: &'static str,
    /// The rule it proves, one sentence; at most 160 bytes.
    pub rule: &'static str,
    /// What it needs of the machine; without it the case is skipped.
    pub needs: Needs,
    /// What the host should know.
    pub flags: CaseFlags,
    /// Brings the machine into the state the act needs. Runs last before the act; everything it
    /// may change (debug registers, CR0.TS, XFD, XFD_ERR, and what `routes` sets) is put right
    /// behind the case.
    pub prepare: fn(),
    /// The act.
    pub act: Act,
    /// What must be delivered, in this order; empty when the act must not raise anything. Behind
    /// an event, one with its entry point as RIP: see [`Rip::Entry`].
    pub events: &'static [Event],
    /// Whether the second event is raised inside the first one's handler, on its stack and stack
    /// level; otherwise the handler has returned by then.
    pub in_handler: bool,
    /// What the registers must read at each entry, or behind an act that raises nothing.
    pub registers: Registers,
    /// What else must be true behind the act, before anything is put right.
    pub results: &'static [Outcome],
    /// How the host can bring the event about itself.
    pub cancel: Cancel,
}

/// A value behind an act.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// What it must be.
    pub expected: u64,
    /// What it is.
    pub read: fn() -> u64,
}

/// The most outcomes that a case can have.
pub const OUTCOMES: usize = 12;

/// Where an act lies; [`act!`](crate::act!) makes one.
#[derive(Clone, Copy, Debug)]
pub struct Act {
    /// Where the act's code begins: it sets registers, rings `Armed` and goes on to `act`.
    pub start: Address,
    /// RIP of a fault.
    pub act: Address,
    /// RIP of a trap, and where a handler returns to: the second act, if there is one.
    pub after: Address,
    /// Behind the second act: where its handler returns to.
    pub last: Address,
}

/// How the host can put the case's event into the queue at `Armed`. RIP, vector and error code
/// are the event's own.
#[derive(Clone, Copy, Debug)]
pub enum Cancel {
    /// It cannot.
    No,
    /// With this payload and these RFLAGS bits set, which the act would have set by then.
    Payload {
        /// #PF's address, #DB's or #NM's event data.
        payload: u64,
        /// RFLAGS bits.
        rflags: u64,
    },
}

/// What [`image!`](crate::image!) hands to the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Image {
    /// The image's name.
    pub name: &'static str,
    /// Its cases, in the order of their indices.
    pub cases: &'static [Case],
}

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
    /// The act stack.
    pub act_stack: Address,
    /// The page tables.
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

/// The image's note. Texts that do not fit stop the build.
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
        reserved: 0,
    }; CASES];
    let mut index = 0;
    while index < CASES {
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
            flags: self.flags.bits(),
            reserved: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::disturbed::RESTING;

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
            ..Event::FAULT
        }],
        in_handler: false,
        registers: RESTING,
        results: &[],
        cancel: Cancel::Payload { payload: 0x4000, rflags: 0x100 },
    };
    const QUIET: Case = Case { name: "quiet", events: &[], ..TRAP };
    const TWICE: Case = Case { name: "twice", events: &[Event::FAULT, Event::FAULT], ..TRAP };

    #[test]
    fn the_note_says_what_the_cases_say() {
        let at = Address::new;
        let pages = Pages {
            mailbox: at(0x10),
            frame_page: at(0x20),
            act_stack: at(0x30),
            page_tables: at(0x40),
            page_tables_end: at(0x50),
            entry_page: at(0x60),
            idt: at(0x70),
            gdt: at(0x80),
            tss: at(0x90),
        };
        let image = Description { name: "db", rule: "r", spec: "s" };
        let note = note(image, pages, &[TRAP, QUIET, TWICE]);
        assert_eq!((note.image.case_count, note.name_size, note.note_type), (3, 10, 1));
        assert_eq!(note.descriptor_size as usize, size_of_val(&note) - 24);
        assert_eq!((note.image.mailbox.value(), note.image.tss.value()), (0x10, 0x90));
        let [trap, quiet, twice] = note.cases;
        assert_eq!(protocol::text::read(&trap.name), Some("step"));
        assert_eq!((trap.entries, quiet.entries, twice.entries), (1, 0, 2));
        assert_eq!((trap.cancel.present, quiet.cancel.present), (1, 0));
        assert_eq!((trap.cancel.rip.value(), trap.cancel.payload.value()), (3, 0x4000));
        assert_eq!((trap.cancel.rflags, trap.cancel.vector, trap.flags, trap.needs), (0x100, 1, 1, 2));
    }
}
