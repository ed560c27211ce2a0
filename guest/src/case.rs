//! A case: one declaration from which the note, the run and the judge are made.

use crate::address::Address;
use crate::judge::disturbed::{RESTING, Registers};
use crate::judge::event::Event;
use crate::judge::{Expected, Left};
use crate::options::DeliveryMode;
use protocol::need::Needs;
use protocol::note::CaseFlags;

/// One case: an act, and what it must bring about. It is written as its difference from [`Case::NEW`].
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Lower case, digits and dashes; at most 32 bytes.
    pub name: &'static str,
    /// The rule it proves, one sentence; at most 160 bytes.
    pub rule: &'static str,
    /// What it needs of the machine; without it the case is skipped.
    pub needs: Needs,
    /// What the host should know, but for what the rest says already: `SOFT`, `NESTED`, and
    /// `TOUCHES_GDT` of acts in ring 3.
    pub flags: CaseFlags,
    /// Brings the machine into the state the act needs. Runs last before the act; everything it
    /// may change (debug registers, CR0.TS, XFD, XFD_ERR, and what `routes` sets) is restored
    /// after the case.
    pub prepare: fn(),
    /// The act.
    pub act: Act,
    /// What must be delivered, in this order; empty when the act must not raise anything. After
    /// an event may come one with its entry point as RIP: see [`Rip::Entry`](crate::judge::event::Rip::Entry).
    pub events: &'static [Event],
    /// What the registers must read at each entry, and after the act.
    pub registers: Registers,
    /// What the act leaves.
    pub left: &'static Left,
    /// What comes instead under the IDT, where that is not the same without what only FRED has.
    pub idt: Option<&'static Idt>,
    /// What else must be true after the act, before anything is restored.
    pub results: &'static [Check],
    /// How the host can bring the event about itself.
    pub cancel: Cancel,
}

impl Case {
    /// A case of any machine whose act must raise nothing and change no register. `name`, `rule` and `act` must
    /// be overridden.
    pub const NEW: Self = Self {
        name: "",
        rule: "",
        needs: Needs::empty(),
        flags: CaseFlags::empty(),
        prepare: || {},
        act: Act::NONE,
        events: &[],
        registers: RESTING,
        left: &Left::NEW,
        idt: None,
        results: &[],
        cancel: Cancel::No,
    };

    /// The case as the image keeps it: its rule is in the note already.
    #[must_use]
    pub const fn without_rule(self) -> Self {
        Self { rule: "", ..self }
    }

    /// What the act must bring about.
    #[must_use]
    pub fn expected(&self, delivery: DeliveryMode) -> Expected<'_> {
        let (events, left) = match (delivery, self.idt) {
            (DeliveryMode::Idt, Some(idt)) => (idt.events, &idt.left),
            (DeliveryMode::Fred, _) | (DeliveryMode::Idt, None) => (self.events, self.left),
        };
        Expected { events, registers: &self.registers, left }
    }
}

/// What an act brings about under the IDT.
#[derive(Clone, Copy, Debug)]
pub struct Idt {
    /// As [`Case::events`].
    pub events: &'static [Event],
    /// As [`Case::left`].
    pub left: Left,
}

/// A value after an act.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// What it must be.
    pub expected: u64,
    /// What it is.
    pub read: fn() -> u64,
}

/// The most results that a case can have.
pub const CHECKS: usize = 12;

/// Where an act lies; [`act!`](crate::act!) makes one.
#[derive(Clone, Copy, Debug)]
pub struct Act {
    /// Where the act's code begins: it sets registers, rings `Armed` and goes on to `act`.
    pub start: Address,
    /// RIP of a fault.
    pub act: Address,
    /// RIP of a trap, and where a handler returns to: the second act, if there is one.
    pub after: Address,
    /// After the second act: where its handler returns to.
    pub last: Address,
}

impl Act {
    /// No act: a case that keeps it fails.
    pub(crate) const NONE: Self =
        Self { start: Address::new(0), act: Address::new(0), after: Address::new(0), last: Address::new(0) };
}

/// How the host can put the case's event into the queue at `Armed`. RIP, vector and error code
/// are the event's own.
#[derive(Clone, Copy, Debug)]
pub enum Cancel {
    /// It cannot: the uAPI has no such event, or the act changes something after `Armed`. `Armed` is rung in
    /// ring 0, so no act in ring 3 has one.
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
