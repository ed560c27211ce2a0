//! One row of what is not compared: for which instructions, when, on whose processor, and which parts of
//! the result. The rows are data, in [`crate::undefined`] and [`crate::known`].

use crate::built::Built;
use crate::host::{Host, Make};
use crate::state::State;
use crate::when::{self, When};
use iced_x86::{Mnemonic, OpKind};

/// What is not compared.
pub(crate) struct Row {
    pub(crate) of: &'static [Mnemonic],
    pub(crate) when: When,
    pub(crate) ended: Ended,
    pub(crate) on: On,
    pub(crate) parts: &'static [Part],
    pub(crate) reason: &'static str,
    /// The manual's or the source's place that says so; or where it was measured.
    pub(crate) reference: &'static str,
}

/// How the instruction ended on the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It completed: what came next is its trap, or the next instruction's event.
    Completed,
    /// By a fault.
    Faulted,
    /// A single-step trap came after an iteration of REP that was not the last.
    BetweenIterations,
    /// By a fault, or between two iterations.
    Interrupted,
    /// Of a row: however.
    Anyhow,
}

/// On which processors a row holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct On {
    pub(crate) makes: &'static [Make],
    /// Family and model, where only some of them do it; empty: all.
    pub(crate) models: &'static [(u32, u32)],
    pub(crate) only: Only,
}

/// What else must be so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Only {
    Always,
    /// There is a hypervisor below, which may handle the exit wrongly.
    UnderHypervisor,
    /// The kernel may use five-level paging.
    La57,
    /// The kernel may use linear-address-space separation.
    Lass,
}

const fn on(makes: &'static [Make]) -> On {
    On { makes, models: &[], only: Only::Always }
}

const fn only(only: Only) -> On {
    On { makes: &crate::host::MAKES, models: &[], only }
}

/// Both manuals leave it open.
pub(crate) const ANY: On = on(&crate::host::MAKES);
/// Intel's does; for another make than the two, what either leaves open is open.
pub(crate) const INTEL: On = on(&[Make::Intel, Make::Other]);
pub(crate) const AMD: On = on(&[Make::Amd, Make::Other]);
/// The model follows Intel or AMD: a third is neither.
pub(crate) const OTHER: On = on(&[Make::Other]);
pub(crate) const UNDER_HYPERVISOR: On = only(Only::UnderHypervisor);
pub(crate) const LA57: On = only(Only::La57);
pub(crate) const LASS: On = only(Only::Lass);

/// Part of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Bits of RFLAGS.
    Flags(u64),
    /// The register that is the first operand; of memory, all of it: the model may have no result.
    Result,
    /// Bits 63:32 of the register that is the first operand.
    ResultUpper,
    /// A register by its number.
    Register(u8),
    /// Bits 63:32 of a register.
    Upper(u8),
    Memory,
    /// Which fault it is, its error code and address; not whether there is one.
    WhichFault,
    Rip,
    Everything,
}

/// Parts of a result, resolved to bits.
pub(crate) mod bits {
    /// The low 22 bits are those of RFLAGS.
    pub(crate) const FLAGS: u64 = 0x3F_FFFF;
    pub(crate) const RIP: u64 = 1 << 22;
    pub(crate) const MEMORY: u64 = 1 << 23;
    pub(crate) const WHICH_FAULT: u64 = 1 << 24;
    /// Whether it is a fault.
    pub(crate) const FAULTED: u64 = 1 << 25;

    /// Bits 31:0 of a register.
    pub(crate) const fn low(register: usize) -> u64 {
        1 << (32 + register)
    }

    /// Bits 63:32.
    pub(crate) const fn upper(register: usize) -> u64 {
        1 << (48 + register)
    }
}

impl Part {
    pub(crate) fn bits(self, built: &Built) -> u64 {
        let i = &built.instruction;
        let result = i.op0_register().full_register().number();
        let in_register = i.op0_kind() == OpKind::Register;
        match self {
            Self::Flags(flags) => flags & bits::FLAGS,
            Self::Result if in_register => bits::low(result) | bits::upper(result),
            Self::Result | Self::Memory => bits::MEMORY,
            Self::ResultUpper if in_register => bits::upper(result),
            Self::ResultUpper => 0,
            Self::Register(n) => bits::low(n.into()) | bits::upper(n.into()),
            Self::Upper(n) => bits::upper(n.into()),
            Self::WhichFault => bits::WHICH_FAULT,
            Self::Rip => bits::RIP,
            Self::Everything => u64::MAX,
        }
    }
}

impl On {
    pub(crate) fn holds(&self, host: &Host) -> bool {
        let only = match self.only {
            Only::Always => true,
            Only::UnderHypervisor => host.hypervisor.is_some(),
            Only::La57 => host.la57,
            Only::Lass => host.lass,
        };
        let model = self.models.is_empty() || self.models.contains(&(host.family, host.model));
        only && model && self.makes.contains(&host.make)
    }
}

impl Ended {
    /// How the instruction ended on the processor.
    pub(crate) fn of(built: &Built, native: &State) -> Self {
        let before = &built.case.before;
        let repeats = built.instruction.is_string_instruction()
            && (built.instruction.has_rep_prefix() || built.instruction.has_repne_prefix());
        match native.vector {
            1 if native.rip == before.rip && repeats => Self::BetweenIterations,
            1 | 3 => Self::Completed,
            // A fault at another RIP is the next instruction's.
            _ if native.rip != before.rip => Self::Completed,
            _ => Self::Faulted,
        }
    }

    fn includes(self, other: Self) -> bool {
        let interrupted = matches!(other, Self::Faulted | Self::BetweenIterations);
        self == other || self == Self::Anyhow || self == Self::Interrupted && interrupted
    }
}

impl Row {
    /// Whether the row holds for this execution; `model` is the model's result, if it has one.
    pub(crate) fn holds(&self, host: &Host, built: &Built, native: &State, model: Option<&State>) -> bool {
        self.of.contains(&built.instruction.mnemonic())
            && self.on.holds(host)
            && self.ended.includes(Ended::of(built, native))
            && when::holds(self.when, built, native, model)
    }

    pub(crate) fn bits(&self, built: &Built) -> u64 {
        self.parts.iter().fold(0, |all, part| all | part.bits(built))
    }
}

/// Every row.
pub(crate) fn rows() -> impl Iterator<Item = &'static Row> {
    crate::undefined::UNDEFINED.iter().chain(crate::known::KNOWN)
}
