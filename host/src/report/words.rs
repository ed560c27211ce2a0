//! Findings in words.

use super::difference::Difference;
use super::finding::{Disbelief, Finding, Port};
use super::outcome::{Outcome, Report};
use crate::image::Address;
use crate::stops::cut::Changed;
use protocol::doorbell::Doorbell;
use protocol::exit::ImageExit;
use std::fmt;
use vm::explain;

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

/// Every field that differed, or the reason where none did.
pub fn failure(report: &Report) -> String {
    if report.differences.is_empty() {
        return reason(report).unwrap_or_default();
    }
    let each = |d: &Difference| format!("{} expected {}, got {}", d.field, d.expected, d.got);
    report.differences.iter().map(each).collect::<Vec<_>>().join("; ")
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
struct AtAddress<'a>(&'a Option<Address>);

impl fmt::Display for AtAddress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("an unknown address"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guest { words, rip: None } | Self::Machine { words } | Self::Program { words } => {
                f.write_str(words)
            }
            Self::Guest { words, rip: Some(rip) } => write!(f, "{words}, RIP {rip:#x}"),
            Self::Verdict { why } => why.fmt(f),
            Self::Call { call, errno, message, advice } => {
                write!(f, "{call} failed: {message} (errno {errno}){advice}")
            }
            Self::Msr { index, value } => {
                write!(f, "MSR {index:#x} cannot be set to {value:#x} on this machine")
            }
            Self::Refused { refusal } => refusal.fmt(f),
            Self::Exit { exit, at, entered } => {
                let what = explain::exit(exit);
                match (exit, entered) {
                    (vm::Exit::UnknownInstruction { .. }, _) => write!(f, "{what} at {}", AtAddress(at)),
                    (_, Some(entered)) => write!(f, "{what}; RIP at {}; {entered}", AtAddress(at)),
                    (_, None) => write!(f, "{what}, RIP at {}", AtAddress(at)),
                }
            }
            Self::Deadline { seconds, at } => {
                write!(f, "timeout: after {seconds} s the guest was still running, at {}", AtAddress(at))
            }
            Self::Ended { byte, words } => {
                write!(f, "the image ended itself in the middle of a case, {}: {words}", ended(*byte))
            }
            Self::OutOfTurn { port, at } => {
                write!(f, "the guest {port} out of turn, RIP at {}", AtAddress(at))
            }
            Self::EventChanged { to } => {
                write!(f, "the event in flight changed at the second KVM_RUN, to {to}")
            }
            Self::EventGone { queue } => write!(
                f,
                "the entry was abandoned, and the event that it was to inject is gone from the queue: {queue}"
            ),
            Self::FredNotSet => {
                f.write_str("CPUID offers FRED, the guest has set CR4.FRED, and CR4.FRED reads 0")
            }
            Self::NeverArmed => {
                f.write_str("the guest rang Done, but KVM_RUN had not returned at the Armed before it")
            }
            Self::NotCut { why } => write!(f, "the delivery was not cut: {why}"),
            Self::StopNotMet => {
                f.write_str("the delivery was not cut: the case ended without meeting the stop")
            }
            Self::InStorm { run } => write!(f, "in run {run} of the storm"),
            Self::Lacks { what } => f.write_str(what),
            Self::Denied { what } => {
                let what = what.as_deref().unwrap_or("it did not say why");
                write!(f, "the model can do everything, and it skipped this: {what}")
            }
            Self::NotShown { issue, file, line } => write!(
                f,
                "the known issue `{issue}` did not show: remove the scenario from {file}, line {line}"
            ),
        }
    }
}

fn ended(byte: u8) -> String {
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
            Some(queue) => write!(f, "{queue} at {}", AtAddress(at))?,
            None => write!(f, "an unknown event, at {}", AtAddress(at))?,
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

impl fmt::Display for Disbelief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compared { compared, least } => {
                write!(f, "the guest says pass and compared {compared} fields, not {least}")
            }
            Self::Differing(fields) => write!(f, "the guest says pass with {fields} fields different"),
            Self::Entries { got, stated } => {
                write!(f, "the guest says pass after {got} deliveries; the case has {stated}")
            }
            Self::Frames { captured, stated } => {
                write!(f, "the image says pass with {captured} frames captured; the case has {stated}")
            }
            Self::NoCut => f.write_str("the guest says pass and no cut was proved"),
            Self::NoReason => f.write_str("the guest says fail and names neither a field nor a reason"),
            Self::None => f.write_str("the guest rang Done without a verdict"),
            Self::Unknown(verdict) => write!(f, "the guest's verdict {verdict} is unknown"),
            Self::NotPrinted => f.write_str("the image printed no verdict for the case"),
            Self::EndedAsFailed => f.write_str("the image ended as failed before this case's verdict"),
        }
    }
}
