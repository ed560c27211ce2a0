//! Two machines compared, doorbell by doorbell.
//!
//! Each runs a case from boot and leaves a [`Landmark`] at each doorbell; landmarks are compared in
//! pairs. The first pair that differs in a way that nobody has explained ends the comparison of that
//! case. What known-issues.toml says of KVM explains a difference only exactly:
//!
//! - an entry for the stop `compare` whose failure is all that differs at a doorbell;
//! - at `Done`, an entry for the case's cold scenario, where the fields of the captured deliveries
//!   that differ are just those that the judge on KVM complains of. Its verdict, and the general
//!   registers, which a judge leaves otherwise when it has found something, may then differ too;
//! - such an entry also where the guest ends before `Done`.

use crate::decode::{NAMES, decode};
use crate::facts::HostFacts;
use crate::image::Image;
use crate::known::{self, KnownIssue, KnownIssues};
use crate::result::{Difference, Outcome, Report};
use crate::run::observe::{Landmark, Observation, delivery};
use crate::run::pair::{Pair, Subject};
use crate::run::plan::Abilities;
use crate::scenario::{self, Delivery, Plan, Scenario};
use protocol::note::CaseFlags;
use serde::Serialize;
use std::collections::BTreeSet;

/// What the report of a comparison has for a stop.
pub const STOP: &str = "compare";

/// What became of one case on two machines.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// `image/case:delivery`.
    pub id: String,
    /// The image's name.
    pub image: String,
    /// The case's name.
    pub case: String,
    /// `fred` or `idt`.
    pub delivery: String,
    /// The two machines.
    pub machines: [String; 2],
    /// Pass: no difference. Known: only differences that are known issues. Fail: a difference. Skip:
    /// not for both. Error: one of them came to no end.
    pub outcome: Outcome,
    /// Why, where it was skipped or came to no end.
    pub reason: Option<String>,
    /// The doorbell of the first difference that nobody has explained.
    pub at: Option<String>,
    /// What differed there.
    pub differences: Vec<Apart>,
    /// The deliveries captured until there, decoded, both machines' side by side.
    pub deliveries: Vec<Vec<Apart>>,
    /// Known issues that explain earlier differences, or all of them.
    pub known: Vec<String>,
    /// How many doorbells both rang alike.
    pub doorbells: usize,
    /// How many values were compared.
    pub compared: usize,
}

/// Something that both machines have; `None` where one has nothing of the kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Apart {
    /// Its name.
    pub field: String,
    /// What it is on the first machine.
    pub first: Option<String>,
    /// What it is on the second machine.
    pub second: Option<String>,
}

/// What differences are held against.
#[derive(Debug)]
pub struct Excuses<'a> {
    /// The list.
    pub known: &'a KnownIssues,
    /// This host.
    pub facts: &'a HostFacts,
}

/// The scenarios to compare: each case from boot. Of the cases into which a host injects, those are
/// left out whose event comes while the delivery is stopped.
pub fn scenarios(image: &Image) -> Vec<Scenario> {
    let at_cut = CaseFlags::NMI_AT_CUT | CaseFlags::INTERRUPT_AT_CUT;
    let mut list = Vec::new();
    for case in image.cases.iter().filter(|case| !case.flags.intersects(at_cut)) {
        for delivery in [Delivery::Fred, Delivery::Idt] {
            if scenario::is_possible(case, delivery) {
                let (image, case) = (image.name.clone(), case.name.clone());
                list.push(Scenario { image, case, delivery, payload: true, plan: Plan::Cold });
            }
        }
    }
    list
}

/// Why a case cannot be compared; `None` when both machines can run it.
pub fn skip_reason(abilities: &[Abilities; 2], image: &Image, scenario: &Scenario) -> Option<String> {
    abilities.iter().find_map(|one| Some(format!("{} {}", one.machine, one.lacks(image, scenario)?)))
}

