//! A selection that is much smaller than everything: each event meets each stop, and each case meets
//! [`EACH_CASE`].
//!
//! Where a stop has several actions, the events share them. Storms are left out: they need time, and an emulator, for
//! which this selection is, has little.

use super::{Action, DeliveryMode, Plan, Scenario, Stop};
use crate::image::{Case, Image};
use fred::event::EventType;
use protocol::note::CaseFlags;
use std::collections::{BTreeMap, HashMap};

/// What each case meets; one that cannot meets its first plan.
pub const EACH_CASE: &str = "block@frame:migrate";

/// What is delivered, as far as a hypervisor handles one otherwise than another: the vector of an exception that the
/// processor raises, the type alone of an event that an instruction or the host asks for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    event_type: EventType,
    vector: Option<u8>,
    /// Whether it is met while another event is delivered.
    nested: bool,
}

/// Where it is stopped: with FRED or the IDT, with KVM_CAP_EXCEPTION_PAYLOAD or without.
type StopOf = (DeliveryMode, bool, Met);

/// A plan without its action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Met {
    Cold,
    None,
    /// A stop with another number is the same stop.
    Stop(Stop),
}

/// The places in a list of scenarios.
type Places = Vec<usize>;

/// Which of `scenarios` (image index and scenario) are in the selection.
pub fn cover(images: &[Image], scenarios: &[(usize, Scenario)]) -> Vec<bool> {
    let mut chosen = vec![false; scenarios.len()];
    for place in one_of_each_case(scenarios).chain(one_of_each_event(images, scenarios)) {
        chosen[place] = true;
    }
    chosen
}

fn one_of_each_case(scenarios: &[(usize, Scenario)]) -> impl Iterator<Item = usize> {
    let each_case = each_case();
    let mut cases: BTreeMap<(&str, &str, DeliveryMode), usize> = BTreeMap::new();
    for (first, delivered) in of_one_case(scenarios, |scenario| scenario.delivery) {
        let scenario = &delivered[0].1;
        let case = (scenario.image.as_str(), scenario.case.as_str(), scenario.delivery);
        let chosen = cases.entry(case).or_insert(first);
        let is_wanted = |(_, one): &(usize, Scenario)| one.payload && Some(one.plan) == each_case;
        if let Some(place) = delivered.iter().position(is_wanted) {
            *chosen = first + place;
        }
    }
    cases.into_values()
}

/// The scenarios in runs of the same image and case, and the same `part` of it, each with the place of its first one:
/// they come in this order, and there are hundreds of a case.
fn of_one_case<P: PartialEq>(
    scenarios: &[(usize, Scenario)],
    part: impl Fn(&Scenario) -> P,
) -> impl Iterator<Item = (usize, &[(usize, Scenario)])> {
    let same = move |(of, one): &(usize, Scenario), (of_other, other): &(usize, Scenario)| {
        of == of_other && one.case == other.case && part(one) == part(other)
    };
    scenarios.chunk_by(same).scan(0, |next, run| {
        let first = *next;
        *next += run.len();
        Some((first, run))
    })
}

fn each_case() -> Option<Plan> {
    let (stop, action) = EACH_CASE.split_once(':')?;
    Some(Plan::Cut(stop.parse().ok()?, action.parse().ok()?))
}

fn one_of_each_event(images: &[Image], scenarios: &[(usize, Scenario)]) -> impl Iterator<Item = usize> {
    let mut events: HashMap<StopOf, BTreeMap<Kind, Places>> = HashMap::new();
    for (first, at_one_stop) in of_one_case(scenarios, stop_of) {
        let (image, scenario) = &at_one_stop[0];
        let case = images[*image].case(&scenario.case).map(|(_, case)| case);
        if let Some(kind) = case.and_then(kind).filter(|_| !scenario.depends_on_time()) {
            let places = events.entry(stop_of(scenario)).or_default().entry(kind).or_default();
            places.extend(first..first + at_one_stop.len());
        }
    }
    events.into_values().flat_map(move |events| of_stop(images, scenarios, &events))
}

/// One scenario of each event that meets a stop, and one of each action that these leave out: where there are fewer
/// events than actions.
fn of_stop(images: &[Image], scenarios: &[(usize, Scenario)], events: &BTreeMap<Kind, Places>) -> Places {
    let mut done: Vec<Option<Action>> = Vec::new();
    let one = |places: &Places| of_simplest_case(images, scenarios, places, &mut done);
    let mut chosen: Places = events.values().filter_map(one).collect();
    for &place in events.values().flatten() {
        let action = scenarios[place].1.plan.action();
        if !done.contains(&action) {
            done.push(action);
            chosen.push(place);
        }
    }
    chosen
}

