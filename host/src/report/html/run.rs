//! The page of results.

use super::detail::{Delivery, Detail, Row};
use super::fact::fact;
use super::page::{Cell, Kind, Page, Section, Words};
use super::read::{DifferenceLine, Results, ScenarioLine, SummaryLine};
use crate::report::Outcome;
use crate::report::frame::PrintedFrame;
use crate::stops::Stop;
use std::collections::HashMap;
use std::io::{Result, Write};

/// The outcomes, least severe first.
const OUTCOMES: [(Outcome, Kind); 5] = [
    (Outcome::Pass, Kind { name: "pass", tone: "pass", attention: false }),
    (Outcome::Skip, Kind { name: "skip", tone: "skip", attention: false }),
    (Outcome::Known, Kind { name: "known", tone: "known", attention: false }),
    (Outcome::Fail, Kind { name: "fail", tone: "fail", attention: true }),
    (Outcome::Error, Kind { name: "error", tone: "error", attention: true }),
];

/// Writes the page of runs, each with the name of its file. Fails when `output` cannot be written.
pub(crate) fn write(output: &mut dyn Write, runs: Vec<(String, Results)>) -> Result<()> {
    let mut page = Page::new(Words {
        title: "midflight: results".to_owned(),
        sentences: Vec::new(),
        outcomes: OUTCOMES.map(|(_, kind)| kind).to_vec(),
        heads: "image and case",
        attention: "Failed, or came to no verdict",
        none: "Nothing failed",
        everything: "no image",
        joint: ":",
    });
    let several = runs.len() > 1;
    for (file, results) in runs {
        let Results { scenarios, summary, unread } = results;
        say(&mut page, &file, summary.as_ref(), unread);
        let mut sections: HashMap<String, usize> = HashMap::new();
        for scenario in scenarios {
            let name = subject(&scenario);
            let section = *sections.entry(name.clone()).or_insert_with(|| {
                let name = if several { format!("{name}, {file}") } else { name };
                page.section(section(name, &scenario, summary.as_ref()))
            });
            add(&mut page, section, scenario);
        }
    }
    let stops: Vec<String> = ["cold", "none"]
        .into_iter()
        .map(str::to_owned)
        .chain(Stop::all().iter().map(ToString::to_string))
        .collect();
    page.write(output, |(stop, action)| rank(&stops, stop, action))
}

/// Where a column stands: as stops are listed, without the payload capability last; the simplest action first.
fn rank(stops: &[String], stop: &str, action: &str) -> (bool, usize, String, usize, String) {
    let plain = stop.strip_prefix(WITHOUT_PAYLOAD);
    let name = plain.unwrap_or(stop);
    let place = stops.iter().position(|one| one == name).unwrap_or(stops.len());
    (plain.is_some(), place, name.to_owned(), action.len(), action.to_owned())
}

/// What stands before the stop in an id without the payload capability.
const WITHOUT_PAYLOAD: &str = "nopayload:";

/// What is to be said of a run as a whole.
fn say(page: &mut Page, file: &str, summary: Option<&SummaryLine>, unread: Option<(usize, String)>) {
    if let Some((count, first)) = unread {
        page.say(format!("{file}: {count} lines cannot be read and are not shown; {first}"));
    }
    let Some(summary) = summary else {
        page.say(format!("{file}: the last object is missing: the run was killed, or is not over"));
        return;
    };
    if let Some(by) = &summary.ended_by {
        let not_run = summary.not_run.unwrap_or_default();
        page.say(format!("{file}: ended early by {by}; {not_run} scenarios did not run"));
    }
    for warning in summary.kernel_warnings.iter().flatten() {
        page.say(format!("{file}: the host's kernel warned during the run: {warning}"));
    }
}

/// The machine, with what distinguishes it.
fn subject(line: &ScenarioLine) -> String {
    let machine = line.machine.as_deref().unwrap_or("unknown machine");
    match line.behaviour.as_ref().or(line.vendor.as_ref()) {
        Some(variant) => format!("{machine} ({variant})"),
        None => machine.to_owned(),
    }
}

fn section(name: String, line: &ScenarioLine, summary: Option<&SummaryLine>) -> Section {
    let mut options = String::new();
    for (option, value) in [("--machine", &line.machine), ("--behaviour", &line.behaviour)] {
        if let Some(value) = value {
            let value = shlex::try_quote(value).unwrap_or_default();
            options.push_str(&format!(" {option} {value}"));
        }
    }
    let host = summary.and_then(|summary| summary.host.as_ref()).into_iter().flatten();
    let facts = host.filter_map(|(name, value)| fact(name, value)).collect();
    let model = line.machine.as_deref() == Some("model");
    let notes = model.then(|| "Results on the model test the tests, not a KVM.".to_owned());
    Section { name, options, facts, notes: notes.into_iter().collect() }
}

