//! Every memory access of a delivery as a stop, alone and in pairs, with every action: on the model.

use crate::ending;
use crate::engine::runner::Runner;
use crate::engine::{Job, RunOptions, pool};
use crate::image::Image;
use crate::machines::Description;
use crate::machines::model::Model;
use crate::report::{AtCut, Report};
use crate::scenario::{self, Action, Plan, Scenario, Stop};
use crate::stops::action::EACH;
use crate::stops::event_return::ACTIONS;
use crate::stops::how::{How, Target};
use crate::stops::{Access, Return};
use model::ModelMachine;
use model::hypervisor::behaviour::Behaviour;
use std::time::{Duration, Instant};

/// What is explored, and within which bounds.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    /// Maximum number of schedules.
    pub count: usize,
    /// How long at most.
    pub time: Duration,
    /// How long one schedule may take.
    pub timeout: Duration,
}

impl Bounds {
    /// When time is over, counted from now; `None`: never.
    fn end(&self) -> Option<Instant> {
        Instant::now().checked_add(self.time)
    }
}

/// The schedules of one case and delivery, and how many accesses its delivery makes.
#[derive(Clone)]
pub(crate) struct Schedules {
    /// Index of the image.
    pub image: usize,
    /// `image/case:delivery`.
    pub name: String,
    /// Memory accesses of the delivery.
    pub accesses: u16,
    /// The schedules: each access alone, then each pair, each with every action.
    pub scenarios: Vec<Scenario>,
}

/// The results of the schedules of one case and delivery mode.
#[derive(Clone)]
pub(crate) struct Explored {
    /// What was to be explored.
    pub schedules: Schedules,
    /// The reports of those that ran before a bound was met.
    pub reports: Vec<Report>,
}

/// The result of the search for schedules.
#[derive(Clone, Default)]
pub(crate) struct Found {
    /// The schedules, in a fixed order.
    pub schedules: Vec<Schedules>,
    /// Whether a bound was met before all cases were looked at.
    pub cut_short: bool,
}

/// Finds the schedules of the cases that `wanted` accepts; `progress` is called for each case before its
/// accesses are counted. The search ends with the case in which a bound is met.
pub(crate) fn schedules(
    behaviour: &'static Behaviour,
    images: &[Image],
    bounds: Bounds,
    wanted: impl Fn(&str) -> bool,
    mut progress: impl FnMut(&str),
) -> Found {
    let machine = ModelMachine::new(behaviour);
    let mut runner = Runner::new(&machine, None, bounds.timeout);
    let end = bounds.end();
    let mut so_many = 0;
    let mut found = Found::default();
    for (index, image) in images.iter().enumerate() {
        let delivers =
            |cold: &Scenario| image.case(&cold.case).is_some_and(|(_, case)| case.entries(cold.delivery) > 0);
        for cold in scenario::cold(image).into_iter().filter(delivers) {
            let name = cold.case_name();
            if !wanted(&name) {
                continue;
            }
            if so_many >= bounds.count || is_over(end) {
                found.cut_short = true;
                return found;
            }
            progress(&name);
            let mut runs = |stop| run(&mut runner, image, &cold, stop);
            let accesses = count(|n| runs(access(n, None)).cut.is_some());
            let mut plans: Vec<Plan> = plans(accesses, &mut runs).collect();
            plans.extend(returns(image, &cold, &mut runs));
            let scenarios: Vec<Scenario> =
                plans.into_iter().map(|plan| Scenario { plan, ..cold.clone() }).collect();
            so_many += scenarios.len();
            found.schedules.push(Schedules { image: index, name, accesses, scenarios });
        }
    }
    found
}

fn run(runner: &mut Runner<'_>, image: &Image, cold: &Scenario, stop: Stop) -> Report {
    let plan = Plan::Cut(stop, Action::RESUME);
    runner.run(image, &Scenario { plan, ..cold.clone() })
}

fn access(first: u16, second: Option<u16>) -> Stop {
    Access { first, second }.into()
}

