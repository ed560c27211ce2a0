//! KTAP, as the kernel's selftests print it (Documentation/dev-tools/ktap.rst), and TAP 14: a test point for each
//! result, and one for the kernel's warnings.

use super::format::{Begun, Ended, One, Writer};
use super::human;
use super::known::JudgedWarnings;
use super::plain::Plain;
use crate::report::{Outcome, Report, Totals, json, reason};
use std::io::{Result, Write};

/// The report in one of the two.
pub(super) struct Tap(pub(super) Dialect);

/// Which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// KTAP version 1.
    Ktap,
    /// TAP version 14.
    Tap14,
}

/// The test point about the kernel's warnings.
const KERNEL: &str = "kernel/no-warning-during-the-run";

impl Writer for Tap {
    fn begin(&self, output: &mut dyn Write, run: &Begun) -> Result<()> {
        let version = match self.0 {
            Dialect::Ktap => "KTAP version 1",
            Dialect::Tap14 => "TAP version 14",
        };
        writeln!(output, "{version}\n1..{}", run.planned + 1)
    }

    fn one(&self, output: &mut dyn Write, one: &One<'_>) -> Result<()> {
        let output = &mut Plain(output);
        let One { number, report, verbosity: _, frames } = *one;
        let name = format!("{}/{}", report.machine, report.scenario);
        match self.0 {
            Dialect::Ktap => {
                // A diagnostic belongs to the test point after it.
                said(output, report, frames)?;
                self.point(output, number, &name, report.outcome, &because(report))
            }
            Dialect::Tap14 => {
                self.point(output, number, &name, report.outcome, &because(report))?;
                if human::is_wrong(report) { block(output, report) } else { Ok(()) }
            }
        }
    }

    fn end(&self, output: &mut dyn Write, run: &Ended<'_>) -> Result<()> {
        let output = &mut Plain(output);
        let (outcome, why) = kernel(run.kernel);
        for warning in &run.kernel.said.warnings {
            warning.to_string().lines().try_for_each(|line| writeln!(output, "# {line}"))?;
        }
        self.point(output, run.reports.len() + 1, KERNEL, outcome, &why)?;
        let Totals { pass, fail, known, skip, error, cuts: _ } = Totals::of(run.reports);
        let bailed = |early| match self.0 {
            Dialect::Ktap => format!("# {early}"),
            Dialect::Tap14 => format!("Bail out! {early}"),
        };
        run.early.map_or(Ok(()), |early| writeln!(output, "{}", bailed(early)))?;
        match self.0 {
            Dialect::Ktap => writeln!(
                output,
                "# Totals: pass:{pass} fail:{fail} xfail:{known} xpass:0 skip:{skip} error:{error}"
            ),
            Dialect::Tap14 => Ok(()),
        }
    }
}

impl Tap {
    /// Writes a test point.
    fn point(
        &self,
        output: &mut dyn Write,
        number: usize,
        name: &str,
        outcome: Outcome,
        why: &str,
    ) -> Result<()> {
        let dash = match self.0 {
            Dialect::Ktap => "",
            Dialect::Tap14 => "- ",
        };
        let (ok, directive) = match (outcome, self.0) {
            (Outcome::Pass, _) => ("ok", ""),
            (Outcome::Skip, _) => ("ok", "SKIP"),
            (Outcome::Known, Dialect::Ktap) => ("ok", "XFAIL"),
            (Outcome::Known, Dialect::Tap14) => ("not ok", "TODO"),
            (Outcome::Fail, _) | (Outcome::Error, Dialect::Tap14) => ("not ok", ""),
            (Outcome::Error, Dialect::Ktap) => ("not ok", "ERROR"),
        };
        write!(output, "{ok} {number} {dash}{name}")?;
        match directive {
            "" => writeln!(output),
            directive => writeln!(output, "{}", format!(" # {directive} {why}").trim_end()),
        }
    }
}

/// Why, in one line.
fn because(report: &Report) -> String {
    reason(report).unwrap_or_default().replace('\n', "; ")
}

fn kernel(kernel: &JudgedWarnings) -> (Outcome, String) {
    match (kernel.said.warnings.is_empty(), &kernel.said.unwatched) {
        (false, _) => (Outcome::Fail, String::new()),
        (true, None) => (Outcome::Pass, String::new()),
        (true, Some(why)) => (Outcome::Skip, format!("not watched, or not all: {}", why.replace('\n', "; "))),
    }
}

/// Writes a failure as diagnostic lines.
fn said(output: &mut dyn Write, report: &Report, frames: bool) -> Result<()> {
    let mut text = Vec::new();
    human::one(&mut text, report, frames)?;
    String::from_utf8_lossy(&text).lines().try_for_each(|line| writeln!(output, "# {line}"))
}

/// Writes a failure as a YAML block: each member of its JSON object.
fn block(output: &mut dyn Write, report: &Report) -> Result<()> {
    writeln!(output, "  ---")?;
    for (name, value) in json::members(report)? {
        // JSON is YAML.
        writeln!(output, "  {name}: {value}")?;
    }
    writeln!(output, "  ...")
}
