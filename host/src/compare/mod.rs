//! Two machines compared, doorbell by doorbell.
//!
//! Each runs a case from boot and leaves a [`Observation`] at each doorbell; observations are compared in
//! pairs. The first pair that differs in a way that nobody has explained ends the comparison of that
//! case; `excuse` says what explains a difference.

pub(crate) mod across;
mod comparison;
pub(crate) mod excuse;
pub mod observe;
pub(crate) mod pair;
pub(crate) mod printed;
#[cfg(test)]
mod tests;

pub use comparison::{Comparison, Decoded, MachineDifference};

use crate::compare::observe::{DELIVERY_WORDS, Observation, Observations, delivery};
use crate::compare::pair::Pair;
use crate::engine::plan::Abilities;
use crate::image::Image;
use crate::report::decode::decode;
use crate::report::{Outcome, QUADWORDS, Seen};
use crate::scenario::{self, DeliveryMode, Scenario};
use excuse::{Excuses, Judge};
use protocol::doorbell::Doorbell;
use protocol::field::Field;
use protocol::note::CaseFlags;

/// The scenarios to compare: each case from boot. Of the cases into which a host injects, those are
/// left out whose event comes while the delivery is stopped.
pub fn scenarios(image: &Image) -> Vec<Scenario> {
    let at_cut = CaseFlags::NMI_AT_CUT | CaseFlags::INTERRUPT_AT_CUT;
    let comes_before = |scenario: &Scenario| {
        image.case(&scenario.case).is_some_and(|(_, case)| !case.flags.intersects(at_cut))
    };
    scenario::cold(image).into_iter().filter(comes_before).collect()
}

/// Why a case cannot be compared; `None` when both machines can run it.
pub fn skip_reason(abilities: &[Abilities; 2], image: &Image, scenario: &Scenario) -> Option<String> {
    abilities.iter().find_map(|one| Some(format!("{} {}", one.machine(), one.lacks(image, scenario)?)))
}

impl Comparison {
    /// Compares what was seen.
    pub fn of(
        pair: &Pair,
        image: &Image,
        scenario: &Scenario,
        seen: [&Observations; 2],
        excuses: &Excuses<'_>,
    ) -> Self {
        let mut comparison = Self::new(pair, scenario);
        let quadwords: &[usize] =
            if pair.any(|quirks| !quirks.stops) { &printed::PRINTED } else { &printed::ALL };
        let judge = Judge { pair, scenario, seen, excuses };
        for (first, second) in seen[0].observations.iter().zip(&seen[1].observations) {
            let differences = differences(first, second, quadwords, &mut comparison.compared);
            if !differences.is_empty() {
                match judge.explain(first, second, &differences) {
                    Some(reason) => comparison.known.push(reason),
                    None => {
                        comparison.outcome = Outcome::Fail;
                        comparison.at = Some(doorbell_text(first.doorbell.into()));
                        comparison.differences = differences;
                        comparison.deliveries = decoded(first, second, quadwords, scenario, image);
                        return comparison;
                    }
                }
            }
            comparison.doorbells += 1;
        }
        judge.conclude(comparison)
    }
}

impl MachineDifference {
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
    doorbell.map_or(format!("{value:#x}"), |doorbell| doorbell.to_string())
}

/// Everything that differs at a doorbell, captured deliveries first: of them these quadwords.
fn differences(
    first: &Observation,
    second: &Observation,
    quadwords: &[usize],
    compared: &mut usize,
) -> Vec<MachineDifference> {
    let mut list = Vec::new();
    let mut compare = |field: Seen, first: Option<u64>, second: Option<u64>| {
        *compared += 1;
        if first != second {
            list.push(MachineDifference::Number { field, first, second });
        }
    };
    compare(Seen::Doorbell, Some(first.doorbell.into()), Some(second.doorbell.into()));
    for delivery in 0..first.deliveries.len().max(second.deliveries.len()) {
        for &quadword in quadwords {
            let of = |observation: &Observation| observation.deliveries.get(delivery)?.get(quadword).copied();
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
fn scheme_has(delivery: DeliveryMode, field: Option<Field>) -> bool {
    let of_fred = [Field::EventData, Field::Reserved, Field::Csl];
    delivery == DeliveryMode::Fred || !of_fred.iter().any(|one| Some(*one) == field)
}

fn decoded(
    first: &Observation,
    second: &Observation,
    quadwords: &[usize],
    scenario: &Scenario,
    image: &Image,
) -> Vec<Vec<Decoded>> {
    let words = |observation: &Observation, number: usize| {
        let captured = observation.deliveries.get(number)?;
        Some(decode(&delivery(captured), scenario.delivery, image))
    };
    (0..first.deliveries.len().max(second.deliveries.len()))
        .map(|number| {
            let (one, other) = (words(first, number), words(second, number));
            let of = |words: &Option<[String; DELIVERY_WORDS]>, index: usize| {
                words.as_ref().map(|w| w[index].clone())
            };
            let each = |index: usize| Decoded {
                field: QUADWORDS[index].1.to_owned(),
                first: of(&one, index),
                second: of(&other, index),
            };
            let is_of = |field: Option<Field>| scheme_has(scenario.delivery, field);
            quadwords.iter().copied().filter(|index| is_of(QUADWORDS[*index].0)).map(each).collect()
        })
        .collect()
}
