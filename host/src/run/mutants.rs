//! Every behaviour of the model against every scenario: the suite judged.

use crate::image::Image;
use crate::report::Totals;
use crate::result::{Outcome, Report};
use crate::run::pool::{self, Engine};
use crate::scenario::{self, Plan, Scenario};
use model::hypervisor::behaviour::{self, Behaviour};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How many different cases must catch a wrong behaviour.
pub const KILLS: usize = 2;

/// What every behaviour did.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// A row for each behaviour, the default one first.
    pub rows: Vec<Row>,
    /// How many scenarios ran with each.
    pub scenarios: usize,
    /// Scenarios with a cut that no wrong behaviour fails. Those without a cut check that machine
    /// and image agree at all: they are conformance checks.
    pub idle: Vec<String>,
}

/// What one behaviour did.
#[derive(Clone, Debug)]
pub struct Row {
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
#[derive(Clone, Debug)]
pub struct Kill {
    /// How many of its scenarios fail.
    pub scenarios: usize,
    /// The first of them.
    pub first: Report,
}

impl Matrix {
    /// Runs everything; `progress` is told of each row as it is done.
    pub fn run(images: &[Image], timeout: Duration, mut progress: impl FnMut(&Row)) -> Self {
        let scenarios: Vec<(usize, Scenario)> = images
            .iter()
            .enumerate()
            .flat_map(|(index, image)| scenario::all(image).into_iter().map(move |one| (index, one)))
            .collect();
        let mut useful = BTreeSet::new();
        let mut rows = Vec::new();
        for behaviour in behaviour::all() {
            let engine = Engine::Model { behaviour, timeout, frames: false };
            let reports = pool::run(&engine, images, &scenarios, |_| {});
            let failed = reports.iter().filter(|report| report.outcome == Outcome::Fail);
            if !behaviour.is_correct() {
                useful.extend(failed.map(|report| report.id.clone()));
            }
            let row = Row::of(behaviour, &reports);
            progress(&row);
            rows.push(row);
        }
        let cut = scenarios.iter().filter(|(_, scenario)| matches!(scenario.plan, Plan::Cut(..)));
        let idle = cut.map(|(_, scenario)| scenario.to_string()).filter(|id| !useful.contains(id)).collect();
        Self { rows, scenarios: scenarios.len(), idle }
    }

    /// What is wrong with the suite, or with the model: a sentence each.
    pub fn defects(&self) -> Vec<String> {
        let of_rows = self.rows.iter().filter_map(Row::defect);
        of_rows.chain(self.idle.iter().map(|id| format!("{id} fails with no wrong behaviour"))).collect()
    }
}

impl Row {
    fn of(behaviour: &'static Behaviour, reports: &[Report]) -> Self {
        let mut kills = BTreeMap::new();
        for report in reports.iter().filter(|report| report.outcome == Outcome::Fail) {
            kills
                .entry(format!("{}/{}", report.image, report.case))
                .or_insert_with(|| Kill { scenarios: 0, first: report.clone() })
                .scenarios += 1;
        }
        let errors = reports.iter().filter(|report| report.outcome == Outcome::Error);
        Self { behaviour, totals: Totals::of(reports), kills, errors: errors.take(3).cloned().collect() }
    }

    fn defect(&self) -> Option<String> {
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
