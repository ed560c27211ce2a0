//! The page of the mutants matrix: which cases catch which behaviour.

use super::detail::{Detail, Row};
use super::page::{Cell, Kind, Page, Section, Words};
use crate::engine::mutants::{KILLS, Kill, Matrix, Row as Behaved};
use crate::report::reason;
use std::collections::HashMap;
use std::io::{Result, Write};

/// What a behaviour and a case may come to, least severe first.
const KINDS: [Kind; 3] = [
    Kind { name: "passes", tone: "pass", attention: false },
    Kind { name: "caught", tone: "caught", attention: false },
    Kind { name: "defect", tone: "fail", attention: true },
];
/// Their places there.
const PASSES: usize = 0;
const CAUGHT: usize = 1;
const DEFECT: usize = 2;

/// Writes the page. Fails when `output` cannot be written.
pub(crate) fn write(output: &mut dyn Write, matrix: &Matrix) -> Result<()> {
    let mut page = Page::new(Words {
        title: "midflight: what catches each behaviour".to_owned(),
        sentences: vec![
            format!(
                "A behaviour is one way in which the model's hypervisor layer handles event data. Every correct one must \
                 pass all of {} scenarios; of every other one at least {KILLS} cases must fail.",
                matrix.scenarios
            ),
            "These results test the tests, not your KVM.".to_owned(),
        ],
        outcomes: KINDS.to_vec(),
        heads: "image and case",
        cells_say: "A number says how many scenarios fail, in the row of all cases how many cases. Where a cell is empty, nothing \
                    fails.",
        attention: "Defects of the suite",
        none: "No defect: every wrong behaviour is caught, every correct one passes",
        everything: "all cases",
        joint: " with ",
    });
    matrix.idle.iter().for_each(|idle| page.say(format!("Defect: {idle}")));
    let section = page.section(Section {
        name: "model".to_owned(),
        options: String::new(),
        facts: Vec::new(),
        notes: vec!["The model, software in this process.".to_owned()],
    });
    for row in &matrix.rows {
        page.add(whole(section, row));
        for (case, kill) in &row.kills {
            page.add(caught(section, row, case, kill));
        }
    }
    let places: HashMap<&str, usize> = matrix.rows.iter().map(|row| row.behaviour.name).zip(0..).collect();
    page.write(output, |(_, behaviour)| places.get(behaviour.as_str()).copied())
}

/// What stands over a behaviour's name: nothing, so that a cell is called `CASE with BEHAVIOUR`.
const OVER: &str = "";

/// A behaviour as a whole.
fn whole(section: usize, row: &Behaved) -> Cell<'_> {
    let Behaved { behaviour, totals, kills, errors } = row;
    let outcome = match (row.defect(), behaviour.is_correct()) {
        (Some(_), _) => DEFECT,
        (None, true) => PASSES,
        (None, false) => CAUGHT,
    };
    let plays =
        if behaviour.is_correct() { "none: it is correct".to_owned() } else { behaviour.plays.join(" ") };
    let no_verdict = errors
        .iter()
        .map(|report| format!("{}: {}", report.scenario, reason(report).unwrap_or_default()))
        .collect::<Vec<_>>();
    let mut texts = vec![
        ("what it does", behaviour.summary.to_owned()),
        ("failure modes", plays),
        ("origin", behaviour.origin.to_owned()),
        ("scenarios", format!("{} ran, {} failed, {} errors", totals.all(), totals.fail, totals.error)),
        ("cases that catch it", kills.len().to_string()),
    ];
    if !no_verdict.is_empty() {
        texts.push(("no verdict", no_verdict.join("\n")));
    }
    Cell {
        section,
        row: ("", "all cases"),
        column: (OVER, behaviour.name),
        outcome,
        number: kills.len(),
        microseconds: None,
        detail: Detail {
            summary: row.defect().or_else(|| Some(behaviour.summary.to_owned())),
            texts,
            command: Some("midflight mutants".to_owned()),
            ..Detail::default()
        },
    }
}

/// A case that fails with a behaviour.
fn caught<'a>(section: usize, row: &'a Behaved, case: &'a str, kill: &'a Kill) -> Cell<'a> {
    let (behaviour, first) = (row.behaviour, &kill.first);
    let differences: Vec<Row> = first
        .differences
        .iter()
        .map(|one| Row {
            field: one.field.to_string(),
            expected: Some(one.expected.to_string()),
            got: one.got.to_string(),
        })
        .collect();
    let why = reason(first);
    let summary = why.clone().or_else(|| {
        let first = differences.first()?;
        Some(format!("{} expected {}, got {}", first.field, first.expected.as_deref()?, first.got))
    });
    let texts = [
        Some(("what the behaviour does", behaviour.summary.to_owned())),
        Some(("scenarios that fail", kill.scenarios.to_string())),
        Some(("the first of them", first.scenario.to_string())),
        why.map(|why| ("why", why)),
        first.queue.as_ref().map(|queue| ("queue at the cut", queue.to_string())),
    ];
    Cell {
        section,
        row: (&first.scenario.image, case),
        column: (OVER, behaviour.name),
        outcome: if behaviour.is_correct() { DEFECT } else { CAUGHT },
        number: kill.scenarios,
        microseconds: None,
        detail: Detail {
            summary,
            differences,
            texts: texts.into_iter().flatten().collect(),
            command: Some(format!("midflight run {} --behaviour {}", first.scenario, behaviour.name)),
            ..Detail::default()
        },
    }
}
