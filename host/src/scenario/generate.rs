//! Every scenario of an image.

use super::{Action, Delivery, Plan, Scenario, Stop};
use crate::image::{Case, Image};
use protocol::need::Needs;
use protocol::note::CaseFlags;

/// What is done at a cut, in the order of severity.
pub const ACTIONS: [Action; 4] = [
    Action { migrate: false, disturb: false },
    Action { migrate: true, disturb: false },
    Action { migrate: false, disturb: true },
    Action { migrate: true, disturb: true },
];

/// Every scenario of an image, in a fixed order: by case, delivery, payload, plan.
pub fn all(image: &Image) -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for case in &image.cases {
        for delivery in [Delivery::Fred, Delivery::Idt] {
            for payload in [true, false] {
                for plan in plans(case, delivery, payload) {
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

/// Whether a case can be delivered so at all.
pub fn is_possible(case: &Case, delivery: Delivery) -> bool {
    delivery == Delivery::Fred || !case.needs.contains(Needs::FRED)
}

fn plans(case: &Case, delivery: Delivery, payload: bool) -> Vec<Plan> {
    if !is_possible(case, delivery) {
        return Vec::new();
    }
    // The capability changes nothing before the first cut: one cold control is enough.
    // What the host injects, it injects into a cut.
    let control = payload && !case.flags.intersects(CaseFlags::INJECTED);
    let mut plans = if control { vec![Plan::Cold, Plan::None] } else { Vec::new() };
    if case.entries == 0 {
        return plans;
    }
    let mut cut = |stop| plans.extend(ACTIONS.map(|action| Plan::Cut(stop, action)));
    cut(Stop::BlockFrame);
    // Without the capability no payload can be queued, and under FRED an exception without its
    // payload has no event data that anybody could expect.
    if case.cancel.is_some() && (payload || delivery == Delivery::Idt) {
        cut(Stop::Cancel);
    }
    if case.flags.contains(CaseFlags::IO) {
        cut(Stop::Io);
    }
    plans
}
