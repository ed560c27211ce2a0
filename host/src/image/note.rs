//! The image's note, as plain values.

use super::delivery::DeliveryMode;
use super::error::Problem;
use super::pages::DeliveryPages;
use fred::event::EventType;
use protocol::need::Needs;
use protocol::note::{CancelNote, CaseFlags, CaseNote, ImageNote};
use protocol::text;
use zerocopy::FromBytes;

/// A case of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Its name: the second part of a scenario's id.
    pub name: String,
    /// The rule it proves.
    pub rule: String,
    /// What it needs of the machine.
    pub needs: Needs,
    /// How many deliveries a pass has under FRED.
    pub fred_entries: u32,
    /// How many it has under the IDT.
    pub idt_entries: u32,
    /// RIP of the act: a linear address, which is compared and never followed.
    pub act: u64,
    /// RIP after the act.
    pub after: u64,
    /// How the host synthesises its event, if it can.
    pub cancel: Option<Cancel>,
    /// Type and vector of its first event; none where nothing must be raised.
    pub event: Option<(EventType, u8)>,
    /// Which stops apply, what the host injects, where the act runs.
    pub flags: CaseFlags,
}

impl Case {
    /// How many deliveries a pass has.
    pub const fn entries(&self, delivery: DeliveryMode) -> u32 {
        match delivery {
            DeliveryMode::Fred => self.fred_entries,
            DeliveryMode::Idt => self.idt_entries,
        }
    }
}

/// What the host puts into the queue for a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancel {
    /// RIP at the event.
    pub rip: u64,
    /// The event's payload.
    pub payload: u64,
    /// RFLAGS bits that the act would have set.
    pub rflags: u64,
    /// The vector.
    pub vector: u8,
    /// The error code, if the vector has one.
    pub error_code: Option<u32>,
}

pub(super) struct Note {
    pub(super) name: String,
    pub(super) rule: String,
    pub(super) spec: String,
    pub(super) cases: Vec<Case>,
    pub(super) mailbox: u64,
    pub(super) pages: DeliveryPages,
}

pub(super) fn parse(descriptor: &[u8]) -> Result<Note, Problem> {
    let version = descriptor.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    match version {
        Some(protocol::VERSION) => {}
        Some(found) => return Err(Problem::Version { found, expected: protocol::VERSION }),
        None => return Err(Problem::BrokenNote("it is truncated")),
    }
    let (image, mut rest) = <ImageNote>::read_from_prefix(descriptor)
        .map_err(|_| Problem::BrokenNote("it ends within the image's description"))?;
    if image.header_size as usize != size_of::<ImageNote>()
        || image.case_size as usize != size_of::<CaseNote>()
    {
        return Err(Problem::BrokenNote("its structures have other sizes than this version's"));
    }
    let pages = DeliveryPages::of(&image)?;
    let mut cases: Vec<Case> = Vec::new();
    for number in 1..=image.case_count {
        let (case, after) = <CaseNote>::read_from_prefix(rest)
            .map_err(|_| Problem::BrokenNote("it has fewer cases than it says"))?;
        let case = parse_case(number, &case)?;
        if cases.iter().any(|other| other.name == case.name) {
            return Err(Problem::SameName(case.name));
        }
        cases.push(case);
        rest = after;
    }
    if cases.is_empty() {
        return Err(Problem::BrokenNote("it has no case"));
    }
    Ok(Note {
        name: name("the image", &image.name)?,
        rule: sentence(&image.rule)?,
        spec: sentence(&image.spec)?,
        cases,
        mailbox: image.mailbox,
        pages,
    })
}

fn parse_case(number: u32, case: &CaseNote) -> Result<Case, Problem> {
    let needs = Needs::from_bits(case.needs).ok_or(Problem::BrokenNote("a case has an unknown need"))?;
    let flags = CaseFlags::from_bits(case.flags).ok_or(Problem::BrokenNote("a case has an unknown flag"))?;
    Ok(Case {
        name: name(&format!("its case {number}"), &case.name)?,
        rule: sentence(&case.rule)?,
        needs,
        fred_entries: case.entries,
        idt_entries: case.idt_entries.into(),
        act: case.act,
        after: case.after,
        cancel: (case.cancel.present != 0).then(|| cancel(&case.cancel)),
        event: event(case)?,
        flags,
    })
}

fn event(case: &CaseNote) -> Result<Option<(EventType, u8)>, Problem> {
    if case.entries == 0 && case.idt_entries == 0 {
        return Ok(None);
    }
    match EventType::try_from(case.event_type) {
        Ok(event_type) => Ok(Some((event_type, case.vector))),
        Err(_) => Err(Problem::BrokenNote("a case has an unknown event type")),
    }
}

fn cancel(note: &CancelNote) -> Cancel {
    Cancel {
        rip: note.rip,
        payload: note.payload,
        rflags: note.rflags,
        vector: note.vector,
        error_code: fred::event::vector::has_error_code(note.vector).then_some(note.error_code),
    }
}

/// A name that is safe in a shell and in a scenario's id.
fn name(of: &str, place: &[u8]) -> Result<String, Problem> {
    let name = String::from_utf8_lossy(place).trim_end_matches('\0').to_owned();
    if protocol::name::is_valid(&name) { Ok(name) } else { Err(Problem::Name { of: of.to_owned(), name }) }
}

fn sentence(place: &[u8]) -> Result<String, Problem> {
    text::read(place).map(str::to_owned).ok_or(Problem::BrokenNote("a text is not UTF-8"))
}
