//! Results read from the lines that `midflight run --format json` writes.
//!
//! Read leniently: what is not needed may be missing, and what is not known is passed over. A line that cannot be read,
//! as the last one of a run that was killed, is counted and said.

use crate::report::Outcome;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::io::{BufRead, Result};

/// What the lines of one run say.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// Its scenarios, in the order of the lines.
    pub(crate) scenarios: Vec<ScenarioLine>,
    /// The last object.
    pub(crate) summary: Option<SummaryLine>,
    /// The lines that cannot be read: how many, and what is wrong with the first one.
    pub(crate) unread: Option<(usize, String)>,
}

/// The object of a scenario; see docs/json.md.
#[derive(Debug, Deserialize)]
pub(crate) struct ScenarioLine {
    pub(crate) id: String,
    pub(crate) outcome: Outcome,
    pub(crate) machine: Option<String>,
    pub(crate) vendor: Option<String>,
    pub(crate) behaviour: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) predicted: Option<String>,
    pub(crate) cut: Option<String>,
    pub(crate) cuts: Option<u64>,
    pub(crate) runs: Option<u64>,
    pub(crate) runs_alike: Option<u64>,
    pub(crate) queue: Option<String>,
    pub(crate) differences: Option<Vec<DifferenceLine>>,
    pub(crate) compared: Option<u64>,
    pub(crate) losses: Option<Vec<String>>,
    pub(crate) restored: Option<Vec<DifferenceLine>>,
    pub(crate) frames: Option<Vec<String>>,
    pub(crate) again: Option<String>,
    pub(crate) duration_us: Option<u64>,
}

/// A field that differed.
#[derive(Debug, Deserialize)]
pub(crate) struct DifferenceLine {
    pub(crate) field: String,
    pub(crate) expected: String,
    pub(crate) got: String,
    pub(crate) delivery: Option<u64>,
}

/// The last object.
#[derive(Debug, Deserialize)]
pub(crate) struct SummaryLine {
    pub(crate) host: Option<Map<String, Value>>,
    pub(crate) ended_by: Option<String>,
    pub(crate) not_run: Option<u64>,
    pub(crate) kernel_warnings: Option<Vec<String>>,
}

impl Results {
    /// Reads lines. Fails when `input` cannot be read.
    pub(crate) fn read(input: impl BufRead) -> Result<Self> {
        let mut results = Self::default();
        for (number, line) in input.split(b'\n').enumerate() {
            let line = line?;
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            if let Err(error) = results.line(&line) {
                let (count, _) =
                    results.unread.get_or_insert_with(|| (0, format!("line {}: {error}", number + 1)));
                *count += 1;
            }
        }
        Ok(results)
    }

    fn line(&mut self, line: &[u8]) -> serde_json::Result<()> {
        let value: Value = serde_json::from_slice(line)?;
        if value.get("id").is_some() && value.get("outcome").is_some() {
            self.scenarios.push(serde_json::from_value(value)?);
        } else if value.get("host").is_some() {
            self.summary = Some(serde_json::from_value(value)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_unknown_is_passed_over_and_what_is_broken_is_said() {
        let lines = "{\"id\":\"a/b:fred:cold\",\"outcome\":\"pass\",\"new\":[1]}\n\n{\"event\":\"x\"}\nnot JSON\n\
                     {\"id\":\"a/b:idt:cold\",\"outcome\":\"broken\"}\n{\"host\":{\"cpu\":\"x\"}}\n{\"id\":\"a";
        let results = Results::read(lines.as_bytes()).unwrap();
        assert_eq!((results.scenarios.len(), results.scenarios[0].outcome), (1, Outcome::Pass));
        assert_eq!(results.summary.unwrap().host.unwrap()["cpu"], "x");
        let (count, first) = results.unread.unwrap();
        assert!(count == 3 && first.starts_with("line 4: "), "{count} {first}");
    }
}
