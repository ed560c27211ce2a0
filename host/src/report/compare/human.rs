//! A comparison, for people: what differs and how to repeat it, what is known, a table.

use super::format::{Again, Ended, Writer, totals};
use crate::compare::pair::Pair;
use crate::compare::{Comparison, Decoded, MachineDifference};
use crate::report::format;
use crate::report::human::{self, summary};
use crate::report::{Cited, Outcome, Report, Seen, Totals, Verbosity};
use std::collections::BTreeMap;
use std::io::{Result, Write};

/// The report for people.
pub(super) struct Human;

impl Writer for Human {
    fn one(&self, output: &mut dyn Write, comparison: &Comparison, again: &Again<'_>) -> Result<()> {
        match comparison.outcome {
            Outcome::Fail => difference(output, comparison)?,
            Outcome::Error => {
                writeln!(output, "ERROR: {}", comparison.scenario.case_name())?;
                writeln!(output, "    {}", why(comparison))?;
            }
            Outcome::Pass | Outcome::Known | Outcome::Skip => return Ok(()),
        }
        human::again(output, again().as_deref())
    }

    fn end(&self, output: &mut dyn Write, ended: &Ended<'_>) -> Result<()> {
        let Ended { pair, comparisons, not_shown, host: _, early } = ended;
        for sentence in *not_shown {
            writeln!(output, "FAIL: {sentence}")?;
        }
        reasons(output, comparisons)?;
        table(output, pair, comparisons)?;
        let Totals { pass, fail, known, skip, error, .. } = totals(*comparisons);
        writeln!(
            output,
            "{pass} the same, {fail} different, {known} with known differences only, {skip} skipped, {error} errors"
        )?;
        if totals(*comparisons).nothing_tested() {
            writeln!(output, "nothing compared")?;
        }
        honest(output, pair)?;
        early.map_or(Ok(()), |early| writeln!(output, "{early}"))
    }

    fn one_migrated(&self, output: &mut dyn Write, report: &Report) -> Result<()> {
        human::one(output, report, false)
    }

    fn end_migrated(&self, output: &mut dyn Write, pair: &Pair, run: &format::Ended<'_>) -> Result<()> {
        let format::Ended { begun: _, reports, host: _, kernel: _, early } = run;
        summary::known(output, reports, Verbosity::Verbose)?;
        summary::skips(output, reports, Verbosity::Verbose)?;
        summary::tables(output, reports)?;
        let totals = Totals::of(*reports);
        summary::counts(output, totals)?;
        if totals.nothing_tested() {
            writeln!(output, "nothing tested")?;
        }
        honest(output, pair)?;
        early.map_or(Ok(()), |early| writeln!(output, "{early}"))
    }
}

fn honest(output: &mut dyn Write, pair: &Pair) -> Result<()> {
    if !pair.any(|quirks| !quirks.tests_the_tests) {
        writeln!(output, "These results test the tests, not your KVM.")?;
    }
    Ok(())
}

fn difference(output: &mut dyn Write, comparison: &Comparison) -> Result<()> {
    let at = comparison.at.as_deref().unwrap_or("the end");
    writeln!(output, "DIFFERENT: {} at {at}", comparison.scenario.case_name())?;
    if let Some(reason) = &comparison.why {
        writeln!(output, "    {reason}")?;
    }
    // Fields of deliveries are marked among all of their delivery.
    let of_delivery = |difference: &&MachineDifference| {
        matches!(difference, MachineDifference::Number { field: Seen::Captured { .. }, .. })
    };
    for difference in comparison.differences.iter().filter(|difference| !of_delivery(difference)) {
        both(output, "    ", comparison, &difference.decoded())?;
    }
    for (number, delivery) in comparison.deliveries.iter().enumerate() {
        let [first, second] = &comparison.machines;
        let only = match delivery.first() {
            Some(Decoded { first: None, .. }) => format!(", on {second} only"),
            Some(Decoded { second: None, .. }) => format!(", on {first} only"),
            _ => String::new(),
        };
        writeln!(output, "    delivery {number}{only}:")?;
        for field in delivery {
            if field.first == field.second || !only.is_empty() {
                let value = field.first.as_ref().or(field.second.as_ref());
                writeln!(output, "        {:18} {}", field.field, value.map_or("nothing", String::as_str))?;
            } else {
                both(output, "      ! ", comparison, field)?;
            }
        }
    }
    for reason in &comparison.known {
        writeln!(output, "    known: {reason}")?;
    }
    Ok(())
}

fn both(output: &mut dyn Write, indent: &str, comparison: &Comparison, difference: &Decoded) -> Result<()> {
    let [first, second] = &comparison.machines;
    let width = first.len().max(second.len());
    writeln!(output, "{indent}{:18} {first:width$}  {}", difference.field, text(&difference.first))?;
    let blank = "";
    writeln!(
        output,
        "{:indent$}{blank:18} {second:width$}  {}",
        "",
        text(&difference.second),
        indent = indent.len()
    )
}

fn why(comparison: &Comparison) -> String {
    comparison.why.as_ref().map(ToString::to_string).unwrap_or_default()
}

fn text(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or("nothing")
}

/// Known differences and skips, by reason.
fn reasons(output: &mut dyn Write, comparisons: &[Comparison]) -> Result<()> {
    let mut known: BTreeMap<&Cited, Vec<String>> = BTreeMap::new();
    let mut skips: BTreeMap<String, usize> = BTreeMap::new();
    for comparison in comparisons {
        for reason in &comparison.known {
            known.entry(reason).or_default().push(comparison.scenario.case_name());
        }
        if comparison.outcome == Outcome::Skip {
            *skips.entry(why(comparison)).or_default() += 1;
        }
    }
    for (reason, ids) in known {
        writeln!(output, "KNOWN: {} times: {reason}", ids.len())?;
        // An issue that shows in every case needs no list of cases.
        for id in ids.iter().filter(|_| ids.len() <= LISTED) {
            writeln!(output, "    {id}")?;
        }
    }
    for (reason, count) in skips {
        writeln!(output, "SKIP: {count}: {reason}")?;
    }
    Ok(())
}

/// How many cases with one known difference are listed.
const LISTED: usize = 20;

fn table(output: &mut dyn Write, pair: &Pair, comparisons: &[Comparison]) -> Result<()> {
    let [first, second] = &pair.0;
    writeln!(output)?;
    writeln!(
        output,
        "{:28} {:>6} {:>9} {:>6} {:>6} {:>6} {:>9} {:>9}",
        format!("{first} and {second}"),
        "same",
        "different",
        "known",
        "skip",
        "error",
        "doorbells",
        "values"
    )?;
    for (name, of_row) in summary::rows(comparisons, |one| &one.scenario) {
        row(output, &name, &of_row)?;
    }
    row(output, "  all", &comparisons.iter().collect::<Vec<_>>())?;
    writeln!(output)
}

fn row(output: &mut dyn Write, name: &str, comparisons: &[&Comparison]) -> Result<()> {
    let Totals { pass, fail, known, skip, error, .. } = totals(comparisons.iter().copied());
    let doorbells: usize = comparisons.iter().map(|one| one.doorbells).sum();
    let values: usize = comparisons.iter().map(|one| one.compared).sum();
    writeln!(
        output,
        "{name:28} {pass:>6} {fail:>9} {known:>6} {skip:>6} {error:>6} {doorbells:>9} {values:>9}"
    )
}
