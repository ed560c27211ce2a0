//! Which scenarios a command line means.

use super::CliError;
use crate::image::Image;
use crate::pattern;
use crate::scenario::{self, Scenario};

/// Every scenario that one of `filters` matches, with the index of its image; all of them when
/// there is no filter.
///
/// # Errors
/// When a filter matches nothing.
pub(super) fn select(images: &[Image], filters: &[String]) -> Result<Vec<(usize, Scenario)>, CliError> {
    let all: Vec<(usize, Scenario, String)> = images
        .iter()
        .enumerate()
        .flat_map(|(index, image)| scenario::all(image).into_iter().map(move |scenario| (index, scenario)))
        .map(|(index, scenario)| (index, scenario.clone(), scenario.to_string()))
        .collect();
    let mut chosen = vec![filters.is_empty(); all.len()];
    let mut beyond = Vec::new();
    for filter in filters {
        let exact = all.iter().any(|(_, _, id)| id == filter);
        let mut matched = false;
        for ((_, _, id), chosen) in all.iter().zip(&mut chosen) {
            if if exact { id == filter } else { pattern::matches_id(filter, id) } {
                *chosen = true;
                matched = true;
            }
        }
        if !matched && let Some(scenario) = ungenerated(images, filter) {
            beyond.push(scenario);
            matched = true;
        }
        if !matched {
            return Err(CliError::NoMatch(filter.clone()));
        }
    }
    let kept = all.into_iter().zip(chosen).filter(|(_, chosen)| *chosen);
    Ok(kept.map(|((index, scenario, _), _)| (index, scenario)).chain(beyond).collect())
}

/// The one scenario that `id` means, for a command that does `what` with one.
///
/// # Errors
/// When there is none, or more than one.
pub(super) fn one(images: &[Image], id: &str, what: &str) -> Result<(usize, Scenario), CliError> {
    let mut chosen = select(images, &[id.to_owned()])?;
    match (chosen.pop(), chosen.len()) {
        (Some(only), 0) => Ok(only),
        (_, more) => Err(CliError::Usage(format!("`{id}` is {} scenarios; {what} one", more + 1))),
    }
}

/// A scenario that makes sense and is not among those that run by default: what `midflight explore`
/// makes, another seed, another action.
fn ungenerated(images: &[Image], id: &str) -> Option<(usize, Scenario)> {
    let scenario: Scenario = id.parse().ok()?;
    let index = images.iter().position(|image| image.name == scenario.image)?;
    let (_, case) = images[index].case(&scenario.case)?;
    scenario::applies(case, scenario.delivery, scenario.payload, scenario.plan).then_some((index, scenario))
}
