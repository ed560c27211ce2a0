//! Every scenario of an image.

use super::applies::applies;
use super::{Action, Delivery, Place, Plan, Scenario, Stop};
use crate::image::{Case, Image};
use protocol::need::Needs;
use protocol::note::CaseFlags;

/// What is done at a cut, in the order of severity.
pub const ACTIONS: [Action; 4] = [Action::RESUME, Action::MIGRATE, Action::DISTURB, Action::MIGRATE_DISTURB];

/// The same where another kind of stop has been through all of it, with one thing of each kind.
const FEWER: [Action; 2] = [Action::RESUME, Action::MIGRATE_DISTURB];
/// Where registers must be left alone.
const UNDISTURBED: [Action; 2] = [Action::RESUME, Action::MIGRATE];
/// An entry abandoned, or a page refused, again and again.
const AGAIN: Action = Action { again: 3, ..Action::MIGRATE };

/// Every scenario of an image, in a fixed order: by case, delivery, payload, plan.
pub fn all(image: &Image) -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for case in &image.cases {
        for delivery in [Delivery::Fred, Delivery::Idt] {
            for payload in [true, false] {
                let plans = if payload { with_payload(case) } else { without_payload() };
                for plan in plans.into_iter().filter(|plan| applies(case, delivery, payload, *plan)) {
                    scenarios.push(Scenario {
                        image: image.name.clone(),
                        case: case.name.clone(),
                        delivery,
                        payload,
                        plan,
                    });
                }
            }
        }
    }
    scenarios
}

/// What a scenario needs of the machine beyond what every machine has.
pub fn needs(case: &Case, delivery: Delivery) -> Needs {
    match delivery {
        Delivery::Fred => case.needs | Needs::FRED,
        Delivery::Idt => case.needs,
    }
}

/// The plans with KVM_CAP_EXCEPTION_PAYLOAD, which may or may not apply to the case.
fn with_payload(case: &Case) -> Vec<Plan> {
    let mut plans = vec![Plan::Cold, Plan::None];
    let mut cut = |stop, actions: &[Action]| {
        plans.extend(actions.iter().map(|action| Plan::Cut(stop, *action)));
    };
    for stop in [Stop::Block(Place::Frame), Stop::Cancel, Stop::Io] {
        cut(stop, &ACTIONS);
        cut(stop, &[Action::MIGRATE_PROCESS]);
        if stop != Stop::Io {
            cut(stop, &[AGAIN]);
        }
    }
    for place in Place::ALL {
        // Where the case's event is met while another is delivered, a table refuses that other one.
        let another = place.is_table() && case.flags.contains(CaseFlags::NESTED);
        let actions = if another { UNDISTURBED } else { FEWER };
        if place != Place::Frame {
            cut(Stop::Block(place), &actions);
        }
        for how in [Stop::Private, Stop::Userfault, Stop::Hole] {
            cut(how(place), &actions);
        }
        cut(Stop::Evict(place), &[Action::RESUME]);
    }
    cut(Stop::ReadOnly(Place::Frame), &FEWER);
    cut(Stop::Ring, &FEWER);
    cut(Stop::Storm(0), &UNDISTURBED);
    plans
}

/// The plans without it. What happens before the first stop is the same, and the other stops leave
/// the event where `block@frame` does.
fn without_payload() -> Vec<Plan> {
    let stops = [Stop::Block(Place::Frame), Stop::Cancel, Stop::Io];
    stops.into_iter().flat_map(|stop| ACTIONS.map(|action| Plan::Cut(stop, action))).collect()
}
