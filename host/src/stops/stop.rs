//! Where a delivery is stopped, and how.

use crate::image::Place;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use vm::{PageAccess, VmKind};

/// Where a delivery is stopped, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Stop {
    /// The page refuses access: PROT_NONE.
    Block(Place),
    /// The page has the private attribute and no private memory.
    Private(Place),
    /// The page is missing until a userfaultfd provides it, and a signal comes meanwhile.
    Userfault(Place),
    /// The page has no memory slot.
    Hole(Place),
    /// The page is in a read-only memory slot.
    ReadOnly(Place),
    /// The page is taken out of the guest's mapping, and the kernel maps it again by itself.
    Evict(Place),
    /// The dirty ring is full once the delivery has written the frame's page.
    Ring,
    /// The host queues the event itself and abandons the entry that injects it.
    Cancel,
    /// The instruction that raises the event waits for user-space I/O, which completes without
    /// entering the guest.
    Io,
    /// Signals come at random times while the case runs again and again; the number seeds them.
    Storm(u32),
    /// One memory access of the delivery is refused, and perhaps one of its second try.
    Access(u16, Option<u16>),
}

impl Stop {
    /// Whether chance decides what it meets, by the host's clock: an id then replays the seed, and not
    /// the moments. The model has a clock of its own, on which it replays exactly.
    pub const fn depends_on_time(self) -> bool {
        matches!(self, Self::Storm(_))
    }

    /// The page that is refused or taken away.
    pub const fn place(self) -> Option<Place> {
        match self {
            Self::Block(place)
            | Self::Private(place)
            | Self::Userfault(place)
            | Self::Hole(place)
            | Self::ReadOnly(place)
            | Self::Evict(place) => Some(place),
            Self::Ring | Self::Cancel | Self::Io | Self::Storm(_) | Self::Access(..) => None,
        }
    }

    /// What the page allows then.
    pub const fn page_access(self) -> Option<PageAccess> {
        Some(match self {
            Self::Block(_) => PageAccess::Blocked,
            Self::Private(_) => PageAccess::Private,
            Self::Userfault(_) => PageAccess::Userfault,
            Self::Hole(_) => PageAccess::Hole,
            Self::ReadOnly(_) => PageAccess::ReadOnly,
            _ => return None,
        })
    }

    /// The kind of VM that can be stopped so.
    pub const fn vm_kind(self) -> VmKind {
        match self {
            Self::Ring => VmKind::DirtyRing,
            Self::Private(_) => VmKind::Protected,
            _ => VmKind::Plain,
        }
    }

    /// Whether a delivery that goes on can be stopped so a second time.
    pub const fn is_repeatable(self) -> bool {
        self.page_access().is_some() || matches!(self, Self::Cancel | Self::Io)
    }

    /// Whether anything can be done to the guest there: not where only the kernel sees the stop.
    pub const fn stands_still(self) -> bool {
        !matches!(self, Self::Evict(_))
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block(place) => write!(f, "block@{place}"),
            Self::Private(place) => write!(f, "private@{place}"),
            Self::Userfault(place) => write!(f, "uffd@{place}"),
            Self::Hole(place) => write!(f, "hole@{place}"),
            Self::ReadOnly(place) => write!(f, "read-only@{place}"),
            Self::Evict(place) => write!(f, "evict@{place}"),
            Self::Ring => f.write_str("ring"),
            Self::Cancel => f.write_str("cancel"),
            Self::Io => f.write_str("io"),
            Self::Storm(0) => f.write_str("storm"),
            Self::Storm(seed) => write!(f, "storm={seed}"),
            Self::Access(first, None) => write!(f, "access@{first}"),
            Self::Access(first, Some(second)) => write!(f, "access@{first},{second}"),
        }
    }
}

impl From<Stop> for String {
    fn from(stop: Stop) -> Self {
        stop.to_string()
    }
}

impl TryFrom<String> for Stop {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl FromStr for Stop {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "ring" => return Ok(Self::Ring),
            "cancel" => return Ok(Self::Cancel),
            "io" => return Ok(Self::Io),
            "storm" => return Ok(Self::Storm(0)),
            _ => {}
        }
        if let Some(seed) = text.strip_prefix("storm=") {
            return match number(seed) {
                Some(0) | None => Err("the seed of its storm is no number above 0"),
                Some(seed) => Ok(Self::Storm(seed)),
            };
        }
        const OTHER: &str = "its stop is none of `cold`, `none`, `block@PLACE`, `private@PLACE`, `uffd@PLACE`, \
                             `hole@PLACE`, `read-only@PLACE`, `evict@PLACE`, `ring`, `cancel`, `io`, `storm`, \
                             `storm=SEED`, `access@N`, `access@N,M`";
        let (how, at) = text.split_once('@').ok_or(OTHER)?;
        let stop: fn(Place) -> Self = match how {
            "block" => Self::Block,
            "private" => Self::Private,
            "uffd" => Self::Userfault,
            "hole" => Self::Hole,
            "read-only" => Self::ReadOnly,
            "evict" => Self::Evict,
            "access" => return access(at),
            _ => return Err(OTHER),
        };
        let place = Place::ALL.into_iter().find(|place| place.name() == at);
        place.map(stop).ok_or("its place is none of `frame`, `pt`, `pd`, `pdpt`, `idt`, `gdt`, `tss`")
    }
}

fn access(numbers: &str) -> Result<Stop, &'static str> {
    let number = |text| number(text).ok_or("the number of its access is none");
    Ok(match numbers.split_once(',') {
        Some((first, second)) => Stop::Access(number(first)?, Some(number(second)?)),
        None => Stop::Access(number(numbers)?, None),
    })
}

/// One spelling for each id: no sign, no leading zero.
pub(super) fn number<N: FromStr + ToString>(text: &str) -> Option<N> {
    text.parse::<N>().ok().filter(|number| number.to_string() == text)
}
