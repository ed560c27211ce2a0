//! Known issues in the report for people.

use crate::report::{Report, reason};
use crate::scenario::Scenario;
use std::collections::BTreeMap;
use std::io::{Result, Write};

/// The most issues that get a line of their own.
const LINES: usize = 24;
/// The longest reason in a line, in characters.
const LONGEST: usize = 100;

/// An issue that showed on a machine.
struct Shown<'a> {
    machine: String,
    name: &'a str,
    reason: &'a str,
    count: usize,
}

/// Writes a line for each issue, those of most scenarios first; of the rest a line for each machine.
pub(super) fn in_lines<'a>(output: &mut dyn Write, known: impl Iterator<Item = &'a Report>) -> Result<()> {
    let mut issues = issues(known);
    let rest = issues.split_off(issues.len().min(LINES));
    for Shown { machine, name, reason, count } in issues {
        writeln!(output, "KNOWN: {count} on {machine}: {name}: {}", clipped(reason))?;
    }
    let mut by_machine: BTreeMap<&str, Vec<&Shown<'_>>> = BTreeMap::new();
    for issue in &rest {
        by_machine.entry(&issue.machine).or_default().push(issue);
    }
    for (machine, issues) in by_machine {
        let scenarios: usize = issues.iter().map(|issue| issue.count).sum();
        let names: Vec<String> =
            issues.iter().map(|issue| format!("{} ({})", issue.name, issue.count)).collect();
        let (more, names) = (issues.len(), names.join(", "));
        writeln!(output, "KNOWN: {scenarios} on {machine}: {more} more issues: {names}")?;
    }
    Ok(())
}

fn issues<'a>(known: impl Iterator<Item = &'a Report>) -> Vec<Shown<'a>> {
    let mut issues: Vec<Shown<'a>> = Vec::new();
    for (report, cited) in known.filter_map(|report| Some((report, report.known.as_ref()?))) {
        let machine = report.machine.clone();
        match issues.iter_mut().find(|issue| issue.machine == machine && issue.name == cited.name) {
            Some(issue) => issue.count += 1,
            None => issues.push(Shown { machine, name: &cited.name, reason: &cited.reason, count: 1 }),
        }
    }
    issues
        .sort_by(|a, b| b.count.cmp(&a.count).then_with(|| (&a.machine, a.name).cmp(&(&b.machine, b.name))));
    issues
}

/// A reason that fits a line, cut between words.
fn clipped(reason: &str) -> String {
    if reason.chars().count() <= LONGEST {
        return reason.to_owned();
    }
    let most: String = reason.chars().take(LONGEST).collect();
    let whole = most.rsplit_once(' ').map_or(most.as_str(), |(whole, _)| whole);
    format!("{} …", whole.trim_end_matches([',', ':', ';']))
}

/// Writes each issue with its whole reason, its reference and the ids of its scenarios.
pub(super) fn with_ids<'a>(output: &mut dyn Write, known: impl Iterator<Item = &'a Report>) -> Result<()> {
    let mut reasons: BTreeMap<(String, String), Vec<&Scenario>> = BTreeMap::new();
    for report in known {
        let key = (report.machine.clone(), reason(report).unwrap_or_default());
        reasons.entry(key).or_default().push(&report.scenario);
    }
    for ((machine, reason), ids) in reasons {
        writeln!(output, "KNOWN: {} on {machine}: {reason}", ids.len())?;
        ids.iter().try_for_each(|id| writeln!(output, "    {id}"))?;
    }
    Ok(())
}
