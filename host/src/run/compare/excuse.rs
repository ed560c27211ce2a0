//! Which differences are explained: those that known-issues.toml describes, exactly.
//!
//! - An entry for the stop `compare` explains a doorbell where just that differs.
//! - At `Done`, an entry for the case's cold scenario does, where the fields of the captured deliveries
//!   that differ are just those that the judge on KVM complains of. Its verdict, and the general
//!   registers, which a judge leaves otherwise when it has found something, may then differ too.
//! - Such an entry also explains a guest that ends before `Done`.
//!
//! Only KVM is excused, and only where the model beside it passes.

use super::{Apart, Comparison};
use crate::decode::NAMES;
use crate::facts::HostFacts;
use crate::known::{self, KnownIssue, KnownIssues};
use crate::result::{Difference, Outcome, Report};
use crate::run::observe::{Landmark, Observation};
use crate::run::pair::{Pair, Subject};
use crate::scenario::Scenario;
use std::collections::BTreeSet;

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
    let concerns = |issue: &KnownIssue, scenario: &Scenario| {
        let mut report = Report::new(scenario, "kvm", None);
        report.stop = STOP.to_owned();
        issue.concerns(&report, excuses.facts)
    };
    let of_compare = excuses.known.issues.iter().filter(|issue| issue.is_for_compare());
    of_compare
        .filter(|issue| compared.iter().any(|(scenario, one)| ended(one) && concerns(issue, scenario)))
        .filter(|issue| !shown.contains(issue.to_string().as_str()))
        .map(known::not_shown)
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
        let named: BTreeSet<&str> = ill.differences.iter().map(|d| d.field.as_str()).collect();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::observe::DELIVERY_WORDS;

    const LIST: &str = r#"
        [[issue]]
        name = "cr2"
        machine = "kvm"
        cases = ["pf/x:idt"]
        stops = ["cold"]
        failure = "CR2 expected 0x7, got 0x20"
        host = { kvm_module = ["kvm"] }
        reason = "it is so"
        reference = "here"

        [[issue]]
        name = "never"
        machine = "kvm"
        cases = ["pf/x:idt"]
        stops = ["cold"]
        failure = "entries expected 0x1, got 0x0"
        host = { kvm_module = ["kvm"] }
        reason = "it is so"
        reference = "here"

        [[issue]]
        name = "rsi"
        machine = "kvm"
        cases = ["*/*:idt"]
        stops = ["compare"]
        failure = "RSI at Ready expected 0x1, got 0x2"
        host = { kvm_module = ["kvm"] }
        reason = "it is so"
        reference = "here"
    "#;

    const CR2: usize = 13;
    const DR6: usize = 14;

    fn scenario() -> Scenario {
        "pf/x:idt:cold".parse().unwrap()
    }

    fn pair() -> Pair {
        Pair([Subject::Kvm, Subject::Model("payload-reuse".to_owned())])
    }

    /// A guest whose registers are 1 but for RSI.
    fn mark(doorbell: &str, rsi: u64) -> Landmark {
        let named = |name: &str, value| (name.to_owned(), value);
        Landmark {
            doorbell: doorbell.to_owned(),
            registers: vec![named("RSI", rsi), named("CR0", 1)],
            mailbox: vec![named("entries", 0), named("verdict", 0)],
            deliveries: Vec::new(),
        }
    }

    /// A guest at `Done` with one delivery, whose quadwords are 7 but for `words`.
    fn done(verdict: u64, words: &[(usize, u64)]) -> Landmark {
        let mut delivery = [7; DELIVERY_WORDS];
        for (word, value) in words {
            delivery[*word] = *value;
        }
        let mailbox = vec![("entries".to_owned(), 1), ("verdict".to_owned(), verdict)];
        Landmark { mailbox, deliveries: vec![delivery], ..mark("Done(0)", verdict) }
    }

    fn seen(landmark: &Landmark, wrong: &[(&str, &str, &str)]) -> Observation {
        let mut report = Report::new(&scenario(), "kvm", None);
        report.outcome = if wrong.is_empty() { Outcome::Pass } else { Outcome::Fail };
        let difference = |(field, expected, got): &(&str, &str, &str)| Difference {
            field: (*field).to_owned(),
            expected: (*expected).to_owned(),
            got: (*got).to_owned(),
        };
        report.set_differences(wrong.iter().map(difference).collect());
        Observation { landmarks: vec![landmark.clone()], report }
    }

    /// The issue that explains what `kvm` has other than the model, with the judge's words on KVM.
    fn excuse(
        pair: &Pair,
        module: &str,
        marks: [Landmark; 2],
        wrong: &[(&str, &str, &str)],
    ) -> Option<String> {
        let known = KnownIssues::parse(LIST).unwrap();
        let facts = HostFacts { kvm_module: module.to_owned(), ..HostFacts::default() };
        let excuses = Excuses { known: &known, facts: &facts };
        let (ill, well) = (seen(&marks[0], wrong), seen(&marks[1], &[]));
        let judge = Judge { pair, scenario: &scenario(), seen: [&ill, &well], excuses: &excuses };
        let differences = super::super::differences(&marks[0], &marks[1], &mut 0);
        assert!(!differences.is_empty());
        judge.explain(&marks[0], &marks[1], &differences)
    }

    #[test]
    fn only_what_an_entry_describes_is_explained_at_a_doorbell() {
        let of = |module, kvm: Landmark, model| excuse(&pair(), module, [kvm, model], &[]);
        assert!(of("kvm", mark("Ready", 2), mark("Ready", 1)).is_some_and(|why| why.starts_with("rsi: ")));
        assert_eq!(of("kvm", mark("Ready", 3), mark("Ready", 1)), None, "another value");
        assert_eq!(of("kvm", mark("Armed(0)", 2), mark("Armed(0)", 1)), None, "another doorbell");
        assert_eq!(of("kvm_x", mark("Ready", 2), mark("Ready", 1)), None, "another host");
        let mut more = mark("Ready", 2);
        more.registers[1].1 = 9;
        assert_eq!(of("kvm", more, mark("Ready", 1)), None, "another register as well");
        let models = Pair([Subject::Model("stock".to_owned()), Subject::Model("stock".to_owned())]);
        assert_eq!(excuse(&models, "kvm", [mark("Ready", 2), mark("Ready", 1)], &[]), None, "the model");
    }

    #[test]
    fn at_done_the_judge_must_have_named_just_what_differs() {
        let wrong = [("CR2", "0x7", "0x20")];
        let of = |kvm, wrong: &[_]| excuse(&pair(), "kvm", [kvm, done(1, &[])], wrong);
        assert!(of(done(2, &[(CR2, 0x20)]), &wrong).is_some_and(|why| why.starts_with("cr2: ")));
        assert_eq!(of(done(2, &[(CR2, 0x20), (DR6, 1)]), &wrong), None, "DR6 as well");
        assert_eq!(of(done(2, &[]), &wrong), None, "CR2 does not differ");
        assert_eq!(of(done(2, &[(CR2, 0x20)]), &[("CR2", "0x7", "0x21")]), None, "not the entry's failure");
        let mut system = done(2, &[(CR2, 0x20)]);
        system.registers[1].1 = 9;
        assert_eq!(of(system, &wrong), None, "CR0 is left by no judge");
    }

    #[test]
    fn a_delivery_that_never_came_differs_in_every_field() {
        let wrong = [("entries", "0x1", "0x0")];
        let mut none = done(2, &[]);
        none.deliveries.clear();
        none.mailbox[0].1 = 0;
        let marks = |kvm| [kvm, done(1, &[])];
        assert!(excuse(&pair(), "kvm", marks(none.clone()), &wrong).is_some());
        none.registers[1].1 = 9;
        assert_eq!(excuse(&pair(), "kvm", marks(none), &wrong), None);
        let mut one = done(2, &[(CR2, 0x20)]);
        one.mailbox[0].1 = 0;
        assert_eq!(excuse(&pair(), "kvm", marks(one), &wrong), None, "a delivery came");
    }

    #[test]
    fn an_entry_that_explained_nothing_is_told() {
        let known = KnownIssues::parse(LIST).unwrap();
        let told = |module: &str, outcome, explained: &[&str]| {
            let facts = HostFacts { kvm_module: module.to_owned(), ..HostFacts::default() };
            let mut comparison = Comparison::new(&pair(), &scenario());
            comparison.outcome = outcome;
            comparison.known = explained.iter().map(|why| (*why).to_owned()).collect();
            not_shown(&[(&scenario(), &comparison)], &Excuses { known: &known, facts: &facts })
        };
        assert_eq!(told("kvm", Outcome::Pass, &[]).len(), 1);
        assert!(told("kvm", Outcome::Pass, &[])[0].contains("`rsi` did not show"));
        assert_eq!(told("kvm", Outcome::Known, &["rsi: it is so (here)"]), [""; 0]);
        assert_eq!(told("kvm", Outcome::Fail, &[]), [""; 0], "it may have come later");
        assert_eq!(told("kvm_x", Outcome::Pass, &[]), [""; 0]);
    }
}
