//! Which scenarios a command line means.

use super::CliError;
use crate::image::Image;
use crate::scenario::filter::{Filter, near};
use crate::scenario::{self, Scenario};
use std::collections::BTreeSet;

/// Image index and scenario.
pub(super) type Selected = Vec<(usize, Scenario)>;

/// The scenarios that filters select.
pub(super) struct Selection {
    /// The scenarios, each with the index of its image.
    pub(super) scenarios: Selected,
    /// The meaning of each filter, a line each.
    pub(super) meanings: Vec<String>,
}

/// Every scenario that one of `filters` matches; all of them when there is no filter. Fails when a filter
/// names nothing, or matches nothing. With `allow_empty` one that matches nothing is only reported on
/// standard error if another matches.
pub(super) fn select(images: &[Image], filters: &[String], allow_empty: bool) -> Result<Selection, CliError> {
    if filters.is_empty() {
        return Ok(Selection { scenarios: scenario::indexed(images, scenario::all), meanings: Vec::new() });
    }
    let filters: Vec<Filter> =
        filters.iter().map(|text| Filter::new(text, images)).collect::<Result<_, _>>()?;
    let possible = |image: &Image| filters.iter().any(|filter| filter.may_be_of(&image.name));
    let all = of_images(images, possible);
    let ids = ids(&all);
    let mut chosen = vec![false; all.len()];
    let (mut beyond, mut meanings, mut missed) = (Vec::new(), Vec::new(), Vec::new());
    for filter in &filters {
        let mut matched: Vec<&Scenario> = Vec::new();
        for (((_, scenario), id), chosen) in all.iter().zip(&ids).zip(&mut chosen) {
            if filter.matches(id) {
                *chosen = true;
                matched.push(scenario);
            }
        }
        if !matched.is_empty() {
            meanings.push(meaning(filter, &matched));
        } else if let Some(scenario) = ungenerated(images, filter.text()) {
            meanings.push(meaning(filter, &[&scenario.1]));
            beyond.push(scenario);
        } else {
            missed.push(filter.text().to_owned());
        }
    }
    if !missed.is_empty() {
        let ids = self::ids(&of_images(images, |_| true));
        let missed = missed.into_iter().map(|filter| CliError::NoMatch { near: near(&filter, &ids), filter });
        if !allow_empty || meanings.is_empty() {
            missed.into_iter().try_for_each(Err)?;
        } else {
            missed.for_each(|missed| eprintln!("midflight: {missed}"));
        }
    }
    let kept = all.into_iter().zip(chosen).filter_map(|(one, chosen)| chosen.then_some(one));
    Ok(Selection { scenarios: kept.chain(beyond).collect(), meanings })
}

/// Every scenario of those of the images.
fn of_images(images: &[Image], these: impl Fn(&Image) -> bool) -> Selected {
    let each = images.iter().enumerate().filter(|(_, image)| these(image));
    each.flat_map(|(index, image)| scenario::all(image).into_iter().map(move |one| (index, one))).collect()
}

fn ids(scenarios: &Selected) -> Vec<String> {
    scenarios.iter().map(|(_, scenario)| scenario.to_string()).collect()
}

/// How many scenarios a filter means, and of how many cases.
fn meaning(filter: &Filter, matched: &[&Scenario]) -> String {
    let cases: BTreeSet<(&str, &str)> =
        matched.iter().map(|scenario| (scenario.image.as_str(), scenario.case.as_str())).collect();
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    format!("{filter}: {} of {}", count(matched.len(), "scenario"), count(cases.len(), "case"))
}

/// The one scenario that `id` means, for a command that does `what` with one. Fails when there is none, or
/// more than one.
pub(super) fn one(images: &[Image], id: &str, what: &str) -> Result<(usize, Scenario), CliError> {
    let mut chosen = select(images, &[id.to_owned()], false)?.scenarios;
    match (chosen.pop(), chosen.len()) {
        (Some(only), 0) => Ok(only),
        (_, more) => Err(CliError::Usage(format!("`{id}` is {} scenarios; {what} one", more + 1))),
    }
}

/// A scenario that makes sense and is not among those that run by default: what `midflight explore`
/// makes, another seed, another action.
fn ungenerated(images: &[Image], id: &str) -> Option<(usize, Scenario)> {
    existing(images, id.parse().ok()?)
}

/// A scenario that makes sense, with the index of its image.
pub(super) fn existing(images: &[Image], scenario: Scenario) -> Option<(usize, Scenario)> {
    let index = images.iter().position(|image| image.name == scenario.image)?;
    let (_, case) = images[index].case(&scenario.case)?;
    scenario::applies(case, scenario.delivery, scenario.payload, scenario.plan).then_some((index, scenario))
}
