//! Why a guest in QEMU did not come where it should.

use super::saved::SavedError;

/// Why a guest in QEMU did not come where it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VmError {
    /// The deadline passed.
    #[error("QEMU was late: {0}")]
    Late(&'static str),
    /// The process ended.
    #[error("QEMU ended with {status}; it says: {says}")]
    Ended {
        /// Its exit code; `None` where a signal ended it.
        code: Option<i32>,
        /// Its status.
        status: String,
        /// What it printed about it, or `(nothing)`.
        says: String,
    },
    /// It has stopped its guest for good.
    #[error("QEMU has stopped its guest: {state}{says}", says = if .says.is_empty() { String::new() } else { format!("; it says: {}", .says) })]
    Stopped {
        /// Its run state: qapi/run-state.json.
        state: String,
        /// What it printed last, or nothing.
        says: String,
    },
    /// Its guest is in HLT, and nothing will wake it.
    #[error("the guest halted for good at {rip:#x}")]
    Halted {
        /// Where.
        rip: u64,
    },
    /// It refused a command.
    #[error("QEMU refused {command}: {why}")]
    Refused {
        /// The command of QMP.
        command: &'static str,
        /// Its answer.
        why: String,
    },
    /// It closed its control channel.
    #[error("QEMU closed its control channel")]
    Closed,
    /// What came over the control channel is no QMP.
    #[error("QEMU's answer is no QMP: {0}")]
    Garbled(String),
    /// Its migration stream is none.
    #[error(transparent)]
    Saved(#[from] SavedError),
    /// A system call failed.
    #[error("{what} failed: {why}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The system's answer.
        why: String,
    },
    /// This process received a signal to end.
    #[error("this run was ended by a signal")]
    EndRequested,
}

/// For a system call that fails while `what` is tried.
pub(crate) fn system<E: ToString>(what: &'static str) -> impl Fn(E) -> VmError {
    move |error| VmError::System { what, why: error.to_string() }
}
