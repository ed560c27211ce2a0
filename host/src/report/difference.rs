//! A field that differed: of the guest's judge, of a restore, or of two machines side by side.

use crate::compare::observe::DELIVERY_WORDS;
use fred::msr;
use protocol::doorbell::Doorbell;
use protocol::field::{self, Field as Judged};
use protocol::mailbox::RETURNED;
use serde::{Deserialize, Serialize};
use std::fmt;
use vm::state;
use vm::state::field::{Register, Segment, SegmentPart};

/// A field that differed.
pub type Difference = vm::Difference<Field>;

/// Which field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Field {
    /// One that the guest's judge compares.
    Judged {
        /// Its number in the protocol, which an image that is wrong gets wrong.
        number: u32,
        /// Which of the case's deliveries, from 0; none where the machine's report does not say.
        delivery: Option<u32>,
    },
    /// One that a restore compares: the expected value was saved, the other read back.
    Restored(state::Field),
    /// One that `midflight compare` sees when a doorbell rings.
    Seen(Seen, When),
}

impl Field {
    /// A field that a judge compares.
    pub const fn judged(field: Judged, delivery: Option<u32>) -> Self {
        Self::Judged { number: field as u32, delivery }
    }

    /// Which of the case's deliveries it is of, where that is known.
    pub fn delivery(self) -> Option<u32> {
        match self {
            Self::Judged { delivery, .. } => delivery,
            Self::Restored(_) | Self::Seen(..) => None,
        }
    }

    /// The field that a judge compares, if it is one.
    pub fn of_judge(self) -> Option<Judged> {
        match self {
            Self::Judged { number, .. } => Judged::from_number(number),
            Self::Restored(_) | Self::Seen(..) => None,
        }
    }

    /// Whether its values are addresses of code or of a stack, which move whenever the images are built
    /// anew.
    pub fn is_address(self) -> bool {
        match self {
            Self::Judged { .. } => self.of_judge().is_some_and(is_address),
            Self::Restored(_) => false,
            Self::Seen(Seen::Captured { quadword, .. }, _) => {
                QUADWORDS.get(quadword).is_some_and(|(field, _)| field.is_some_and(is_address))
            }
            Self::Seen(Seen::Register(state::Field::Register(Register::Rip | Register::Rsp)), _) => true,
            Self::Seen(Seen::Register(_) | Seen::Mailbox(_) | Seen::Doorbell, _) => false,
        }
    }
}

const fn is_address(field: Judged) -> bool {
    matches!(field, Judged::Rip | Judged::Rsp | Judged::EntryPoint | Judged::EntryRsp)
}

/// Something that two machines are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Seen {
    /// Which doorbell rang: its value.
    Doorbell,
    /// A quadword of a captured delivery.
    Captured {
        /// Which delivery, from 0.
        delivery: usize,
        /// The quadword's place in [`QUADWORDS`].
        quadword: usize,
    },
    /// What the guest's mailbox says beside them.
    Mailbox(MailboxField),
    /// A register.
    Register(state::Field),
}

/// A number in the guest's mailbox.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
)]
#[strum(serialize_all = "lowercase")]
pub enum MailboxField {
    /// How often a handler was entered.
    Entries,
    /// The judge's verdict.
    Verdict,
    /// How many fields it compared.
    #[strum(serialize = "compared fields")]
    Compared,
    /// How many differed.
    Mismatches,
}

/// The quadwords of a [`Delivery`](protocol::delivery::Delivery), named as the judge names them.
pub const QUADWORDS: [(Option<Judged>, &str); DELIVERY_WORDS] = [
    quadword(Judged::ErrorCode),
    quadword(Judged::Rip),
    quadword(Judged::Cs),
    quadword(Judged::Rflags),
    quadword(Judged::Rsp),
    quadword(Judged::Ss),
    quadword(Judged::EventData),
    quadword(Judged::Reserved),
    quadword(Judged::EntryPoint),
    quadword(Judged::EntryRflags),
    quadword(Judged::EntryRsp),
    quadword(Judged::GsBase),
    quadword(Judged::KernelGsBase),
    quadword(Judged::Cr2),
    quadword(Judged::Dr6),
    quadword(Judged::Dr7),
    quadword(Judged::Csl),
    quadword(Judged::Xfd),
    quadword(Judged::XfdErr),
    quadword(Judged::Vector),
    quadword(Judged::Cr0),
    quadword(Judged::FsBase),
    quadword(Judged::Debugctl),
    quadword(Judged::Rax),
    quadword(Judged::Rcx),
    quadword(Judged::Rdx),
    quadword(Judged::Rbx),
    quadword(Judged::Rbp),
    quadword(Judged::Rsi),
    quadword(Judged::Rdi),
    quadword(Judged::R8),
    quadword(Judged::R9),
    quadword(Judged::R10),
    quadword(Judged::R11),
    quadword(Judged::R12),
    quadword(Judged::R13),
    quadword(Judged::R14),
    quadword(Judged::R15),
    quadword(Judged::Xmm0),
    (None, "XMM0 high"),
    quadword(Judged::Xmm1),
    (None, "XMM1 high"),
];

