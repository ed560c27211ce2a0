//! Two machines compared, doorbell by doorbell.
//!
//! Each runs a case from boot and leaves a [`Landmark`] at each doorbell; landmarks are compared in
//! pairs. The first pair that differs in a way that nobody has explained ends the comparison of that
//! case; [`excuse`] says what explains a difference.

pub mod across;
pub mod excuse;
pub mod observe;
pub mod pair;
#[cfg(test)]
mod tests;

use crate::compare::observe::{Landmark, Observation, delivery};
use crate::compare::pair::Pair;
use crate::engine::plan::Abilities;
use crate::image::Image;
use crate::report::decode::decode;
use crate::report::difference::{QUADWORDS, Seen};
use crate::report::outcome::{Outcome, denied};
use crate::scenario::{self, Delivery, Plan, Scenario};
use excuse::{Excuses, Judge};
use protocol::doorbell::Doorbell;
use protocol::field::Field;
use protocol::note::CaseFlags;
use serde::Serialize;

/// What became of one case on two machines.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The case, from boot.
    pub scenario: Scenario,
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
    pub deliveries: Vec<Vec<Decoded>>,
    /// Known issues that explain earlier differences, or all of them.
    pub known: Vec<String>,
    /// How many doorbells both rang alike.
    pub doorbells: usize,
    /// How many values were compared.
    pub compared: usize,
}

/// Something that both machines have; `None` where one has nothing of the kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Apart {
    /// A number.
    Number {
        /// What it is of.
        field: Seen,
        /// What it is on the first machine.
        first: Option<u64>,
        /// What it is on the second machine.
        second: Option<u64>,
    },
    /// How the two ended, in words.
    End([String; 2]),
}

/// A field of both machines, in words; `None` where one has nothing of the kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decoded {
    /// Its name.
    pub field: String,
    /// What it is on the first machine.
    pub first: Option<String>,
    /// What it is on the second machine.
    pub second: Option<String>,
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
    abilities.iter().find_map(|one| Some(format!("{} {}", one.machine(), one.lacks(image, scenario)?)))
}

impl Comparison {
    /// A comparison in which nothing has been compared yet.
    pub fn new(pair: &Pair, scenario: &Scenario) -> Self {
        Self {
            scenario: scenario.clone(),
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

    /// Models can do everything: what two of them skip, they fail to do.
    pub fn deny_skip(&mut self) {
        if self.outcome == Outcome::Skip {
            self.outcome = Outcome::Fail;
            self.reason = Some(denied(self.reason.as_deref()));
        }
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
                        comparison.at = Some(doorbell_text(first.doorbell.into()));
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

impl Apart {
    /// In words.
    pub fn decoded(&self) -> Decoded {
        match self {
            Self::Number { field, first, second } => {
                let text = |value: u64| match field {
                    Seen::Doorbell => doorbell_text(value),
                    Seen::Captured { .. } | Seen::Mailbox(_) | Seen::Register(_) => format!("{value:#x}"),
                };
                Decoded { field: field.to_string(), first: first.map(text), second: second.map(text) }
            }
            Self::End(ends) => {
                let [first, second] = ends.clone().map(Some);
                Decoded { field: "end".to_owned(), first, second }
            }
        }
    }
}

/// A doorbell in words: `Ready`, `Armed(2)`, `Done(2)`.
pub(crate) fn doorbell_text(value: u64) -> String {
    let doorbell = u32::try_from(value).ok().and_then(Doorbell::decode);
    doorbell.map_or(format!("{value:#x}"), |doorbell| format!("{doorbell:?}"))
}

/// Everything that differs at a doorbell, captured deliveries first.
fn differences(first: &Landmark, second: &Landmark, compared: &mut usize) -> Vec<Apart> {
    let mut list = Vec::new();
    let mut compare = |field: Seen, first: Option<u64>, second: Option<u64>| {
        *compared += 1;
        if first != second {
            list.push(Apart::Number { field, first, second });
        }
    };
    compare(Seen::Doorbell, Some(first.doorbell.into()), Some(second.doorbell.into()));
    for delivery in 0..first.deliveries.len().max(second.deliveries.len()) {
        for quadword in 0..QUADWORDS.len() {
            let of = |landmark: &Landmark| landmark.deliveries.get(delivery).map(|words| words[quadword]);
            compare(Seen::Captured { delivery, quadword }, of(first), of(second));
        }
    }
    for ((field, one), (_, other)) in first.numbers().zip(second.numbers()) {
        compare(field, Some(one), Some(other));
    }
    list
}

/// Whether a delivery of this kind has such a field at all: the IDT's frame has neither event data nor
/// a last quadword, and no stack level.
fn scheme_has(delivery: Delivery, field: Option<Field>) -> bool {
    let of_fred = [Field::EventData, Field::Reserved, Field::Csl];
    delivery == Delivery::Fred || !of_fred.iter().any(|one| Some(*one) == field)
}

fn decoded(first: &Landmark, second: &Landmark, scenario: &Scenario, image: &Image) -> Vec<Vec<Decoded>> {
    let words = |landmark: &Landmark, number: usize| {
        let captured = landmark.deliveries.get(number)?;
        Some(decode(&delivery(captured), scenario.delivery, image))
    };
    (0..first.deliveries.len().max(second.deliveries.len()))
        .map(|number| {
            let (one, other) = (words(first, number), words(second, number));
            let of = |words: &Option<[String; 20]>, index: usize| words.as_ref().map(|w| w[index].clone());
            let each = |(index, (_, name)): (usize, (Option<Field>, &str))| Decoded {
                field: name.to_owned(),
                first: of(&one, index),
                second: of(&other, index),
            };
            let is_of = |field: Option<Field>| scheme_has(scenario.delivery, field);
            QUADWORDS.into_iter().enumerate().filter(|(_, (field, _))| is_of(*field)).map(each).collect()
        })
        .collect()
}
