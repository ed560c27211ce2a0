//! `midflight mutants`: the suite judged by the behaviours of the model.

use super::args::MutantsArgs;
use super::{CliError, select};
use crate::images;
use crate::report::Totals;
use crate::result::{Outcome, Report};
use crate::run::pool::{self, Engine};
use crate::scenario::{Plan, Scenario};
use model::hypervisor::behaviour::{self, Behaviour};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufWriter, Result as IoResult, Write, stdout};
use std::path::PathBuf;

/// How many different cases must catch a wrong behaviour.
const KILLS: usize = 2;

pub(super) fn mutants(args: &MutantsArgs, files: &[PathBuf]) -> Result<u8, CliError> {
    let images = images::load(files)?;
    let scenarios = select::select(&images, &[])?;
    let mut output = BufWriter::new(stdout().lock());
    let mut defects = Vec::new();
    let mut useful = BTreeSet::new();
    for behaviour in behaviour::all() {
        let engine = Engine::Model { behaviour, timeout: args.timeout, frames: false };
        let reports = pool::run(&engine, &images, &scenarios, |_| {});
        let kills = kills(&reports);
        row(&mut output, behaviour, &reports, &kills)?;
        if let Some(defect) = defect(behaviour, &reports, &kills) {
            defects.push(defect);
        }
        if !behaviour.is_correct() {
            useful.extend(reports.iter().filter(|r| r.outcome == Outcome::Fail).map(|r| r.id.clone()));
        }
        output.flush()?;
    }
    defects.extend(idle(&scenarios, &useful));
    writeln!(output)?;
    for defect in &defects {
        writeln!(output, "DEFECT: {defect}")?;
    }
    if defects.is_empty() {
        writeln!(
            output,
            "no survivor: every correct behaviour passes all of {} scenarios, every other fails at least {KILLS} \
             cases",
            scenarios.len()
        )?;
    }
    writeln!(output, "These results test the tests, not your KVM.")?;
    output.flush()?;
    Ok(u8::from(!defects.is_empty()))
}

/// Scenarios with a cut that no wrong behaviour fails. Those without a cut check that machine and
/// image agree at all: they are conformance checks.
fn idle<'s>(
    scenarios: &'s [(usize, Scenario)],
    useful: &'s BTreeSet<String>,
) -> impl Iterator<Item = String> + 's {
    scenarios
        .iter()
        .filter(|(_, scenario)| matches!(scenario.plan, Plan::Cut(..)))
        .map(|(_, scenario)| scenario.to_string())
        .filter(|id| !useful.contains(id))
        .map(|id| format!("{id} fails with no wrong behaviour"))
}

/// For each case that fails: how many of its scenarios do, and the first of them.
type Kills<'r> = BTreeMap<String, (usize, &'r Report)>;

fn kills(reports: &[Report]) -> Kills<'_> {
    let mut kills = Kills::new();
    for report in reports.iter().filter(|report| report.outcome == Outcome::Fail) {
        let case = format!("{}/{}", report.image, report.case);
        kills.entry(case).or_insert((0, report)).0 += 1;
    }
    kills
}

fn row(
    output: &mut impl Write,
    behaviour: &Behaviour,
    reports: &[Report],
    kills: &Kills<'_>,
) -> IoResult<()> {
    let totals = Totals::of(reports);
    let kind = if behaviour.is_correct() { "correct" } else { "wrong" };
    writeln!(
        output,
        "{} ({kind}): {} passed, {} failed, {} errors, {} skipped; {} cases fail",
        behaviour.name,
        totals.pass,
        totals.fail,
        totals.error,
        totals.skip,
        kills.len()
    )?;
    writeln!(output, "    {}", behaviour.summary)?;
    for (case, (count, first)) in kills {
        let expected = first.expected.as_deref().or(first.reason.as_deref()).unwrap_or("");
        let got = first.got.as_deref().unwrap_or("");
        writeln!(output, "    {case:26} {count:3}  expected {expected}, got {got}  ({})", first.id)?;
    }
    for report in reports.iter().filter(|report| report.outcome == Outcome::Error).take(3) {
        writeln!(output, "    ERROR {}: {}", report.id, report.reason.as_deref().unwrap_or(""))?;
    }
    Ok(())
}

fn defect(behaviour: &Behaviour, reports: &[Report], kills: &Kills<'_>) -> Option<String> {
    let totals = Totals::of(reports);
    let name = behaviour.name;
    // A wrong behaviour may break a guest so badly that its stop is never met: that is no kill, and
    // no defect of the suite either.
    if behaviour.is_correct() && totals.error > 0 {
        return Some(format!("{name}: {} scenarios came to no verdict", totals.error));
    }
    if totals.skip > 0 {
        return Some(format!("{name}: {} scenarios were skipped; the model can do everything", totals.skip));
    }
    if behaviour.is_correct() && totals.fail > 0 {
        return Some(format!("{name} is correct and fails {} scenarios", totals.fail));
    }
    if !behaviour.is_correct() && kills.len() < KILLS {
        return Some(format!("{name} is wrong and only {} cases fail", kills.len()));
    }
    None
}
