//! Whether what a list names exists: only images can say.

use super::entry::{By, Entry, Named, Of};
use super::error::{KnownIssuesError, Problem};
use crate::image::{Case, Image};
use crate::scenario::pattern;
use crate::scenario::{self, Scenario};
use std::collections::BTreeSet;

/// The images that a list is held against.
#[derive(Clone, Copy, Debug)]
pub struct Loaded<'a> {
    /// These.
    pub images: &'a [Image],
    /// Whether there are no others: an image that is not among them does not exist.
    pub all: bool,
}

impl Loaded<'_> {
    /// Checks entries; gives the names of images that are not loaded, so that what is said of them
    /// cannot be judged. Fails when an entry names what does not exist.
    pub fn check(&self, entries: &[Entry]) -> Result<BTreeSet<String>, KnownIssuesError> {
        let mut unjudged = BTreeSet::new();
        for entry in entries {
            unjudged.extend(self.check_entry(entry)?);
        }
        Ok(unjudged)
    }

    fn check_entry(&self, entry: &Entry) -> Result<BTreeSet<String>, KnownIssuesError> {
        let mut unjudged = BTreeSet::new();
        let each = |list: &[Named], check: &dyn Fn(&str) -> Result<Option<String>, Problem>| {
            list.iter().try_fold(Vec::new(), |mut missing, named| {
                missing.extend(check(&named.text).map_err(|problem| KnownIssuesError {
                    file: entry.file.clone(),
                    line: named.line,
                    entry: Some(entry.name.clone()),
                    problem,
                })?);
                Ok(missing)
            })
        };
        unjudged.extend(each(&entry.scenarios, &|id| self.check_scenario(id))?);
        unjudged.extend(each(&entry.cases, &|case| self.check_case(entry, case))?);
        Ok(unjudged)
    }

    fn check_scenario(&self, id: &str) -> Result<Option<String>, Problem> {
        let scenario: Scenario = id.parse()?;
        let Some((_, case)) = self.find(&scenario)? else { return Ok(Some(scenario.image)) };
        match scenario::applies(case, scenario.delivery, scenario.payload, scenario.plan) {
            true => Ok(None),
            false => Err(Problem::NoScenario(id.to_owned())),
        }
    }

    fn check_case(&self, entry: &Entry, text: &str) -> Result<Option<String>, Problem> {
        if text.contains('*') {
            let any = self
                .images
                .iter()
                .flat_map(scenario::cold)
                .any(|scenario| pattern::matches(text, &scenario.case_name()));
            return if any || !self.all { Ok(None) } else { Err(Problem::NoneOfCase(text.to_owned())) };
        }
        let first: Scenario = format!("{text}:cold").parse()?;
        let Some((image, case)) = self.find(&first)? else { return Ok(Some(first.image)) };
        let allowed = |scenario: &Scenario| {
            let of = Of { machine: &entry.machine, scenario, by: By::Judge };
            scenario.delivery == first.delivery && (entry.is_for_compare() || entry.limits_allow(of))
        };
        match scenario::of_case(image, case).iter().any(allowed) {
            true => Ok(None),
            false => Err(Problem::NoneOfCase(text.to_owned())),
        }
    }

    /// The image and the case of a scenario; `None` where the image is not loaded.
    fn find(&self, scenario: &Scenario) -> Result<Option<(&Image, &Case)>, Problem> {
        let Some(image) = self.images.iter().find(|image| image.name == scenario.image) else {
            return if self.all { Err(Problem::NoImage(scenario.image.clone())) } else { Ok(None) };
        };
        match image.case(&scenario.case) {
            Some((_, case)) => Ok(Some((image, case))),
            None => Err(Problem::NoCase { image: image.name.clone(), case: scenario.case.clone() }),
        }
    }
}
