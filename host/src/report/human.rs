//! The report for people: what failed and how to repeat it, what was skipped and why, a table.

use super::format::{Again, Ended, Writer};
use super::plain::Plain;
use crate::machines::quirks;
use crate::report::known::JudgedWarnings;
use crate::report::{HostFacts, Outcome, Report, Totals, reason};
use crate::scenario::{DeliveryMode, Scenario};
use std::collections::BTreeMap;
use std::io::{Result, Write};

/// The report for people.
pub(super) struct Human;

impl Writer for Human {
    fn one(&self, output: &mut dyn Write, report: &Report, again: &Again<'_>) -> Result<()> {
        one(output, report, again)
    }

    fn end(&self, output: &mut dyn Write, run: &Ended<'_>) -> Result<()> {
        let Ended { reports, host, kernel, early } = run;
        let output = &mut Plain(output);
        known(output, reports)?;
        skips(output, reports)?;
        kernel_said(output, kernel)?;
        table(output, reports)?;
        conclusion(output, reports, host)?;
        early.map_or(Ok(()), |early| writeln!(output, "{early}"))
    }
}

/// Writes one scenario, if it needs attention: its failure, with the command that repeats it
/// where there is one, and its frames. Fails when `output` cannot be written.
pub(crate) fn one(output: &mut dyn Write, report: &Report, again: &Again<'_>) -> Result<()> {
    let output = &mut Plain(output);
    match report.outcome {
        Outcome::Fail | Outcome::Error => {
            finding(output, report)?;
            self::again(output, again)?;
        }
        Outcome::Pass | Outcome::Skip | Outcome::Known => {}
    }
    report.frames.iter().try_for_each(|frame| writeln!(output, "{frame}"))
}

/// Writes the command that repeats it, where there is one.
pub(super) fn again(output: &mut dyn Write, again: &Again<'_>) -> Result<()> {
    again().map_or(Ok(()), |command| writeln!(output, "    again: {command}"))
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
    kernel_said(output, kernel)
}

/// Writes known issues, by reason.
pub(super) fn known(output: &mut dyn Write, reports: &[Report]) -> Result<()> {
    let mut reasons: BTreeMap<(&str, String), Vec<&Scenario>> = BTreeMap::new();
    for report in reports.iter().filter(|report| report.outcome == Outcome::Known) {
        let key = (report.machine.as_str(), reason(report).unwrap_or_default());
        reasons.entry(key).or_default().push(&report.scenario);
    }
    for ((machine, reason), ids) in reasons {
        writeln!(output, "KNOWN: {} on {machine}: {reason}", ids.len())?;
        for id in ids {
            writeln!(output, "    {id}")?;
        }
    }
    Ok(())
}

fn subject(report: &Report) -> String {
    match report.behaviour.as_ref().or(report.vendor.as_ref()) {
        Some(variant) => format!("{} ({variant})", report.machine),
        None => report.machine.clone(),
    }
}

/// Writes skips, by reason.
pub(super) fn skips(output: &mut dyn Write, reports: &[Report]) -> Result<()> {
    let mut reasons: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for report in reports.iter().filter(|report| report.outcome == Outcome::Skip) {
        *reasons.entry((&report.machine, reason(report).unwrap_or_default())).or_default() += 1;
    }
    for ((machine, reason), count) in reasons {
        writeln!(output, "SKIP: {count} on {machine}: {reason}")?;
    }
    Ok(())
}

fn kernel_said(output: &mut dyn Write, kernel: &JudgedWarnings) -> Result<()> {
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

/// Writes a table for each machine, with a row for each image and delivery.
pub(super) fn table(output: &mut dyn Write, reports: &[Report]) -> Result<()> {
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
        writeln!(
            output,
            "{machine:28} {:>6} {:>6} {:>6} {:>6} {:>6} {:>12}",
            "pass", "fail", "known", "skip", "error", "proved cuts"
        )?;
        for (name, of_row) in rows(&mine, |report| &report.scenario) {
            row(output, &name, Totals::of(of_row.into_iter().copied()))?;
        }
        row(output, "  all", Totals::of(mine))?;
    }
    writeln!(output)
}

/// What a table's rows are about, by their names: an image and a delivery each.
pub(super) fn rows<T>(all: &[T], scenario: impl Fn(&T) -> &Scenario) -> Vec<(String, Vec<&T>)> {
    let mut rows: BTreeMap<(&str, DeliveryMode), Vec<&T>> = BTreeMap::new();
    for one in all {
        let Scenario { image, delivery, .. } = scenario(one);
        rows.entry((image, *delivery)).or_default().push(one);
    }
    let named = |((image, delivery), row)| (format!("  {image} {delivery}"), row);
    rows.into_iter().map(named).collect()
}

fn row(output: &mut dyn Write, name: &str, totals: Totals) -> Result<()> {
    let Totals { pass, fail, known, skip, error, cuts } = totals;
    writeln!(output, "{name:28} {pass:>6} {fail:>6} {known:>6} {skip:>6} {error:>6} {cuts:>12}")
}

/// Writes how many came to what.
pub(super) fn counts(output: &mut dyn Write, totals: Totals) -> Result<()> {
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
mod tests {
    use super::*;

    #[test]
    fn what_fred_without_a_kvm_is_worth() {
        let report = |machine: &str, outcome, printed| {
            let report = Report::new(&"pf/x:fred:cold".parse().unwrap(), machine, None);
            Report { printed, ..report.concluded(outcome, None) }
        };
        let mut host = HostFacts::default();
        host.add_emulator("Bochs 9 (a_lake)");
        let said = |reports: &[Report]| fred_without_kvm(reports, &host).unwrap_or_default();
        let model = report("model", Outcome::Pass, 0);
        let only = "FRED ran on the model only (KVM here offers no FRED): these results test the tests, not your KVM.";
        assert_eq!(said(std::slice::from_ref(&model)), only);
        assert_eq!(said(&[model.clone(), report("bochs", Outcome::Skip, 0)]), only);
        let bochs = [model.clone(), report("bochs", Outcome::Pass, 3), report("bochs", Outcome::Known, 2)];
        assert_eq!(
            said(&bochs),
            "FRED ran on the model and on Bochs 9 (a_lake) (cold controls; KVM here offers no FRED): an independent \
             implementation agrees on 3 of 5 frames."
        );
        assert!(said(&bochs[1..]).starts_with("FRED ran on Bochs 9 (a_lake) (cold controls;"));
        assert_eq!(said(&[model, report("kvm", Outcome::Fail, 0)]), "");
        assert_eq!(said(&[report("qemu", Outcome::Skip, 0)]), "");
    }

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
