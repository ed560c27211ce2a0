//! The end of the report for people: what failed, what is known, what was skipped, a table.

use super::{failure, folded, is_wrong, known as known_issues, subject};
use crate::machines::quirks;
use crate::report::format::{Ended, Verbosity};
use crate::report::known::JudgedWarnings;
use crate::report::{HostFacts, Outcome, Report, Totals};
use crate::scenario::{DeliveryMode, Scenario};
use std::collections::BTreeMap;
use std::io::{Result, Write};

/// The most failures that the end of a report repeats.
const REPEATED: usize = 20;

/// Writes the end of the report of a run.
pub(super) fn summary(output: &mut dyn Write, run: &Ended<'_>) -> Result<()> {
    let Ended { begun, reports, host, kernel, early } = run;
    failures(output, reports, begun.verbosity)?;
    known(output, reports, begun.verbosity)?;
    skips(output, reports, begun.verbosity)?;
    kernel_said(output, kernel)?;
    match begun.verbosity {
        Verbosity::Quiet | Verbosity::Normal => table(output, reports)?,
        Verbosity::Verbose => tables(output, reports)?,
    }
    conclusion(output, reports, host)?;
    early.map_or(Ok(()), |early| writeln!(output, "{early}"))
}

/// Writes the failures once more: what was written when they came may be far above. The only result of a run is not.
fn failures(output: &mut dyn Write, reports: &[Report], verbosity: Verbosity) -> Result<()> {
    let wrong: Vec<&Report> = reports.iter().filter(|report| is_wrong(report)).collect();
    let shown = match (verbosity, reports.len()) {
        (Verbosity::Normal | Verbosity::Verbose, 1) => return Ok(()),
        (Verbosity::Quiet | Verbosity::Normal | Verbosity::Verbose, _) => wrong.len().min(REPEATED),
    };
    if shown > 0 && verbosity != Verbosity::Quiet {
        writeln!(output, "\n{} failed:", wrong.len())?;
    }
    wrong.iter().take(shown).try_for_each(|report| failure(output, report))?;
    match wrong.len() - shown {
        0 => Ok(()),
        more => writeln!(output, "and {more} more: `--format json` and `--report` have every one"),
    }
}

/// Writes known issues: a line each, and the ids where everything is asked for.
pub(crate) fn known(output: &mut dyn Write, reports: &[Report], verbosity: Verbosity) -> Result<()> {
    let known = reports.iter().filter(|report| report.outcome == Outcome::Known);
    match verbosity {
        Verbosity::Quiet | Verbosity::Normal => known_issues::in_lines(output, known),
        Verbosity::Verbose => known_issues::with_ids(output, known),
    }
}

/// Writes skips, by reason, and the ids where everything is asked for.
pub(crate) fn skips(output: &mut dyn Write, reports: &[Report], verbosity: Verbosity) -> Result<()> {
    let skipped = reports.iter().filter(|report| report.outcome == Outcome::Skip);
    for group in folded::folded(skipped) {
        writeln!(output, "SKIP: {group}")?;
        if verbosity == Verbosity::Verbose {
            group.ids.iter().try_for_each(|id| writeln!(output, "    {id}"))?;
        }
    }
    Ok(())
}

/// Writes what the kernel said.
pub(super) fn kernel_said(output: &mut dyn Write, kernel: &JudgedWarnings) -> Result<()> {
    for known in &kernel.known {
        writeln!(output, "KNOWN: a warning of this host's kernel: {known}")?;
    }
    for warning in &kernel.said.warnings {
        writeln!(output, "KERNEL: this host's kernel warned during the run; `dmesg` has more of it")?;
        warning.to_string().lines().try_for_each(|line| writeln!(output, "    {line}"))?;
    }
    if let Some(why) = &kernel.said.unwatched {
        writeln!(output, "KERNEL: its warnings were not watched, or not all of them: {why}")?;
    }
    Ok(())
}

/// Writes a table with a row for each machine and delivery.
fn table(output: &mut dyn Write, reports: &[Report]) -> Result<()> {
    let mut rows: Vec<((String, DeliveryMode), Totals)> = Vec::new();
    for report in reports {
        let key = (subject(report), report.scenario.delivery);
        let at = rows.iter().position(|(of, _)| *of == key).unwrap_or_else(|| {
            rows.push((key, Totals::default()));
            rows.len() - 1
        });
        rows[at].1.count(report);
    }
    rows.sort_by_key(|((machine, delivery), _)| {
        (reports.iter().position(|report| subject(report) == *machine), *delivery)
    });
    let named: Vec<(String, Totals)> = rows
        .into_iter()
        .map(|((machine, delivery), totals)| (format!("{machine} {delivery}"), totals))
        .collect();
    let width = named.iter().map(|(name, _)| name.len()).max().unwrap_or(0).max(WIDTH);
    writeln!(output)?;
    head(output, "", width)?;
    for (name, totals) in named {
        row(output, &name, width, totals)?;
    }
    writeln!(output)
}

