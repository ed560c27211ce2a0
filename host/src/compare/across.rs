//! A guest that is cut on one machine and goes on on another.
//!
//! The scenarios are the ones that every machine has, `none` and the cuts with the action `migrate`;
//! a migration takes the guest along a [`Route`] instead of to a fresh VM of its own machine. With
//! `none` it migrates at `Armed`. On the last machine it runs to `Done`, and its judge says whether
//! the event survived.

use crate::compare::pair::{Pair, Route};
use crate::engine::plan::Abilities;
use crate::engine::runner::{OnSeen, Runner};
use crate::image::Image;
use crate::report::outcome::{Outcome, Report};
use crate::scenario::{self, Action, Plan, Scenario};
use std::time::Duration;
use vm::Machine;

/// Scenarios in which a guest migrates between machines.
pub fn scenarios(image: &Image) -> Vec<Scenario> {
    let migrates = |scenario: &Scenario| match scenario.plan {
        Plan::None => true,
        Plan::Cut(stop, action) => action == Action::MIGRATE && stop.facts().migrates_between_machines,
        Plan::Cold => false,
    };
    scenario::all(image).into_iter().filter(migrates).collect()
}

/// Why a scenario cannot take a route; `None` when it can. The stop is the first machine's, what the
/// case needs every machine's.
pub fn skip_reason(
    abilities: &[Abilities; 2],
    route: Route,
    image: &Image,
    scenario: &Scenario,
) -> Option<String> {
    let mut machines = route.iter().filter_map(|stage| abilities.get(*stage));
    let source = machines.next()?;
    source
        .skip_reason(image, scenario)
        .or_else(|| machines.find_map(|machine| machine.lacks(image, scenario)))
}

/// Runs scenarios that take a route, forking them from snapshots on its first machine.
pub struct Crossing<'m> {
    name: String,
    runner: Option<Runner<'m>>,
}

impl std::fmt::Debug for Crossing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Crossing").field(&self.name).finish()
    }
}

impl<'m> Crossing<'m> {
    /// A way along `route` between `machines`, those of `pair`.
    pub fn new(pair: &Pair, machines: [&'m dyn Machine; 2], route: &[usize], timeout: Duration) -> Self {
        let mut stages = route.iter().filter_map(|stage| machines.get(*stage).copied());
        let runner = stages.next().map(|source| {
            let mut runner = Runner::new(source, None, timeout);
            runner.route = stages.collect();
            runner
        });
        Self { name: pair.describe(route), runner }
    }

    /// From now on `on_seen` is told where the guest is.
    pub fn on_seen(&mut self, on_seen: OnSeen<'m>) {
        if let Some(runner) = &mut self.runner {
            runner.on_seen = Some(on_seen);
        }
    }

    /// Runs one scenario; the machine in its report is the route.
    pub fn run(&mut self, image: &Image, scenario: &Scenario) -> Report {
        let mut report = match &mut self.runner {
            Some(runner) if !runner.route.is_empty() => runner.run(image, scenario),
            _ => Report::new(scenario, "", None)
                .concluded(Outcome::Error, "a route has two machines or more".to_owned()),
        };
        report.machine.clone_from(&self.name);
        report
    }
}
