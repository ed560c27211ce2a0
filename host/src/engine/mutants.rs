//! Every behaviour of the model against the scenarios: the suite judged.
//!
//! A correct behaviour runs every scenario. A wrong one runs the [selection](scenario::cover), and of the rest what no
//! wrong behaviour before it has failed: that a scenario catches something needs to be shown once. So nothing is called
//! idle that did not run with every behaviour. What this leaves out is how many scenarios each wrong behaviour fails in
//! all, which [`Extent::All`] counts.

use crate::ending;
use crate::engine::{Job, RunOptions, pool};
use crate::image::Image;
use crate::machines::Description;
use crate::machines::model::Model;
use crate::report::{Outcome, Report, Totals};
use crate::scenario::{self, Plan, Scenario};
use model::hypervisor::behaviour::{self, Behaviour};
use protocol::note::CaseFlags;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How many different cases must catch a wrong behaviour.
pub(crate) const KILLS: usize = 2;

/// What the wrong behaviours run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Extent {
    /// The selection, and what has caught nothing yet.
    Selection,
    /// Every scenario.
    All,
}

/// What every behaviour did.
#[derive(Clone)]
pub(crate) struct Matrix {
    /// A row for each behaviour, the default one first.
    pub rows: Vec<Row>,
    /// How many scenarios there are: each correct behaviour ran them all.
    pub scenarios: usize,
    /// What catches no wrong behaviour and is not marked so, or the other way round: a sentence each.
    pub idle: Vec<String>,
}

/// What one behaviour did.
#[derive(Clone)]
pub(crate) struct Row {
    /// The behaviour.
    pub behaviour: &'static Behaviour,
    /// Its counts.
    pub totals: Totals,
    /// The cases that catch it, by name.
    pub kills: BTreeMap<String, Kill>,
    /// Some scenarios that came to no verdict.
    pub errors: Vec<Report>,
}

/// A case that catches a behaviour.
#[derive(Clone)]
pub(crate) struct Kill {
    /// How many of its scenarios fail.
    pub scenarios: usize,
    /// The first of them.
    pub first: Report,
}

impl Matrix {
    /// Runs the behaviours; `progress` is called for each row as it is done. `None` when this process is
    /// [ended by a signal](ending::signal) before that.
    pub(crate) fn run(
        images: &[Image],
        extent: Extent,
        timeout: Duration,
        mut progress: impl FnMut(&Row),
    ) -> Option<Self> {
        let scenarios = scenario::indexed(images, scenario::all);
        let selected = scenario::cover(images, &scenarios);
        let mut useful = Useful::default();
        let mut rows = Vec::new();
        for behaviour in in_order() {
            let everything = behaviour.is_correct() || extent == Extent::All;
            let (chosen, rest): (Vec<_>, Vec<_>) =
                scenarios.iter().cloned().zip(&selected).partition(|((_, scenario), selected)| {
                    everything || **selected || useful.is_asked(scenario)
                });
            let mut reports = on(behaviour, images, chosen, timeout);
            // What the selection does not catch twice may be caught by the rest.
            if !behaviour.is_correct() && caught(&reports) < KILLS {
                reports.extend(on(behaviour, images, rest, timeout));
            }
            if ending::signal().is_some() {
                return None;
            }
            if !behaviour.is_correct() {
                useful.add(&reports);
            }
            let row = Row::of(behaviour, &reports);
            progress(&row);
            rows.push(row);
        }
        rows.sort_by_key(|row: &Row| {
            behaviour::all().position(|behaviour| behaviour.name == row.behaviour.name)
        });
        let idle = useful.idle(images, &scenarios);
        Some(Self { rows, scenarios: scenarios.len(), idle })
    }

    /// What is wrong with the suite, or with the model: a sentence each.
    pub(crate) fn defects(&self) -> Vec<String> {
        let of_rows = self.rows.iter().filter_map(Row::defect);
        of_rows.chain(self.idle.iter().cloned()).collect()
    }
}

/// Runs scenarios, each with its image's index, with a behaviour.
fn on(
    behaviour: &'static Behaviour,
    images: &[Image],
    scenarios: Vec<((usize, Scenario), &bool)>,
    timeout: Duration,
) -> Vec<Report> {
    let scenarios: Vec<_> = scenarios.into_iter().map(|(one, _)| one).collect();
    let job = Job::On(Description::Model(Model(behaviour)));
    let options = RunOptions { in_memory: true, ..RunOptions::within(timeout) };
    pool::all(&job, &options, images, &scenarios, |_| {})
}

/// How many cases fail.
fn caught(reports: &[Report]) -> usize {
    let failed = reports.iter().filter(|report| report.outcome == Outcome::Fail);
    failed.map(|report| case_of(&report.scenario)).collect::<BTreeSet<_>>().len()
}

