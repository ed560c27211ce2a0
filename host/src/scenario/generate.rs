//! Every scenario of an image.

use super::applies::{applies, is_of_another};
use super::{Action, DeliveryMode, Plan, Scenario, Stop};
use crate::image::{Case, Image};
use protocol::need::Needs;

/// Every scenario of an image, in a fixed order: by case, delivery, payload, plan.
pub fn all(image: &Image) -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for case in &image.cases {
        for delivery in [DeliveryMode::Fred, DeliveryMode::Idt] {
            for payload in [true, false] {
                for plan in
                    plans(case, payload).into_iter().filter(|plan| applies(case, delivery, payload, *plan))
                {
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

/// The features that a scenario needs and not every machine has.
pub fn needs(case: &Case, delivery: DeliveryMode) -> Needs {
    match delivery {
        DeliveryMode::Fred => case.needs | Needs::FRED,
        DeliveryMode::Idt => case.needs,
    }
}

/// The plans with KVM_CAP_EXCEPTION_PAYLOAD or without it, which may or may not apply to the case.
fn plans(case: &Case, payload: bool) -> Vec<Plan> {
    let mut plans = vec![Plan::Cold, Plan::None];
    for stop in Stop::all() {
        let disturbs = !is_of_another(case, stop);
        let actions = stop.how().actions(payload).iter();
        plans.extend(
            actions.map(|action| Plan::Cut(stop, Action { disturb: action.disturb && disturbs, ..*action })),
        );
    }
    plans
}
