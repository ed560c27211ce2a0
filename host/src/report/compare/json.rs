//! A comparison as JSON lines: an object per case, then one with totals and host facts. See docs/json.md.

use super::format::{Again, Ended, Writer, totals};
use crate::compare::pair::Pair;
use crate::compare::{Comparison, Decoded, MachineDifference};
use crate::report::format::{self, Early, Writer as _};
use crate::report::{HostFacts, Outcome, Report, Totals, json};
use serde::Serialize;
use std::io::{Result, Write};

/// The last JSON object of a comparison.
#[derive(Serialize)]
struct Summary<'a> {
    totals: Totals,
    machines: [String; 2],
    nothing_tested: bool,
    /// As in the report of a run.
    ended_by: Option<&'static str>,
    not_run: usize,
    /// Known issues that did not show.
    not_shown: Vec<String>,
    host: &'a HostFacts,
}

/// The object of one comparison.
#[derive(Serialize)]
struct Compared<'a> {
    id: String,
    image: &'a str,
    case: &'a str,
    delivery: String,
    machines: &'a [String; 2],
    outcome: Outcome,
    reason: Option<String>,
    at: Option<&'a str>,
    differences: Vec<Decoded>,
    deliveries: &'a [Vec<Decoded>],
    known: Vec<String>,
    doorbells: usize,
    compared: usize,
}

/// The report in JSON.
pub(super) struct Json;

impl Writer for Json {
    fn one(&self, output: &mut dyn Write, comparison: &Comparison, _: &Again<'_>) -> Result<()> {
        let object = Compared {
            id: comparison.scenario.case_name(),
            image: &comparison.scenario.image,
            case: &comparison.scenario.case,
            delivery: comparison.scenario.delivery.to_string(),
            machines: &comparison.machines,
            outcome: comparison.outcome,
            reason: comparison.why.as_ref().map(ToString::to_string),
            at: comparison.at.as_deref(),
            differences: comparison.differences.iter().map(MachineDifference::decoded).collect(),
            deliveries: &comparison.deliveries,
            known: comparison.known.iter().map(ToString::to_string).collect(),
            doorbells: comparison.doorbells,
            compared: comparison.compared,
        };
        json::line(output, &object)
    }

    fn end(&self, output: &mut dyn Write, ended: &Ended<'_>) -> Result<()> {
        let Ended { pair, comparisons, not_shown, host, early } = ended;
        let totals = totals(*comparisons);
        let summary = Summary {
            totals,
            machines: pair.0.clone().map(|subject| subject.to_string()),
            nothing_tested: totals.nothing_tested(),
            ended_by: early.map(Early::by),
            not_run: early.map_or(0, |early| early.not_run),
            not_shown: not_shown.iter().map(ToString::to_string).collect(),
            host,
        };
        json::line(output, &summary)
    }

    fn one_migrated(&self, output: &mut dyn Write, report: &Report) -> Result<()> {
        json::one(output, report)
    }

    fn end_migrated(&self, output: &mut dyn Write, _: &Pair, run: &format::Ended<'_>) -> Result<()> {
        json::Json.end(output, run)
    }
}
