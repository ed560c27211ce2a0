//! Registers that the host rewrote while a delivery was stopped.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One register rewritten by the host between the stop and the re-entry.
///
/// It tells the judge what the register must read once the handler runs: see [`Phase`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Disturbance {
    /// A [`Register`] as a number.
    pub register: u32,
    /// A [`Phase`] as a number.
    pub phase: u32,
    /// What the host wrote.
    pub value: u64,
}

/// The registers that hold what event data holds too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Register {
    /// CR2, beside #PF's event data.
    Cr2 = 1,
    /// DR6, beside #DB's event data.
    Dr6 = 2,
    /// IA32_XFD_ERR, beside #NM's event data.
    XfdErr = 3,
}

/// When the host wrote, relative to the event's own side effects on registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Phase {
    /// The event's own effects are still to come: it will overwrite CR2 and merge into DR6.
    Before = 1,
    /// The event's own effects have happened: what the host wrote must stay.
    After = 2,
}

impl Disturbance {
    /// A disturbance in the form the mailbox holds.
    pub const fn new(register: Register, phase: Phase, value: u64) -> Self {
        Self { register: register as u32, phase: phase as u32, value }
    }

    /// The register, if the number is one.
    pub const fn register(&self) -> Option<Register> {
        match self.register {
            1 => Some(Register::Cr2),
            2 => Some(Register::Dr6),
            3 => Some(Register::XfdErr),
            _ => None,
        }
    }

    /// The phase, if the number is one.
    pub const fn phase(&self) -> Option<Phase> {
        match self.phase {
            1 => Some(Phase::Before),
            2 => Some(Phase::After),
            _ => None,
        }
    }
}