fn add(page: &mut Page, section: usize, line: ScenarioLine) {
    let id = line.id.clone();
    let (row, stop, action) = parts(&id);
    let image = row.split_once('/').map_or("", |(image, _)| image);
    let outcome = OUTCOMES.iter().position(|(outcome, _)| *outcome == line.outcome).unwrap_or_default();
    // What did not run took no time.
    let microseconds = line.duration_us.filter(|_| line.outcome != Outcome::Skip);
    let cell = Cell {
        section,
        row: (image, row),
        column: (stop, action),
        outcome,
        number: 1,
        microseconds,
        detail: detail(line),
    };
    page.add(cell);
}

/// `image/case:delivery`, the stop (with `nopayload:`) and the action of an id; joined by colons they are the id.
fn parts(id: &str) -> (&str, &str, &str) {
    let colon = |from: usize| id[from..].find(':').map(|at| from + at);
    let Some(row) = colon(0).and_then(|at| colon(at + 1)) else { return (id, "", "") };
    let (case, rest) = (&id[..row], &id[row + 1..]);
    let payload = if rest.starts_with(WITHOUT_PAYLOAD) { WITHOUT_PAYLOAD.len() } else { 0 };
    match rest[payload..].find(':') {
        Some(at) => (case, &rest[..payload + at], &rest[payload + at + 1..]),
        None => (case, rest, ""),
    }
}

fn detail(line: ScenarioLine) -> Detail {
    let ran = line.outcome != Outcome::Skip;
    let differences = line.differences.unwrap_or_default();
    let summary = match (differences.first(), &line.reason) {
        _ if line.outcome == Outcome::Pass => None,
        (_, Some(reason)) => Some(reason.clone()),
        (Some(DifferenceLine { field, expected, got, .. }), None) => {
            Some(format!("{field} expected {expected}, got {got}"))
        }
        (None, None) => None,
    };
    let frames = line.frames.unwrap_or_default();
    let printed: Vec<PrintedFrame> = frames.iter().filter_map(|frame| PrintedFrame::read(frame)).collect();
    let no_frames = printed.is_empty() && !differences.is_empty();
    let in_none = |one: &&DifferenceLine| !printed.iter().any(|frame| is_of(one, frame));
    let others = differences.iter().filter(in_none).map(row).collect();
    let deliveries = printed.iter().map(|frame| delivery(frame, &differences)).collect();
    let many = |one: u64| (one > 1).then(|| one.to_string());
    let cut = line.cut.map(|proof| match line.cuts.and_then(many) {
        Some(cuts) => format!("{proof}, {cuts} times"),
        None => proof,
    });
    let runs = line.runs.and_then(many).map(|runs| {
        format!("{} of {runs} ended so", line.runs_alike.map_or("some".to_owned(), |alike| alike.to_string()))
    });
    let restored = line.restored.unwrap_or_default();
    let restored = restored
        .iter()
        .map(|one| format!("{}: {} was saved, {} read back", one.field, one.expected, one.got))
        .collect();
    let one = |label, text: Option<String>| text.map(|text| (label, text));
    let list = |label, texts: Vec<String>| (!texts.is_empty()).then(|| (label, texts.join("\n")));
    let texts = [
        one("why", line.reason),
        one("as predicted", line.predicted),
        one("queue at the cut", line.queue),
        list("lost by the uAPI", line.losses.unwrap_or_default()),
        list("not as saved", restored),
        one("proof of the cut", cut),
        one("runs", runs),
        one("frames", no_frames.then(|| "not in these results: `run --frames` adds them".to_owned())),
        one("fields compared", line.compared.filter(|_| ran).map(|compared| compared.to_string())),
    ];
    Detail {
        summary,
        deliveries,
        differences: others,
        texts: texts.into_iter().flatten().collect(),
        command: line.again.filter(|_| line.outcome != Outcome::Pass),
    }
}

/// Whether a difference is of this delivery: its first one, where its number is not known.
fn is_of(difference: &DifferenceLine, frame: &PrintedFrame) -> bool {
    difference.delivery.unwrap_or_default() == u64::from(frame.number)
        && frame.words.iter().any(|(name, _)| *name == difference.field)
}

fn row(difference: &DifferenceLine) -> Row {
    let DifferenceLine { field, expected, got, delivery } = difference;
    let field = match delivery {
        Some(number @ 1..) => format!("{field} (delivery {number})"),
        Some(0) | None => field.clone(),
    };
    Row { field, expected: Some(expected.clone()), got: got.clone() }
}

/// The table of a delivery: what was expected is what was got, unless it is among the differences.
fn delivery(frame: &PrintedFrame, differences: &[DifferenceLine]) -> Delivery {
    let address = |value| format!("{value:#x}");
    let number = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    let rows = frame.words.iter().map(|(name, value)| {
        let differs = differences.iter().find(|one| one.field == *name && is_of(one, frame));
        let expected = differs.map(|one| match number(&one.expected) {
            Some(expected) => frame.in_words(name, expected, address),
            None => one.expected.clone(),
        });
        Row { field: (*name).to_owned(), expected, got: frame.in_words(name, *value, address) }
    });
    let mode = frame.mode.to_string().to_uppercase();
    Delivery { title: format!("Delivery {} ({mode})", frame.number), rows: rows.collect() }
}

#[cfg(test)]
mod tests;
