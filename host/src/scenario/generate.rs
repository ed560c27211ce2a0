//! Every scenario of an image.

use super::{Action, Delivery, Place, Plan, Scenario, Stop};
use crate::image::{Case, Image};
use protocol::need::Needs;
use protocol::note::CaseFlags;

/// What is done at a cut, in the order of severity.
pub const ACTIONS: [Action; 4] = [Action::RESUME, Action::MIGRATE, Action::DISTURB, Action::MIGRATE_DISTURB];

/// An entry abandoned, or a page refused, again and again.
const AGAIN: [Action; 1] = [Action { again: 3, ..Action::MIGRATE }];

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
    let mut cut = |stop, actions: &[Action]| {
        plans.extend(actions.iter().map(|action| Plan::Cut(stop, *action)));
    };
    cut(Stop::Block(Place::Frame), &ACTIONS);
    // Without the capability no payload can be queued, and under FRED an exception without its
    // payload has no event data that anybody could expect.
    if case.cancel.is_some() && (payload || delivery == Delivery::Idt) {
        cut(Stop::Cancel, &ACTIONS);
    }
    if case.flags.contains(CaseFlags::IO) {
        cut(Stop::Io, &ACTIONS);
    }
    // What follows stops a delivery where `block@frame` does, in another way or a little earlier:
    // the capability has been looked at.
    if !payload {
        return plans;
    }
    plans.extend(others(case, delivery));
    plans
}

fn others(case: &Case, delivery: Delivery) -> Vec<Plan> {
    let mut plans = Vec::new();
    let mut cut = |stop, actions: &[Action]| {
        plans.extend(actions.iter().map(|action| Plan::Cut(stop, *action)));
    };
    // What the host injects, it injects once, into a cut that it sees.
    let at_cut = case.flags.intersects(CaseFlags::NMI_AT_CUT | CaseFlags::INTERRUPT_AT_CUT);
    if !at_cut {
        cut(Stop::Block(Place::Frame), &AGAIN);
    }
    if case.cancel.is_some() && !at_cut {
        cut(Stop::Cancel, &AGAIN);
    }
    for place in places(case, delivery) {
        if place != Place::Frame {
            cut(Stop::Block(place), &actions(case, place));
        }
        for how in [Stop::Private, Stop::Userfault, Stop::Hole] {
            cut(how(place), &actions(case, place));
        }
        if !at_cut {
            cut(Stop::Evict(place), &[Action::RESUME]);
        }
    }
    cut(Stop::ReadOnly(Place::Frame), &actions(case, Place::Frame));
    // What waits at `Armed` would come while the ring is filled.
    if !case.flags.intersects(CaseFlags::INJECTED) {
        cut(Stop::Ring, &actions(case, Place::Frame));
    }
    // A storm runs a case many times, knows a cut by the queue, and looks at the first event only.
    if case.entries == 1 && !case.flags.intersects(CaseFlags::INJECTED | CaseFlags::SOFT) {
        cut(Stop::Storm(0), &[Action::RESUME, Action::MIGRATE]);
    }
    plans
}

/// The pages that the case's delivery touches, and its act does not.
fn places(case: &Case, delivery: Delivery) -> impl Iterator<Item = Place> {
    let by_act = case.flags.contains(CaseFlags::TOUCHES_GDT);
    let touched = move |place: &Place| place.is_touched(delivery) && !(*place == Place::Gdt && by_act);
    Place::ALL.into_iter().filter(touched)
}

/// What is done where a page refuses the delivery, with one thing of each kind. Where the case's event
/// is met while another is delivered, the tables refuse that other one, whose registers are still to be
/// written by the case's: they are left alone.
fn actions(case: &Case, place: Place) -> [Action; 2] {
    let another = place.is_table() && case.flags.contains(CaseFlags::NESTED);
    [Action::RESUME, if another { Action::MIGRATE } else { Action::MIGRATE_DISTURB }]
}
