//! A guest whose delivery is cut on one machine and that continues on another.
//!
//! The scenarios are the ones that every machine has, `none` and the cuts with the action `migrate`;
//! a migration moves the guest along a [`MachinePath`] instead of to a fresh VM of its own machine. With
//! `none` it migrates at `Armed`. On the last machine it runs to `Done`, and its judge says whether
//! the event survived.

use super::pair::MachinePath;
use crate::engine::plan::Abilities;
use crate::image::Image;
use crate::scenario::{self, Action, Plan, Scenario};

/// Scenarios in which a guest can migrate between machines.
pub(crate) fn scenarios(image: &Image) -> Vec<Scenario> {
    let migrates = |scenario: &Scenario| match scenario.plan {
        Plan::None => true,
        Plan::Cut(stop, action) => action == Action::MIGRATE && stop.facts().migrates_between_machines,
        Plan::Cold => false,
    };
    scenario::all(image).into_iter().filter(migrates).collect()
}

/// Why a scenario cannot take a path; `None` when it can. The stop is the first machine's, what the
/// case needs every machine's.
pub(crate) fn skip_reason(
    abilities: &[Abilities; 2],
    path: MachinePath,
    image: &Image,
    scenario: &Scenario,
) -> Option<String> {
    let mut machines = path.iter().filter_map(|stage| abilities.get(*stage));
    let source = machines.next()?;
    source
        .skip_reason(image, scenario)
        .or_else(|| machines.find_map(|machine| machine.lacks(image, scenario)))
}
