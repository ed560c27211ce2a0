//! Why an instruction, or the delivery of an event, did not complete.

use crate::event::Event;
use crate::exit::ExitReason;
use crate::memory::Refused;

/// The outcome of a step. The reason is in a box, because most steps have none: what they return stays in a register.
pub(crate) type Step = Result<(), Box<Stop>>;

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

impl From<Refused> for Box<Stop> {
    fn from(refused: Refused) -> Self {
        Self::new(Stop::Refused(refused))
    }
}

/// #GP(0).
pub(crate) fn gp0() -> Box<Stop> {
    Stop::Fault(Event::gp(0)).into()
}

/// #UD.
pub(crate) fn ud() -> Box<Stop> {
    Stop::Fault(Event::ud()).into()
}