/// The scenario of the case that needs least, with the action that was `done` least often.
fn of_simplest_case(
    images: &[Image],
    scenarios: &[(usize, Scenario)],
    places: &[usize],
    done: &mut Vec<Option<Action>>,
) -> Option<usize> {
    let needs = |place: &usize| {
        let (image, scenario) = &scenarios[*place];
        images[*image].case(&scenario.case).map_or(0, |(_, case)| case.needs.bits().count_ones())
    };
    let simplest = &scenarios[*places.iter().min_by_key(|place| needs(place))?].1;
    let same = |place: &&usize| {
        let scenario = &scenarios[**place].1;
        scenario.image == simplest.image && scenario.case == simplest.case
    };
    let action = |place: &usize| scenarios[*place].1.plan.action();
    let times = |place: &&usize| done.iter().filter(|done| **done == action(place)).count();
    let chosen = places.iter().filter(same).min_by_key(times).copied()?;
    done.push(action(&chosen));
    Some(chosen)
}

fn stop_of(scenario: &Scenario) -> StopOf {
    let met = match scenario.plan {
        Plan::Cut(stop, _) => Met::Stop(stop.asked()),
        Plan::Cold => Met::Cold,
        Plan::None => Met::None,
    };
    (scenario.delivery, scenario.payload, met)
}

fn kind(case: &Case) -> Option<Kind> {
    let (event_type, vector) = case.event?;
    Some(Kind {
        event_type,
        vector: (event_type == EventType::HardwareException).then_some(vector),
        nested: case.flags.contains(CaseFlags::NESTED),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images;
    use crate::scenario::all;
    use std::collections::BTreeSet;

    fn everything() -> (Vec<Image>, Vec<(usize, Scenario)>) {
        let images = images::load(&[]).unwrap();
        let of_image = |(index, image)| all(image).into_iter().map(move |scenario| (index, scenario));
        let scenarios = images.iter().enumerate().flat_map(of_image).collect();
        (images, scenarios)
    }

    #[test]
    fn each_event_meets_each_stop_that_it_can() {
        let (images, scenarios) = everything();
        let chosen = cover(&images, &scenarios);
        let events = [
            "pf/read-unmapped",
            "db/single-step",
            "nm/ts-fninit",
            "gp/not-canonical",
            "gp/not-present",
            "gp/stack-not-present",
            "ud/ud2",
            "ud/divide",
            "soft/int3",
            "soft/int1",
            "soft/int-n",
            "nmi/nmi",
            "nmi/interrupt",
            "nested/ud-level1",
            "nested/pf-df-level2",
            "syscall/syscall-ring0",
        ];
        for event in events {
            let (image, case) = event.split_once('/').unwrap();
            let image = images.iter().find(|other| other.name == image).unwrap();
            let wanted = kind(image.case(case).unwrap().1).unwrap();
            let met = |only_chosen: bool| -> BTreeSet<StopOf> {
                let of_event = scenarios.iter().zip(&chosen).filter(|((image, scenario), chosen)| {
                    let (_, case) = images[*image].case(&scenario.case).unwrap();
                    !scenario.depends_on_time() && kind(case) == Some(wanted) && (**chosen || !only_chosen)
                });
                of_event.map(|((_, scenario), _)| stop_of(scenario)).collect()
            };
            assert!(met(false).len() > 8, "{event}: {:?}", met(false));
            assert_eq!(met(true), met(false), "{event}");
        }
    }

    #[test]
    fn each_case_is_there_and_it_is_a_small_part() {
        let (images, scenarios) = everything();
        let chosen = cover(&images, &scenarios);
        let ids: Vec<String> = scenarios.iter().map(|(_, scenario)| scenario.to_string()).collect();
        let chosen: BTreeSet<&str> =
            ids.iter().zip(&chosen).filter(|(_, chosen)| **chosen).map(|(id, _)| id.as_str()).collect();
        for id in ids.iter().filter(|id| id.ends_with(":block@frame:migrate") && !id.contains(":nopayload:"))
        {
            assert!(chosen.contains(id.as_str()), "{id}");
        }
        for (_, scenario) in &scenarios {
            let case = format!("{}:", scenario.case_name());
            assert!(chosen.iter().any(|id| id.starts_with(&case)), "{case}");
        }
        assert!(chosen.len() * 3 < ids.len(), "{} of {}", chosen.len(), ids.len());
    }

    #[test]
    fn each_action_of_a_stop_is_met() {
        let (images, scenarios) = everything();
        let chosen = cover(&images, &scenarios);
        let plans = |only_chosen: bool| -> BTreeSet<String> {
            let some = scenarios
                .iter()
                .zip(&chosen)
                .filter(|((_, scenario), chosen)| !scenario.depends_on_time() && (**chosen || !only_chosen));
            some.map(|((_, scenario), _)| format!("{}:{}", scenario.delivery, scenario.plan)).collect()
        };
        let all = plans(false);
        let met = plans(true);
        let missed: Vec<&String> = all.difference(&met).collect();
        assert_eq!(missed, Vec::<&String>::new());
    }
}