fn head(output: &mut dyn Write, name: &str, width: usize) -> Result<()> {
    writeln!(
        output,
        "{name:width$} {:>6} {:>6} {:>6} {:>6} {:>6} {:>12}",
        "pass", "fail", "known", "skip", "error", "proved cuts"
    )
}

/// The least width of a table's first column.
const WIDTH: usize = 28;

/// Writes a table for each machine, with a row for each image and delivery.
pub(crate) fn tables(output: &mut dyn Write, reports: &[Report]) -> Result<()> {
    let mut machines: Vec<String> = Vec::new();
    for report in reports {
        let name = subject(report);
        if !machines.contains(&name) {
            machines.push(name);
        }
    }
    for machine in &machines {
        let mine: Vec<&Report> = reports.iter().filter(|report| subject(report) == *machine).collect();
        writeln!(output)?;
        head(output, machine, WIDTH)?;
        for (name, of_row) in rows(&mine, |report| &report.scenario) {
            row(output, &name, WIDTH, Totals::of(of_row.into_iter().copied()))?;
        }
        row(output, "  all", WIDTH, Totals::of(mine))?;
    }
    writeln!(output)
}

/// What a table's rows are about, by their names: an image and a delivery each.
pub(crate) fn rows<T>(all: &[T], scenario: impl Fn(&T) -> &Scenario) -> Vec<(String, Vec<&T>)> {
    let mut rows: BTreeMap<(&str, DeliveryMode), Vec<&T>> = BTreeMap::new();
    for one in all {
        let Scenario { image, delivery, .. } = scenario(one);
        rows.entry((image, *delivery)).or_default().push(one);
    }
    let named = |((image, delivery), row)| (format!("  {image} {delivery}"), row);
    rows.into_iter().map(named).collect()
}

fn row(output: &mut dyn Write, name: &str, width: usize, totals: Totals) -> Result<()> {
    let Totals { pass, fail, known, skip, error, cuts } = totals;
    writeln!(output, "{name:width$} {pass:>6} {fail:>6} {known:>6} {skip:>6} {error:>6} {cuts:>12}")
}

/// Writes how many came to what.
pub(crate) fn counts(output: &mut dyn Write, totals: Totals) -> Result<()> {
    let Totals { pass, fail, known, skip, error, cuts } = totals;
    writeln!(
        output,
        "{pass} passed, {fail} failed, {known} known issues, {skip} skipped, {error} errors; {cuts} cuts proved"
    )
}

fn conclusion(output: &mut dyn Write, reports: &[Report], host: &HostFacts) -> Result<()> {
    let totals = Totals::of(reports);
    counts(output, totals)?;
    let predicted = |passed| {
        let of = |r: &&Report| r.predicted.is_some() && (r.outcome == Outcome::Pass) == passed;
        reports.iter().filter(of).count()
    };
    if let (shown, missed) = (predicted(false), predicted(true))
        && shown + missed > 0
    {
        writeln!(
            output,
            "{shown} failed as predicted, {missed} passed that were predicted to fail; a prediction excuses nothing"
        )?;
    }
    if totals.nothing_tested() {
        writeln!(output, "nothing tested")?;
    }
    fred_without_kvm(reports, host).map_or(Ok(()), |sentence| writeln!(output, "{sentence}"))
}

/// What FRED results are worth if none of them is of a KVM; `None` if one is, or if there are none.
fn fred_without_kvm(reports: &[Report], host: &HostFacts) -> Option<String> {
    let ran =
        |report: &&Report| report.scenario.delivery == DeliveryMode::Fred && report.outcome != Outcome::Skip;
    let (ours, others): (Vec<&Report>, Vec<&Report>) =
        reports.iter().filter(ran).partition(|report| quirks(&report.machine).tests_the_tests);
    if ours.is_empty() && others.is_empty() || others.iter().any(|report| !quirks(&report.machine).boots_fred)
    {
        return None;
    }
    let why = if host.kvm_fred { "FRED was not asked of KVM" } else { "KVM here offers no FRED" };
    let Some(other) = others.first() else {
        return Some(format!(
            "FRED ran on the model only ({why}): these results test the tests, not your KVM."
        ));
    };
    let frames = |of: &dyn Fn(&Report) -> bool| -> u32 {
        others.iter().filter(|report| of(report)).map(|report| report.printed).sum()
    };
    let (agree, all) = (frames(&|report| report.outcome == Outcome::Pass), frames(&|_| true));
    let on = if ours.is_empty() { "" } else { "the model and on " };
    Some(format!(
        "FRED ran on {on}{} (cold controls; {why}): an independent implementation agrees on {agree} of {all} frames.",
        host.emulator_of(&other.machine)
    ))
}

#[cfg(test)]
mod tests;
