//! The report for people: what failed and how to repeat it as soon as it has, and a summary.

pub(crate) mod summary;

mod folded;
mod known;

use super::format::{Ended, One, Verbosity, Writer};
use super::plain::Plain;
use crate::machines::quirks;
use crate::report::known::JudgedWarnings;
use crate::report::{HostFacts, Outcome, Report, reason};
use std::io::{Result, Write};

/// The report for people.
pub(super) struct Human;

impl Writer for Human {
    fn one(&self, output: &mut dyn Write, one: &One<'_>) -> Result<()> {
        match one.verbosity {
            Verbosity::Quiet => Ok(()),
            Verbosity::Normal => self::one(output, one.report, one.frames),
            Verbosity::Verbose => {
                in_a_line(&mut Plain(&mut *output), one.report)?;
                self::one(output, one.report, one.frames)
            }
        }
    }

    fn end(&self, output: &mut dyn Write, run: &Ended<'_>) -> Result<()> {
        summary::summary(&mut Plain(output), run)
    }
}

/// Writes one scenario, if it needs attention: its failure, with the command that repeats it
/// where there is one, and its frames where they are asked for. Fails when `output` cannot be written.
pub(crate) fn one(output: &mut dyn Write, report: &Report, frames: bool) -> Result<()> {
    let output = &mut Plain(output);
    if is_wrong(report) {
        failure(output, report)?;
    }
    report.frames.iter().filter(|_| frames).try_for_each(|frame| writeln!(output, "{frame}"))
}

/// Whether it needs attention.
pub(super) fn is_wrong(report: &Report) -> bool {
    match report.outcome {
        Outcome::Fail | Outcome::Error => true,
        Outcome::Pass | Outcome::Skip | Outcome::Known => false,
    }
}

/// Writes one failure, with the command that repeats it where there is one.
pub(super) fn failure(output: &mut dyn Write, report: &Report) -> Result<()> {
    finding(output, report)?;
    again(output, report.again.as_deref())
}

/// Writes the outcome of a scenario that [`failure`] says nothing of.
fn in_a_line(output: &mut dyn Write, report: &Report) -> Result<()> {
    if is_wrong(report) {
        return Ok(());
    }
    let outcome = report.outcome.to_string().to_uppercase();
    write!(output, "{outcome}: {} on {}", report.scenario, subject(report))?;
    match reason(report) {
        Some(reason) => writeln!(output, ": {reason}"),
        None => writeln!(output),
    }
}

/// Writes the command that repeats it, where there is one.
pub(super) fn again(output: &mut dyn Write, command: Option<&str>) -> Result<()> {
    command.map_or(Ok(()), |command| writeln!(output, "    again: {command}"))
}

/// Writes one failure without a command.
pub(super) fn finding(output: &mut dyn Write, report: &Report) -> Result<()> {
    writeln!(
        output,
        "{}: {} on {}",
        report.outcome.to_string().to_uppercase(),
        report.scenario,
        subject(report)
    )?;
    for difference in &report.differences {
        writeln!(
            output,
            "    {} expected {}, got {}",
            difference.field, difference.expected, difference.got
        )?;
    }
    if let Some(reason) = reason(report) {
        writeln!(output, "    {reason}")?;
    }
    if let Some(prediction) = &report.predicted {
        writeln!(output, "    as predicted {prediction}")?;
    }
    if report.runs > 1 {
        writeln!(output, "    in {} of {} runs", report.runs_alike, report.runs)?;
    }
    at_the_cut(output, report)?;
    if let Some(HostFacts { cpu, kernel, .. }) = &report.saved_on {
        writeln!(output, "    the guest was saved under Linux {kernel} on {cpu}")?;
    }
    if !quirks(&report.machine).repeats && report.scenario.depends_on_time() {
        writeln!(
            output,
            "    not deterministic: a storm's signals arrive at other times in each run; --repeat N and --storm-cuts K try more"
        )?;
    }
    Ok(())
}

/// Writes what the queue held, and what the uAPI lost of it.
fn at_the_cut(output: &mut dyn Write, report: &Report) -> Result<()> {
    if let Some(queue) = &report.queue {
        writeln!(output, "    the queue at the cut: {queue}")?;
    }
    report.losses.iter().try_for_each(|loss| writeln!(output, "    the uAPI did not carry: {loss}"))
}

/// Writes that a guest was saved, in so many `bytes`, and what the kernel said. Fails when `output` cannot be
/// written.
pub(crate) fn saved(
    output: &mut dyn Write,
    report: &Report,
    bytes: usize,
    kernel: &JudgedWarnings,
) -> Result<()> {
    let output = &mut Plain(output);
    let (id, on) = (&report.scenario, subject(report));
    writeln!(output, "SAVED: {id} on {on}: {bytes} bytes, for `midflight resume` to judge")?;
    at_the_cut(output, report)?;
    summary::kernel_said(output, kernel)
}

/// The machine that a report is of, and which kind of it.
fn subject(report: &Report) -> String {
    match report.behaviour.as_ref().or(report.vendor.as_ref()) {
        Some(variant) => format!("{} ({variant})", report.machine),
        None => report.machine.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_that_depends_on_time_says_so() {
        for (stop, machine, depends_on_time) in [
            ("storm=7", "kvm", true),
            ("storm", "kvm->model", true),
            ("storm", "model", false),
            ("block@frame", "kvm", false),
        ] {
            let scenario = format!("pf/x:idt:{stop}:migrate").parse().unwrap();
            let report = Report::new(&scenario, machine, None).concluded(Outcome::Error, None);
            let mut text = Vec::new();
            finding(&mut text, &report).unwrap();
            let said = String::from_utf8(text).unwrap().contains("    not deterministic: ");
            assert_eq!(said, depends_on_time, "{stop} on {machine}");
        }
    }
}
