//! Which differences are explained: those that known-issues.toml describes, exactly.
//!
//! - An entry for the stop `compare` explains a doorbell where just that differs.
//! - At `Done`, an entry for the case's cold scenario does, where the fields of the captured deliveries
//!   that differ are just those that the judge on KVM complains of. Its verdict, and the general
//!   registers, which a judge leaves otherwise when it has found something, may then differ too. What
//!   the act itself left behind, the field `result`, is seen by the judge alone.
//! - Such an entry also explains a guest that ends before `Done`.
//!
//! Only KVM is excused, and only where the model beside it passes.

use super::{Apart, Comparison};
use crate::compare::observe::{Landmark, Observation};
use crate::compare::pair::{Pair, Subject};
use crate::report::decode::NAMES;
use crate::report::facts::HostFacts;
use crate::report::known::{Entry, KnownIssues};
use crate::report::outcome::{Outcome, Report};
use crate::scenario::Scenario;
use protocol::field::Field;
use std::collections::BTreeSet;
use vm::Difference;

/// What the report of a comparison has for a stop.
pub const STOP: &str = "compare";

/// What differences are held against.
#[derive(Debug)]
pub struct Excuses<'a> {
    /// The list.
    pub known: &'a KnownIssues,
    /// This host.
    pub facts: &'a HostFacts,
}

/// Known issues of comparisons alone that hold on this host, concern a case that was compared to its
/// end, and explained nothing: what is wrong with the list, a sentence each.
pub fn not_shown(compared: &[(&Scenario, &Comparison)], excuses: &Excuses<'_>) -> Vec<String> {
    let ended = |comparison: &Comparison| matches!(comparison.outcome, Outcome::Pass | Outcome::Known);
    let shown: BTreeSet<&str> =
        compared.iter().flat_map(|(_, comparison)| &comparison.known).map(String::as_str).collect();
    let concerns = |issue: &Entry, scenario: &Scenario| {
        let mut report = Report::new(scenario, "kvm", None);
        report.stop = STOP.to_owned();
        issue.concerns(&report, excuses.facts)
    };
    let of_compare =
        excuses.known.issues.iter().filter(|issue| issue.is_for_compare() && !issue.intermittent);
    of_compare
        .filter(|issue| compared.iter().any(|(scenario, one)| ended(one) && concerns(issue, scenario)))
        .filter(|issue| !shown.contains(issue.to_string().as_str()))
        .map(Entry::not_shown)
        .collect()
}

/// Decides whether a difference is a known issue.
pub(super) struct Judge<'a> {
    pub(super) pair: &'a Pair,
    pub(super) scenario: &'a Scenario,
    pub(super) seen: [&'a Observation; 2],
    pub(super) excuses: &'a Excuses<'a>,
}

