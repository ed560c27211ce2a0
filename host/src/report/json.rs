//! JSON lines: one object per scenario, then one with totals and host facts. See docs/json.md.

use super::{Early, Totals};
use crate::report::facts::HostFacts;
use crate::report::known::JudgedWarnings;
use crate::report::outcome::Report;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;

/// The last object.
#[derive(Debug, Serialize)]
struct Summary<'a> {
    totals: Totals,
    machines: BTreeMap<&'a str, Totals>,
    nothing_tested: bool,
    ended_by: Option<&'static str>,
    not_run: usize,
    kernel_warnings: &'a [String],
    kernel_warnings_known: &'a [String],
    kernel_unwatched: Option<&'a str>,
    host: &'a HostFacts,
}

/// Writes the object of one scenario.
///
/// # Errors
/// When `output` cannot be written.
pub fn one(output: &mut impl Write, report: &Report) -> std::io::Result<()> {
    serde_json::to_writer(&mut *output, report)?;
    output.write_all(b"\n")
}

/// Writes the last object: what `reports` come to.
///
/// # Errors
/// When `output` cannot be written.
pub fn summary(
    output: &mut impl Write,
    reports: &[Report],
    host: &HostFacts,
    kernel: &JudgedWarnings,
    early: Option<Early>,
) -> std::io::Result<()> {
    let mut machines = BTreeMap::new();
    for report in reports {
        let name = report.machine.as_str();
        machines.entry(name).or_insert_with(|| Totals::of(reports.iter().filter(|r| r.machine == name)));
    }
    let totals = Totals::of(reports);
    let summary = Summary {
        totals,
        machines,
        nothing_tested: totals.nothing_tested(),
        ended_by: early.map(Early::by),
        not_run: early.map_or(0, |early| early.not_run),
        kernel_warnings: &kernel.said.warnings,
        kernel_warnings_known: &kernel.known,
        kernel_unwatched: kernel.said.unwatched.as_deref(),
        host,
    };
    serde_json::to_writer(&mut *output, &summary)?;
    output.write_all(b"\n")
}
