//! Which differences are explained: those that known-issues.toml describes, exactly.
//!
//! - An entry for the stop `compare` explains a doorbell where just that differs.
//! - At `Done`, an entry for the case's cold scenario does, where the fields of the captured deliveries
//!   that differ are just those that the judge on KVM complains of. Its verdict, and the general
//!   registers, which a judge changes when it finds a difference, may then differ too. What
//!   the act itself left, the field `result` and those after a return, is seen by the judge alone, and so is what
//!   images do not print where only that is compared.
//! - Such an entry also explains a guest that ends before `Done`.
//!
//! Only a machine with known issues is excused, and only where the other one, which has none, passes.

use super::{Comparison, MachineDifference, printed};
use crate::compare::observe::{Observation, Observations};
use crate::compare::pair::Pair;
use crate::machines::{Described, Description};
use crate::report::QUADWORDS;
use crate::report::known::{By, Entry, Failure, KnownIssues, Of};
use crate::report::{Cited, Difference, Field, Finding, HostFacts, Outcome, Seen, When, reason};
use crate::scenario::Scenario;
use protocol::doorbell::Doorbell;
use protocol::field::Field as Judged;
use protocol::mailbox::RETURNED;
use std::collections::{BTreeSet, HashSet};
use vm::Value;

/// The known issues and the host they apply to.
#[derive(Debug)]
pub struct Excuses<'a> {
    /// The list.
    pub known: &'a KnownIssues,
    /// This host.
    pub facts: &'a HostFacts,
}

/// Known issues of comparisons alone that hold on this host, concern a case that was compared to its
/// end, and explained nothing: what is wrong with the list, a sentence each. `machine` is whose issues they
/// are.
pub(crate) fn not_shown(
    machine: &Description,
    compared: &[(&Scenario, &Comparison)],
    excuses: &Excuses<'_>,
) -> Vec<Finding> {
    let ended = |comparison: &Comparison| matches!(comparison.outcome, Outcome::Pass | Outcome::Known);
    let shown: BTreeSet<&Cited> = compared.iter().flat_map(|(_, comparison)| &comparison.known).collect();
    let concerns = |issue: &Entry, scenario: &Scenario| {
        let machine = machine.quirks().name;
        issue.concerns(Of { machine, scenario, by: By::Compare }, excuses.facts)
    };
    let of_compare =
        excuses.known.issues.iter().filter(|issue| issue.is_for_compare() && !issue.intermittent);
    of_compare
        .filter(|issue| compared.iter().any(|(scenario, one)| ended(one) && concerns(issue, scenario)))
        .filter(|issue| !shown.contains(&issue.cited()))
        .map(Entry::not_shown)
        .collect()
}

/// Decides whether a difference is a known issue.
pub(super) struct Judge<'a> {
    pub(super) pair: &'a Pair,
    pub(super) scenario: &'a Scenario,
    pub(super) seen: [&'a Observations; 2],
    pub(super) excuses: &'a Excuses<'a>,
}