impl Comparison {
    /// A comparison in which nothing has been compared yet.
    pub fn new(pair: &Pair, scenario: &Scenario) -> Self {
        Self {
            id: format!("{}/{}:{}", scenario.image, scenario.case, scenario.delivery),
            image: scenario.image.clone(),
            case: scenario.case.clone(),
            delivery: scenario.delivery.to_string(),
            machines: pair.0.clone().map(|subject| subject.to_string()),
            outcome: Outcome::Pass,
            reason: None,
            at: None,
            differences: Vec::new(),
            deliveries: Vec::new(),
            known: Vec::new(),
            doorbells: 0,
            compared: 0,
        }
    }

    /// The comparison with an outcome and its reason.
    #[must_use]
    pub fn concluded(self, outcome: Outcome, reason: String) -> Self {
        Self { outcome, reason: Some(reason), ..self }
    }

    /// Compares what was seen.
    pub fn of(
        pair: &Pair,
        image: &Image,
        scenario: &Scenario,
        seen: [&Observation; 2],
        excuses: &Excuses<'_>,
    ) -> Self {
        let mut comparison = Self::new(pair, scenario);
        let judge = Judge { pair, scenario, seen, excuses };
        for (first, second) in seen[0].landmarks.iter().zip(&seen[1].landmarks) {
            let differences = differences(first, second, &mut comparison.compared);
            if !differences.is_empty() {
                match judge.explain(first, second, &differences) {
                    Some(reason) => comparison.known.push(reason),
                    None => {
                        comparison.outcome = Outcome::Fail;
                        comparison.at = Some(first.doorbell.clone());
                        comparison.differences = differences;
                        comparison.deliveries = decoded(first, second, scenario, image);
                        return comparison;
                    }
                }
            }
            comparison.doorbells += 1;
        }
        judge.conclude(comparison)
    }
}

/// Everything that differs at a doorbell, captured deliveries first.
fn differences(first: &Landmark, second: &Landmark, compared: &mut usize) -> Vec<Apart> {
    let mut list = Vec::new();
    let mut compare = |field: String, one: Option<String>, other: Option<String>| {
        *compared += 1;
        if one != other {
            list.push(Apart { field, first: one, second: other });
        }
    };
    let hex = |value: &u64| format!("{value:#x}");
    compare("doorbell".to_owned(), Some(first.doorbell.clone()), Some(second.doorbell.clone()));
    for number in 0..first.deliveries.len().max(second.deliveries.len()) {
        for (word, name) in NAMES.iter().enumerate() {
            let of = |landmark: &Landmark| landmark.deliveries.get(number).map(|words| hex(&words[word]));
            compare(format!("delivery {number}: {name}"), of(first), of(second));
        }
    }
    for (one, other) in [(&first.mailbox, &second.mailbox), (&first.registers, &second.registers)] {
        for ((name, value), (_, other)) in one.iter().zip(other) {
            compare(name.clone(), Some(hex(value)), Some(hex(other)));
        }
    }
    list
}

fn decoded(first: &Landmark, second: &Landmark, scenario: &Scenario, image: &Image) -> Vec<Vec<Apart>> {
    let words = |landmark: &Landmark, number: usize| {
        let captured = landmark.deliveries.get(number)?;
        Some(decode(&delivery(captured), scenario.delivery, image))
    };
    (0..first.deliveries.len().max(second.deliveries.len()))
        .map(|number| {
            let (one, other) = (words(first, number), words(second, number));
            let of = |words: &Option<[String; 20]>, index: usize| words.as_ref().map(|w| w[index].clone());
            let each = |(index, name): (usize, &&str)| Apart {
                field: (*name).to_owned(),
                first: of(&one, index),
                second: of(&other, index),
            };
            NAMES.iter().enumerate().map(each).collect()
        })
        .collect()
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
struct Judge<'a> {
    pair: &'a Pair,
    scenario: &'a Scenario,
    seen: [&'a Observation; 2],
    excuses: &'a Excuses<'a>,
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

    fn explain(&self, first: &Landmark, second: &Landmark, differences: &[Apart]) -> Option<String> {
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
    fn conclude(&self, mut comparison: Comparison) -> Comparison {
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
