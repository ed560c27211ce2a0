//! What failed in an earlier run: `--rerun-failed`.

use super::CliError;
use super::select::{Selected, existing};
use crate::image::Image;
use crate::scenario::Scenario;
use serde::Deserialize;
use std::collections::HashSet;
use std::path::Path;

/// What failed, and on which machine.
pub(super) struct Failed(Vec<(String, Scenario)>);

/// What is read of a line of a JSON report. The last one, of the whole run, has none of it.
#[derive(Deserialize)]
struct Line {
    id: Option<String>,
    machine: Option<String>,
    outcome: Option<String>,
}

impl Failed {
    /// Reads the report that `midflight run --format json` has written. Fails when it is none; of a run that was
    /// killed the last line may be cut off.
    pub(super) fn read(file: &Path) -> Result<Self, CliError> {
        let name = file.display().to_string();
        let text =
            std::fs::read_to_string(file).map_err(|error| CliError::File { file: name.clone(), error })?;
        let mut failed = Vec::new();
        for (number, line) in text.split_inclusive('\n').enumerate() {
            let whole = line.ends_with('\n');
            let problem = |why: String| CliError::NoReport {
                file: name.clone(),
                why: format!("line {} is not of a report that `--format json` wrote: {why}", number + 1),
            };
            match serde_json::from_str::<Line>(line) {
                Ok(Line { id: Some(id), machine: Some(machine), outcome: Some(outcome) }) => {
                    if ["fail", "error"].contains(&outcome.as_str()) {
                        failed.push((machine, id.parse().map_err(|_| problem(format!("`{id}` is no id")))?));
                    }
                }
                Ok(_) => {}
                Err(error) if whole => return Err(problem(error.to_string())),
                Err(_) => {}
            }
        }
        Ok(Self(failed))
    }

    /// The scenarios, each once, with the indices of their images. Fails when there is no such scenario any more.
    pub(super) fn scenarios(&self, images: &[Image]) -> Result<Selected, CliError> {
        let mut seen = HashSet::new();
        let each = self.0.iter().map(|(_, scenario)| scenario).filter(|scenario| seen.insert(*scenario));
        let found = |scenario: &Scenario| {
            existing(images, scenario.clone())
                .ok_or_else(|| CliError::NoMatch { filter: scenario.to_string(), near: Vec::new() })
        };
        each.map(found).collect()
    }

    /// Whether it failed on that machine.
    pub(super) fn has(&self, machine: &str, scenario: &Scenario) -> bool {
        self.0.iter().any(|(on, failed)| on == machine && failed == scenario)
    }
}
