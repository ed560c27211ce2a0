//! JSON lines: one object per scenario, then one with totals and host facts. See docs/json.md.

use super::format::{Early, Ended, One, Writer};
use crate::report::{HostFacts, Outcome, Report, Totals, reason};
use crate::stops::Proof;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{Result, Write};

/// The last object.
#[derive(Serialize)]
struct Summary<'a> {
    totals: Totals,
    machines: BTreeMap<&'a str, Totals>,
    nothing_tested: bool,
    ended_by: Option<&'static str>,
    not_run: usize,
    kernel_warnings: Vec<&'a str>,
    kernel_warnings_during: Vec<&'a [String]>,
    kernel_warnings_known: &'a [String],
    kernel_unwatched: Option<&'a str>,
    host: &'a HostFacts,
}

/// The object of one scenario.
#[derive(Serialize)]
struct Scenario<'a> {
    id: String,
    image: &'a str,
    case: &'a str,
    machine: &'a str,
    vendor: Option<&'a str>,
    delivery: String,
    payload: bool,
    behaviour: Option<&'a str>,
    stop: String,
    action: Option<String>,
    outcome: Outcome,
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    predicted: Option<String>,
    cut: Option<Proof>,
    cuts: u32,
    runs: u32,
    runs_alike: u32,
    queue: Option<String>,
    expected: Option<String>,
    got: Option<String>,
    differences: Vec<Difference>,
    compared: u32,
    losses: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    event_data_open: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    restored: Vec<Difference>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    frames: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    saved_on: Option<&'a HostFacts>,
    again: Option<&'a str>,
    duration_us: u64,
}

/// A field that differed.
#[derive(Serialize)]
struct Difference {
    field: String,
    expected: String,
    got: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<u32>,
}

impl<'a> Scenario<'a> {
    fn of(report: &'a Report) -> Self {
        let first = report.differences.first();
        Self {
            id: report.scenario.to_string(),
            image: &report.scenario.image,
            case: &report.scenario.case,
            machine: &report.machine,
            vendor: report.vendor.as_deref(),
            delivery: report.scenario.delivery.to_string(),
            payload: report.scenario.payload,
            behaviour: report.behaviour.as_deref(),
            stop: report.scenario.plan.stop_name(),
            action: report.scenario.plan.action().map(|action| action.to_string()),
            outcome: report.outcome,
            reason: reason(report),
            predicted: report.predicted.as_ref().map(ToString::to_string),
            cut: report.cut,
            cuts: report.cuts,
            runs: report.runs,
            runs_alike: report.runs_alike,
            queue: report.queue.as_ref().map(ToString::to_string),
            expected: first.map(|one| format!("{} {}", one.field, one.expected)),
            got: first.map(|one| format!("{} {}", one.field, one.got)),
            differences: report
                .differences
                .iter()
                .map(|one| Difference::of(one, one.field.delivery()))
                .collect(),
            compared: report.compared,
            losses: report.losses.iter().map(ToString::to_string).collect(),
            event_data_open: report.event_data_open,
            restored: report.restored.iter().map(|one| Difference::of(one, None)).collect(),
            frames: &report.frames,
            saved_on: report.saved_on.as_ref(),
            again: report.again.as_deref(),
            duration_us: report.duration_us,
        }
    }
}

impl Difference {
    fn of<F: Display>(difference: &vm::Difference<F>, delivery: Option<u32>) -> Self {
        let vm::Difference { field, expected, got } = difference;
        Self { field: field.to_string(), expected: expected.to_string(), got: got.to_string(), delivery }
    }
}

/// The report in JSON.
pub(super) struct Json;

impl Writer for Json {
    fn one(&self, output: &mut dyn Write, one: &One<'_>) -> Result<()> {
        self::one(output, one.report)
    }

    fn end(&self, output: &mut dyn Write, run: &Ended<'_>) -> Result<()> {
        let Ended { begun: _, reports, host, kernel, early } = run;
        let mut machines = BTreeMap::new();
        for report in *reports {
            let name = report.machine.as_str();
            machines.entry(name).or_insert_with(|| Totals::of(reports.iter().filter(|r| r.machine == name)));
        }
        let totals = Totals::of(*reports);
        let summary = Summary {
            totals,
            machines,
            nothing_tested: totals.nothing_tested(),
            ended_by: early.map(Early::by),
            not_run: early.map_or(0, |early| early.not_run),
            kernel_warnings: kernel.said.warnings.iter().map(|one| one.text.as_str()).collect(),
            kernel_warnings_during: kernel.said.warnings.iter().map(|one| one.during.as_slice()).collect(),
            kernel_warnings_known: &kernel.known,
            kernel_unwatched: kernel.said.unwatched.as_deref(),
            host,
        };
        line(output, &summary)
    }
}

/// Writes the object of one scenario.
pub(super) fn one(output: &mut dyn Write, report: &Report) -> Result<()> {
    line(output, &Scenario::of(report))
}

/// The members of the object of one scenario, in their order.
pub(super) fn members(report: &Report) -> Result<serde_json::Map<String, serde_json::Value>> {
    let text = serde_json::to_string(&Scenario::of(report))?;
    Ok(serde_json::from_str(&text)?)
}

/// Writes an object, and ends its line.
pub(super) fn line(output: &mut dyn Write, object: &impl Serialize) -> Result<()> {
    serde_json::to_writer(&mut *output, object)?;
    output.write_all(b"\n")
}
