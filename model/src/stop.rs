//! Why an instruction, or the delivery of an event, did not complete.

use crate::event::Event;
use crate::exit::ExitReason;
use crate::memory::Refused;

/// The outcome of a step.
pub(crate) type Step = Result<(), Stop>;

/// Why an instruction did not complete. The architectural state is that before it, except for
/// IA32_XFD_ERR and MXCSR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The instruction raises an event: a fault, or INT n, INT1, INT3, SYSCALL and the like.
    Fault(Event),
    /// An EPT violation.
    Refused(Refused),
    /// A VM exit.
    Exit(ExitReason),
    /// The instruction at RIP is not one that the model knows.
    Unknown,
    /// The model does not support this; the text says what.
    Unsupported(&'static str),
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// #GP(0).
pub(crate) fn gp0() -> Stop {
    Stop::Fault(Event::gp(0))
}

/// #UD.
pub(crate) fn ud() -> Stop {
    Stop::Fault(Event::ud())
}