/// The behaviours, the one first that fails most scenarios: it leaves little to the others.
fn in_order() -> Vec<&'static Behaviour> {
    let mut behaviours: Vec<&'static Behaviour> = behaviour::all().collect();
    behaviours.sort_by_key(|behaviour| behaviour.name != behaviour::flaws::DELIVERED_TWICE.name);
    behaviours
}

/// What some wrong behaviour fails.
#[derive(Default)]
struct Useful {
    scenarios: BTreeSet<Scenario>,
    /// Their cases, by name.
    cases: BTreeSet<String>,
}

/// The name of a case, whatever its delivery.
fn case_of(scenario: &Scenario) -> String {
    format!("{}/{}", scenario.image, scenario.case)
}

fn is_cut(scenario: &Scenario) -> bool {
    match scenario.plan {
        Plan::Cut(..) => true,
        Plan::Cold | Plan::None => false,
    }
}

impl Useful {
    fn add(&mut self, reports: &[Report]) {
        for report in reports.iter().filter(|report| report.outcome == Outcome::Fail) {
            self.cases.insert(case_of(&report.scenario));
            self.scenarios.insert(report.scenario.clone());
        }
    }

    /// Whether it is still to be shown that a scenario catches something: as [`idle_of`] asks, one without a cut
    /// need not where another of its case does.
    fn is_asked(&self, scenario: &Scenario) -> bool {
        !self.scenarios.contains(scenario) && (is_cut(scenario) || !self.cases.contains(&case_of(scenario)))
    }

    /// What catches nothing and is not marked so, or the other way round.
    fn idle(&self, images: &[Image], scenarios: &[(usize, Scenario)]) -> Vec<String> {
        let mut of_case: BTreeMap<(usize, &str), Vec<Used>> = BTreeMap::new();
        for (image, scenario) in scenarios {
            of_case.entry((*image, &scenario.case)).or_default().push(Used {
                id: scenario.to_string(),
                cut: is_cut(scenario),
                useful: self.scenarios.contains(scenario),
            });
        }
        let cases = images
            .iter()
            .enumerate()
            .flat_map(|(index, image)| image.cases.iter().map(move |case| (index, image, case)));
        cases
            .flat_map(|(index, image, case)| {
                let used = of_case.get(&(index, case.name.as_str())).map_or(&[][..], Vec::as_slice);
                let name = format!("{}/{}", image.name, case.name);
                idle_of(&name, case.flags.contains(CaseFlags::CONFORMANCE), used)
            })
            .collect()
    }
}

/// A scenario, and whether some wrong behaviour fails it.
struct Used {
    id: String,
    cut: bool,
    useful: bool,
}

/// What a case's scenarios that catch nothing say about its mark. A scenario with a cut answers for
/// itself, one without by its case: it is the control of those with one.
fn idle_of(name: &str, marked: bool, scenarios: &[Used]) -> Vec<String> {
    let useful = scenarios.iter().find(|scenario| scenario.useful);
    match (marked, useful) {
        (true, Some(Used { id, .. })) => vec![format!(
            "{name} is marked as a pure conformance check, and {id} fails with a wrong behaviour: the mark is stale"
        )],
        (true, None) => Vec::new(),
        (false, None) => vec![format!(
            "{name} fails with no wrong behaviour and is not marked as a pure conformance check"
        )],
        (false, Some(_)) => {
            let idle = scenarios.iter().filter(|scenario| scenario.cut && !scenario.useful);
            idle.map(|scenario| format!("{} fails with no wrong behaviour", scenario.id)).collect()
        }
    }
}

impl Row {
    fn of(behaviour: &'static Behaviour, reports: &[Report]) -> Self {
        let mut kills = BTreeMap::new();
        for report in reports.iter().filter(|report| report.outcome == Outcome::Fail) {
            kills
                .entry(case_of(&report.scenario))
                .or_insert_with(|| Kill { scenarios: 0, first: report.clone() })
                .scenarios += 1;
        }
        let errors = reports.iter().filter(|report| report.outcome == Outcome::Error);
        Self { behaviour, totals: Totals::of(reports), kills, errors: errors.take(3).cloned().collect() }
    }

    /// What is wrong with the suite, or with the model, where this behaviour shows it.
    pub(crate) fn defect(&self) -> Option<String> {
        let Self { behaviour, totals, kills, .. } = self;
        let name = behaviour.name;
        if totals.skip > 0 {
            return Some(format!(
                "{name}: {} scenarios were skipped; the model can do everything",
                totals.skip
            ));
        }
        // A wrong behaviour may break a guest so badly that its stop is never met: that is no kill,
        // and no defect of the suite either.
        if behaviour.is_correct() && totals.error > 0 {
            return Some(format!("{name}: {} scenarios came to no verdict", totals.error));
        }
        if behaviour.is_correct() && totals.fail > 0 {
            return Some(format!("{name} is correct and fails {} scenarios", totals.fail));
        }
        if !behaviour.is_correct() && kills.len() < KILLS {
            return Some(format!("{name} is wrong and only {} cases fail", kills.len()));
        }
        None
    }
}

#[cfg(test)]
mod tests;