impl Judge<'_> {
    /// Which of the two is KVM, where the other is the model: nobody else is excused.
    fn kvm(&self) -> Option<usize> {
        match &self.pair.0 {
            [Subject::Kvm, Subject::Model(_)] => Some(0),
            [Subject::Model(_), Subject::Kvm] => Some(1),
            _ => None,
        }
    }

    /// The known issue that explains everything that differs at a doorbell.
    pub(super) fn explain(
        &self,
        first: &Landmark,
        second: &Landmark,
        differences: &[Apart],
    ) -> Option<String> {
        let kvm = self.kvm()?;
        self.explain_doorbell(kvm, &first.doorbell, differences)
            .or_else(|| self.explain_verdict(kvm, [first, second], differences))
    }

    /// An entry that describes all that differs at a doorbell.
    fn explain_doorbell(&self, kvm: usize, doorbell: &str, differences: &[Apart]) -> Option<String> {
        let place = doorbell.split('(').next().unwrap_or(doorbell);
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        let mut report = Report::new(self.scenario, "kvm", None);
        report.stop = STOP.to_owned();
        report.set_differences(
            differences
                .iter()
                .map(|apart| {
                    let (got, expected) = match kvm {
                        0 => (&apart.first, &apart.second),
                        _ => (&apart.second, &apart.first),
                    };
                    let field = format!("{} at {place}", apart.field);
                    Difference { field, expected: text(expected), got: text(got) }
                })
                .collect(),
        );
        Some(self.excuses.known.explain(&report, self.excuses.facts)?.to_string())
    }

    /// An entry for the case, where the deliveries differ in just what the judge on KVM names.
    fn explain_verdict(&self, kvm: usize, marks: [&Landmark; 2], differences: &[Apart]) -> Option<String> {
        let (ill, well) = (&self.seen[kvm].report, &self.seen[1 - kvm].report);
        if marks[0].doorbell != marks[1].doorbell || !is_done(marks[0]) || well.outcome != Outcome::Pass {
            return None;
        }
        let issue = self.excuses.known.explain(ill, self.excuses.facts)?;
        let fields = ill.differences.iter().map(|difference| difference.field.as_str());
        let named: BTreeSet<&str> = fields.filter(|field| *field != Field::Result.name()).collect();
        let of_event = differences.iter().filter(|apart| !LEFT_BY_JUDGES.contains(&apart.field.as_str()));
        let apart: BTreeSet<&str> = if marks[kvm].deliveries.is_empty() {
            // A delivery that never came differs in all of its fields; the judge says so in one word.
            of_event.map(event_field).filter(|field| !NAMES.contains(field)).collect()
        } else {
            of_event.map(event_field).collect()
        };
        (named == apart).then(|| issue.to_string())
    }

    /// What becomes of a comparison in which no doorbell differs, or only in known ways.
    pub(super) fn conclude(&self, mut comparison: Comparison) -> Comparison {
        let [first, second] = self.seen.map(|seen| &seen.report);
        let ends = self.seen.map(end);
        if ends[0] != ends[1] {
            let excuse = self.kvm().and_then(|kvm| {
                let well = &self.seen[1 - kvm].report;
                let issue = self.excuses.known.explain(&self.seen[kvm].report, self.excuses.facts)?;
                (well.outcome == Outcome::Pass).then(|| issue.to_string())
            });
            let [one, other] = ends;
            match excuse {
                Some(reason) => comparison.known.push(reason),
                None if first.outcome == Outcome::Error || second.outcome == Outcome::Error => {
                    let [a, b] = &comparison.machines;
                    let reason = format!("{a}: {one}; {b}: {other}");
                    return comparison.concluded(Outcome::Error, reason);
                }
                None => {
                    comparison.outcome = Outcome::Fail;
                    comparison.at = Some("the end".to_owned());
                    let (first, second) = (Some(one), Some(other));
                    comparison.differences.push(Apart { field: "end".to_owned(), first, second });
                    return comparison;
                }
            }
        } else if !self.seen[0].landmarks.last().is_some_and(is_done) {
            // Both ended alike before anything was delivered: there is nothing to compare.
            let outcome = if first.outcome == Outcome::Skip { Outcome::Skip } else { Outcome::Error };
            let [reason, _] = ends;
            return comparison.concluded(outcome, format!("on both machines: {reason}"));
        }
        if !comparison.known.is_empty() {
            comparison.outcome = Outcome::Known;
        }
        comparison
    }
}

fn is_done(landmark: &Landmark) -> bool {
    landmark.doorbell.starts_with("Done")
}

/// How a case ended: at `Done`, or why not.
fn end(seen: &Observation) -> String {
    match &seen.report.reason {
        Some(reason) => reason.clone(),
        None if seen.landmarks.last().is_some_and(is_done) => "Done".to_owned(),
        None => "before Done".to_owned(),
    }
}

/// A delivery's field without the number of the delivery; any other name as it is.
fn event_field(apart: &Apart) -> &str {
    apart.field.split_once(": ").map_or(apart.field.as_str(), |(_, field)| field)
}

/// What differs at `Done` because one judge has found something and the other has not.
const LEFT_BY_JUDGES: [&str; 18] = [
    "verdict",
    "compared fields",
    "mismatches",
    "RAX",
    "RBX",
    "RCX",
    "RDX",
    "RSI",
    "RDI",
    "RBP",
    "R8",
    "R9",
    "R10",
    "R11",
    "R12",
    "R13",
    "R14",
    "R15",
];