/// Each access alone, then each pair, with every action.
///
/// A second try makes other accesses than the first: what the first has marked as accessed needs no
/// update any more. And where a delivery meets an exception, the accesses before that belong to
/// another event than the case's: its registers are still to be written, and a second try goes on to
/// the exception. Such an access is refused alone, and no register rewritten.
fn plans(accesses: u16, mut run: impl FnMut(Stop) -> Report) -> impl Iterator<Item = Plan> {
    let queues: Vec<Option<AtCut>> = (0..accesses).map(|first| run(access(first, None)).queue).collect();
    let (mut alone, mut pairs) = (Vec::new(), Vec::new());
    for (first, queue) in (0..accesses).zip(&queues) {
        let of_the_case = Some(queue) == queues.last();
        let actions = EACH.into_iter().filter(|action| of_the_case || !action.disturb);
        alone.extend(actions.map(|action| Plan::Cut(access(first, None), action)));
        if of_the_case {
            let again = count(|n| run(access(first, Some(n))).cuts == 2);
            let stops = (0..again).map(|second| access(first, Some(second)));
            pairs.extend(stops.flat_map(|stop| EACH.map(|action| Plan::Cut(stop, action))));
        }
    }
    alone.into_iter().chain(pairs)
}

/// Each access of the case's first event return, with every action that there is for it.
fn returns(
    image: &Image,
    cold: &Scenario,
    mut run: impl FnMut(Stop) -> Report,
) -> impl Iterator<Item = Plan> {
    let target =
        image.case(&cold.case).map(|(_, case)| Target { case, delivery: cold.delivery, payload: true });
    let applies = target.is_some_and(|target| Return(0).applies(&target));
    let accesses = if applies { count(|n| run(Return(n).into()).cut.is_some()) } else { 0 };
    (0..accesses).flat_map(|n| ACTIONS.map(|action| Plan::Cut(Return(n).into(), action)))
}

/// How many accesses a delivery makes: the number of the first one that is never met.
fn count(mut meets: impl FnMut(u16) -> bool) -> u16 {
    let (mut met, mut beyond) = (0, 1);
    while beyond < MOST && meets(beyond - 1) {
        met = beyond;
        beyond *= 2;
    }
    // At least `met` accesses, and fewer than `beyond`.
    while beyond - met > 1 {
        let middle = met + (beyond - met) / 2;
        if meets(middle - 1) { met = middle } else { beyond = middle }
    }
    met
}

/// More accesses than any delivery makes.
const MOST: u16 = 1 << 12;

/// Runs schedules until a bound is met; `progress` is called for each as it ends.
pub(crate) fn explore(
    behaviour: &'static Behaviour,
    images: &[Image],
    all: Vec<Schedules>,
    bounds: Bounds,
    mut progress: impl FnMut(&Report),
) -> Vec<Explored> {
    let end = bounds.end();
    let job = Job::On(Description::Model(Model(behaviour)));
    let options = RunOptions::within(bounds.timeout);
    let mut left = bounds.count;
    let mut explored = Vec::new();
    for schedules in all {
        let mut reports = Vec::new();
        // In slices, so that the bound on time is looked at.
        for slice in schedules.scenarios.chunks(SLICE) {
            if left == 0 || is_over(end) {
                break;
            }
            let slice = &slice[..slice.len().min(left)];
            left -= slice.len();
            let slice: Vec<_> = slice.iter().map(|scenario| (schedules.image, scenario.clone())).collect();
            reports.extend(pool::all(&job, &options, images, &slice, &mut progress));
        }
        explored.push(Explored { schedules, reports });
    }
    explored
}

/// Whether a bound on time is met, or a signal ends this process.
fn is_over(end: Option<Instant>) -> bool {
    end.is_some_and(|end| Instant::now() >= end) || ending::signal().is_some()
}

/// Schedules between two looks at the clock: well under a second.
const SLICE: usize = 1000;

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn a_count_is_exact() {
        for accesses in 0..70 {
            assert_eq!(count(|n| n < accesses), accesses);
        }
    }
}
