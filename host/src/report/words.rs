//! Findings in words: what their own sentences are made of.

use crate::image::Address;
use crate::report::{Outcome, Port, Report};
use crate::stops::cut::Changed;
use protocol::doorbell::Doorbell;
use protocol::exit::ImageExit;
use std::fmt;
use vm::Exit;
use vm::explain::{self, Entered};

/// Why a scenario has its outcome; `None` for a pass, and for a failure that its differences
/// describe whole.
pub fn reason(report: &Report) -> Option<String> {
    if let (Outcome::Known, Some(known)) = (report.outcome, &report.known) {
        return Some(known.to_string());
    }
    let parts: Vec<String> =
        report.why.iter().map(ToString::to_string).chain(not_as_saved(&report.restored)).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Fields that read back different after a restore.
fn not_as_saved(restored: &[vm::Difference]) -> Option<String> {
    const NAMED: usize = 6;
    let named: Vec<String> = restored
        .iter()
        .take(NAMED)
        .map(|vm::Difference { field, expected, got }| {
            format!("{field}: {expected} was saved, {got} read back")
        })
        .collect();
    let more = match restored.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    (!named.is_empty())
        .then(|| format!("the restored guest is not the saved one: {}{more}", named.join("; ")))
}

/// Where a guest is, as far as that is known.
pub(super) fn place(at: &Option<Address>) -> String {
    at.as_ref().map_or("an unknown address".to_owned(), Address::to_string)
}

/// Where the event was delivered that a guest speaks of.
pub(super) fn rip(rip: Option<u64>) -> String {
    rip.map_or(String::new(), |rip| format!(", RIP {rip:#x}"))
}

/// An unexpected exit, where the guest was, and with what it was to be entered.
pub(super) fn exit(exit: &Exit, at: &Option<Address>, entered: Option<&Entered>) -> String {
    let (what, at) = (explain::exit(exit), place(at));
    match (exit, entered) {
        (Exit::UnknownInstruction { .. }, _) => format!("{what} at {at}"),
        (_, Some(entered)) => format!("{what}; RIP at {at}; {entered}"),
        (_, None) => format!("{what}, RIP at {at}"),
    }
}

/// How an image ended itself.
pub(super) fn ended(byte: u8) -> String {
    match ImageExit::from_byte(byte) {
        Some(ImageExit::Pass) => "as passed".to_owned(),
        Some(ImageExit::Fail) => "as failed".to_owned(),
        Some(ImageExit::Error) => "with an error".to_owned(),
        Some(ImageExit::Skip) => "as skipped".to_owned(),
        None => format!("with the unknown byte {byte:#x}"),
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { queue, at, changes } = self;
        match queue {
            Some(queue) => write!(f, "{queue} at {}", place(at))?,
            None => write!(f, "an unknown event, at {}", place(at))?,
        }
        let each: Vec<String> = changes
            .iter()
            .map(|change| format!("{} {:#x} -> {:#x}", change.field, change.before, change.after))
            .collect();
        if each.is_empty() { Ok(()) } else { write!(f, " ({})", each.join(", ")) }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Doorbell(value) => match Doorbell::decode(*value) {
                Some(Doorbell::Ready) => f.write_str("rang Ready"),
                Some(Doorbell::Armed(case)) => write!(f, "rang Armed of case {case}"),
                Some(Doorbell::Done(case)) => write!(f, "rang Done of case {case}"),
                None => write!(f, "rang {value:#x}"),
            },
            Self::Input => f.write_str("read the input port"),
            Self::Output => f.write_str("wrote to the output port"),
        }
    }
}
