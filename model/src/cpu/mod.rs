//! The interpreter: one file for each family of instructions.
//!
//! | module | holds |
//! |---|---|
//! | [`decoded`], [`cache`], [`fetch`] | from bytes to a decoded instruction |
//! | [`dispatch`], [`offered`] | which handler executes which instruction, which ones exist |
//! | [`run`], [`plain`] | one entry: instruction boundaries, one instruction, runs of plain ones |
//! | [`operand`], [`flags`] | what handlers share |
//! | [`moves`], [`stack`], [`arithmetic`], [`shift`], [`bit`], [`bmi`], [`control_flow`], [`string`] | the integer instructions |
//! | [`far`], [`call_gate`], [`iret`], [`load_segment`] | segments |
//! | [`system`], [`descriptor_table`], [`control_register`], [`fred_return`], [`io`] | the system |
//! | [`fpu`], [`amx`], [`xsave`] | extended state |

pub(crate) mod amx;
pub(crate) mod arithmetic;
pub(crate) mod bit;
pub(crate) mod bmi;
pub(crate) mod cache;
pub(crate) mod call_gate;
pub(crate) mod control_flow;
pub(crate) mod control_register;
pub(crate) mod decoded;
pub(crate) mod descriptor_table;
pub(crate) mod dispatch;
pub(crate) mod far;
pub(crate) mod fetch;
pub(crate) mod flags;
pub(crate) mod fpu;
pub(crate) mod fred_return;
pub(crate) mod io;
pub(crate) mod iret;
pub(crate) mod load_segment;
pub(crate) mod moves;
pub(crate) mod offered;
pub(crate) mod operand;
pub(crate) mod plain;
pub(crate) mod run;
pub(crate) mod shift;
pub(crate) mod stack;
pub(crate) mod string;
pub(crate) mod system;
pub(crate) mod xsave;

pub(crate) use run::Run;

use crate::event::Event;
use crate::memory::Refused;
use crate::processor::ExitReason;

/// The outcome of a step.
pub(crate) type Step = Result<(), Stop>;

/// Why an instruction did not complete. The architectural state is that before it, except for
/// IA32_XFD_ERR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The instruction raises an event: a fault, or INT n, INT1, INT3, SYSCALL and the like.
    Fault(Event),
    /// The second stage refused an access.
    Refused(Refused),
    /// A VM exit.
    Exit(ExitReason),
    /// The instruction at RIP is not one that the model knows.
    Unknown,
    /// The model does not do what is asked for here; the text says what.
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
