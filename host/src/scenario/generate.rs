//! Every scenario of an image.

use super::applies::{applies, is_of_another, is_possible};
use super::{Action, DeliveryMode, Plan, Scenario, Stop};
use crate::image::{Case, Image};
use protocol::need::Needs;

/// Each case of an image from boot, delivered in each way that is possible, with the payload capability.
pub fn cold(image: &Image) -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for case in &image.cases {
        for delivery in [DeliveryMode::Fred, DeliveryMode::Idt] {
            if is_possible(case, delivery) {
                let (image, case) = (image.name.clone(), case.name.clone());
                scenarios.push(Scenario { image, case, delivery, payload: true, plan: Plan::Cold });
            }
        }
    }
    scenarios
}

/// What `of_image` makes of each image, with the image's index.
pub fn indexed(images: &[Image], of_image: fn(&Image) -> Vec<Scenario>) -> Vec<(usize, Scenario)> {
    let of_image = |(index, image)| of_image(image).into_iter().map(move |scenario| (index, scenario));
    images.iter().enumerate().flat_map(of_image).collect()
}

/// Every scenario of an image, in a fixed order: by case, delivery, payload, plan.
pub fn all(image: &Image) -> Vec<Scenario> {
    image.cases.iter().flat_map(|case| of_case(image, case)).collect()
}

/// Those of one of its cases, in the same order.
pub fn of_case(image: &Image, case: &Case) -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for delivery in [DeliveryMode::Fred, DeliveryMode::Idt] {
        for payload in [true, false] {
            let plans = plans(case, payload).into_iter();
            scenarios.extend(plans.filter(|plan| applies(case, delivery, payload, *plan)).map(|plan| {
                let (image, case) = (image.name.clone(), case.name.clone());
                Scenario { image, case, delivery, payload, plan }
            }));
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