const fn quadword(field: Judged) -> (Option<Judged>, &'static str) {
    (Some(field), field.name())
}

/// The kind of a doorbell.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, strum::Display,
)]
pub enum When {
    /// The image has booted.
    Ready,
    /// The act is about to begin.
    Armed,
    /// The verdict is in the mailbox.
    Done,
}

impl From<Doorbell> for When {
    fn from(doorbell: Doorbell) -> Self {
        match doorbell {
            Doorbell::Ready => Self::Ready,
            Doorbell::Armed(_) => Self::Armed,
            Doorbell::Done(_) => Self::Done,
        }
    }
}

impl Seen {
    /// What differs at `Done` because one judge has found something and the other has not: what it
    /// writes, and the general-purpose registers that it leaves, RSP not among them.
    pub fn is_left_by_judges(self) -> bool {
        match self {
            Self::Mailbox(MailboxField::Verdict | MailboxField::Compared | MailboxField::Mismatches) => true,
            Self::Register(state::Field::Register(register)) => {
                let general = Register::GENERAL.iter().any(|(general, _)| *general == register);
                general && !matches!(register, Register::Rip | Register::Rflags | Register::Rsp)
            }
            Self::Doorbell | Self::Captured { .. } | Self::Mailbox(MailboxField::Entries) => false,
            Self::Register(_) => false,
        }
    }

    /// Whether it belongs to a captured delivery, or is what a delivery writes.
    pub fn is_of_delivery(self) -> bool {
        matches!(self, Self::Captured { .. })
            || matches!(self, Self::Register(_) if self.of_judge().is_some())
    }

    /// The judge's field of the same register, or of the same count.
    pub fn of_judge(self) -> Option<Judged> {
        use state::Field as Of;
        match self {
            Self::Captured { quadword, .. } => QUADWORDS.get(quadword).and_then(|(field, _)| *field),
            Self::Mailbox(MailboxField::Entries) => Some(Judged::Entries),
            Self::Register(Of::Register(Register::Rip)) => Some(Judged::Rip),
            Self::Register(Of::Register(Register::Rflags)) => Some(Judged::Rflags),
            Self::Register(Of::Register(Register::Rsp)) => Some(Judged::Rsp),
            Self::Register(Of::Register(Register::Cr2)) => Some(Judged::Cr2),
            Self::Register(Of::Register(Register::Dr6)) => Some(Judged::Dr6),
            Self::Register(Of::Register(Register::Dr7)) => Some(Judged::Dr7),
            Self::Register(Of::Segment(Segment::Cs, SegmentPart::Selector)) => Some(Judged::Cs),
            Self::Register(Of::Segment(Segment::Ss, SegmentPart::Selector)) => Some(Judged::Ss),
            Self::Register(Of::Segment(Segment::Gs, SegmentPart::Base)) => Some(Judged::GsBase),
            Self::Register(Of::Msr(msr::KERNEL_GS_BASE)) => Some(Judged::KernelGsBase),
            Self::Register(Of::Msr(msr::XFD_ERR)) => Some(Judged::XfdErr),
            Self::Register(_) | Self::Mailbox(_) | Self::Doorbell => None,
        }
    }

    /// What has this name: of the captured delivery of this number, or of none.
    pub fn named(name: &str, delivery: Option<usize>) -> Option<Self> {
        if let Some(delivery) = delivery {
            let quadword = QUADWORDS.iter().position(|(_, known)| *known == name)?;
            return Some(Self::Captured { delivery, quadword });
        }
        let of_mailbox = name.parse().map(Self::Mailbox);
        of_mailbox.ok().or_else(|| name.parse().ok().map(Self::Register))
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Doorbell => f.write_str("doorbell"),
            Self::Captured { delivery, quadword } => {
                let name = QUADWORDS.get(*quadword).map_or("unknown quadword", |(_, name)| name);
                write!(f, "delivery {delivery}: {name}")
            }
            Self::Mailbox(field) => field.fmt(f),
            Self::Register(field) => field.fmt(f),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Judged { number, delivery } => {
                f.write_str(Judged::from_number(*number).map_or("unknown field", Judged::name))?;
                f.write_str(if *delivery == Some(RETURNED) { field::RETURNED } else { "" })
            }
            Self::Restored(field) => field.fmt(f),
            Self::Seen(seen, when) => write!(f, "{seen} at {when}"),
        }
    }
}