impl Judge<'_> {
    /// The known issue that explains everything that differs at a doorbell.
    pub(super) fn explain(
        &self,
        first: &Observation,
        second: &Observation,
        differences: &[MachineDifference],
    ) -> Option<Cited> {
        let kvm = self.pair.excusable()?;
        self.explain_doorbell(kvm, first.when()?.into(), differences)
            .or_else(|| self.explain_verdict(kvm, [first, second], differences))
    }

    /// An entry that describes all that differs at a doorbell.
    fn explain_doorbell(&self, kvm: usize, when: When, differences: &[MachineDifference]) -> Option<Cited> {
        let value = |value: Option<u64>| value.map_or(Value::Nothing, Value::Number);
        let on_kvm = |difference: &MachineDifference| match *difference {
            MachineDifference::Number { field, first, second } => {
                let (got, expected) = if kvm == 0 { (first, second) } else { (second, first) };
                let field = Field::Seen(field, when);
                Some(Difference { field, expected: value(expected), got: value(got) })
            }
            MachineDifference::End(_) => None,
        };
        let differences: Vec<Difference> = differences.iter().map(on_kvm).collect::<Option<_>>()?;
        self.known(By::Compare, Failure { differences: &differences, why: None })
    }

    /// The issue of the machine that may have some that describes a failure.
    fn known(&self, by: By, failure: Failure<'_>) -> Option<Cited> {
        let machine = self.pair.known()?.quirks().name;
        let of = Of { machine, scenario: self.scenario, by };
        self.excuses.known.explain(of, failure, &[self.excuses.facts]).map(Entry::cited)
    }

    /// An entry for the case, where the deliveries differ in just what the judge on KVM names.
    fn explain_verdict(
        &self,
        kvm: usize,
        marks: [&Observation; 2],
        differences: &[MachineDifference],
    ) -> Option<Cited> {
        let (failed, passed) = (&self.seen[kvm].report, &self.seen[1 - kvm].report);
        if marks[0].doorbell != marks[1].doorbell || !is_done(marks[0]) || passed.outcome != Outcome::Pass {
            return None;
        }
        let issue = self.known(By::Judge, failed.into())?;
        let of_deliveries = failed.differences.iter().filter(|one| one.field.delivery() != Some(RETURNED));
        let judged: Option<HashSet<Judged>> = of_deliveries.map(|one| one.field.of_judge()).collect();
        let mut named = judged?;
        named.remove(&Judged::Result);
        if self.pair.any(|quirks| !quirks.stops) {
            named.retain(|field| printed::PRINTED.iter().any(|at| QUADWORDS[*at].0 == Some(*field)));
        }
        // A delivery that only one machine has differs in all of its fields, and in what it writes; the judge reports one
        // finding. Of a frame of another vector, or at another instruction, it
        // compares what its own event has.
        let [came, due] = [kvm, 1 - kvm].map(|side| marks[side].deliveries.len());
        let of_one_machine = |field: Seen| match field {
            Seen::Captured { delivery, .. } => (came.min(due)..came.max(due)).contains(&delivery),
            Seen::Register(_) | Seen::Mailbox(_) | Seen::Doorbell => came != due && field.is_of_delivery(),
        };
        let another_event = |field: Seen| {
            let Seen::Captured { delivery, .. } = field else { return false };
            let is_named = |judged: Judged| {
                let named = Field::judged(judged, u32::try_from(delivery).ok());
                failed.differences.iter().any(|one| one.field == named)
            };
            let is_another = is_named(Judged::Vector) || is_named(Judged::Rip);
            is_another && field.of_judge().is_none_or(|judged| !named.contains(&judged))
        };
        let (mut seen, mut unjudged) = (HashSet::new(), Vec::new());
        for difference in differences {
            match difference {
                MachineDifference::Number { field, .. }
                    if field.is_left_by_judges() || of_one_machine(*field) || another_event(*field) => {}
                MachineDifference::Number { field, .. } => match field.of_judge() {
                    Some(judged) => _ = seen.insert(judged),
                    None => unjudged.push(difference.clone()),
                },
                MachineDifference::End(_) => unjudged.push(difference.clone()),
            }
        }
        // What no judge looks at, as TR that an instruction has loaded where it should have faulted, needs an entry of its own.
        if !unjudged.is_empty() {
            self.explain_doorbell(kvm, marks[0].when()?.into(), &unjudged)?;
        }
        (named == seen).then_some(issue)
    }

    /// Concludes a comparison in which no doorbell differs, or only in known ways.
    pub(super) fn conclude(&self, mut comparison: Comparison) -> Comparison {
        let [first, second] = self.seen.map(|seen| &seen.report);
        let ends = self.seen.map(end);
        if ends[0] != ends[1] {
            let excuse = self.pair.excusable().and_then(|kvm| {
                let passed = &self.seen[1 - kvm].report;
                let issue = self.known(By::Judge, (&self.seen[kvm].report).into())?;
                (passed.outcome == Outcome::Pass).then_some(issue)
            });
            let [one, other] = ends;
            match excuse {
                Some(reason) => comparison.known.push(reason),
                None if first.outcome == Outcome::Error || second.outcome == Outcome::Error => {
                    let [a, b] = &comparison.machines;
                    let reason = format!("{a}: {one}; {b}: {other}");
                    return comparison.concluded(Outcome::Error, Finding::program(reason));
                }
                None => {
                    comparison.outcome = Outcome::Fail;
                    comparison.at = Some("the end".to_owned());
                    comparison.differences.push(MachineDifference::End([one, other]));
                    return comparison;
                }
            }
        } else if !came_to_its_end(self.seen[0]) {
            // Both ended alike before anything was delivered: there is nothing to compare.
            let outcome = if first.outcome == Outcome::Skip { Outcome::Skip } else { Outcome::Error };
            let [reason, _] = ends;
            let why = Finding::program(format!("on both machines: {reason}"));
            return comparison.concluded(outcome, why);
        }
        if !comparison.known.is_empty() {
            comparison.outcome = Outcome::Known;
        }
        comparison
    }
}

fn is_done(observation: &Observation) -> bool {
    matches!(observation.when(), Some(Doorbell::Done(_)))
}

/// A case that passes without `Done` is one in which the guest must be shut down.
fn came_to_its_end(seen: &Observations) -> bool {
    seen.observations.last().is_some_and(is_done) || seen.report.outcome == Outcome::Pass
}

/// How a case ended: at `Done`, by a shutdown, or why not.
fn end(seen: &Observations) -> String {
    match reason(&seen.report) {
        Some(reason) => reason,
        None if seen.observations.last().is_some_and(is_done) => "Done".to_owned(),
        None if came_to_its_end(seen) => "a shutdown".to_owned(),
        None => "before Done".to_owned(),
    }
}
