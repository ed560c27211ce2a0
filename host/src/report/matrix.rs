//! The mutants matrix, for people and as docs/behaviours.md.

use crate::engine::mutants::{KILLS, Matrix, Row};
use crate::report::{Difference, reason};
use model::hypervisor::behaviour::Behaviour;
use std::collections::BTreeMap;
use std::io::{Result, Write};

/// Writes one row as it is done. Fails when `output` cannot be written.
pub(crate) fn row(output: &mut impl Write, row: &Row) -> Result<()> {
    let behaviour = row.behaviour;
    let totals = &row.totals;
    writeln!(
        output,
        "{} ({}): {} passed, {} failed, {} errors, {} skipped; {} cases fail",
        behaviour.name,
        plays(behaviour),
        totals.pass,
        totals.fail,
        totals.error,
        totals.skip,
        row.kills.len()
    )?;
    writeln!(output, "    {}", behaviour.summary)?;
    for (case, kill) in &row.kills {
        let first = &kill.first;
        write!(output, "    {case:26} {:3}  ", kill.scenarios)?;
        match (first.differences.first(), reason(first)) {
            (Some(Difference { field, expected, got }), _) => {
                write!(output, "expected {field} {expected}, got {field} {got}")?;
            }
            (None, Some(reason)) => write!(output, "{reason}")?,
            (None, None) => {}
        }
        writeln!(output, "  ({})", first.scenario)?;
    }
    for report in &row.errors {
        writeln!(output, "    no verdict: {}: {}", report.scenario, reason(report).unwrap_or_default())?;
    }
    output.flush()
}

/// Writes the summary of the matrix. Fails when `output` cannot be written.
pub(crate) fn conclusion(output: &mut impl Write, matrix: &Matrix) -> Result<()> {
    let defects = matrix.defects();
    writeln!(output)?;
    for defect in &defects {
        writeln!(output, "DEFECT: {defect}")?;
    }
    if defects.is_empty() {
        writeln!(
            output,
            "no survivor: every correct behaviour passes all of {} scenarios, every other fails at least {KILLS} \
             cases, and every scenario fails with some wrong behaviour, the marked conformance checks excepted",
            matrix.scenarios
        )?;
    }
    writeln!(output, "These results test the tests, not your KVM.")
}

/// The failure modes that a behaviour plays.
fn plays(behaviour: &Behaviour) -> String {
    if behaviour.is_correct() { "correct".to_owned() } else { behaviour.plays.join(" ") }
}

const HEAD: &str = "\
# Behaviours, and what catches them

`midflight mutants --markdown` writes this file, and a test fails when it is out of date. A behaviour is one
way in which the model's hypervisor layer handles event data: a correct one, or one with some of the failure
modes that are listed at the end. With a correct behaviour every scenario must pass; with any other, scenarios
of at least two cases must fail. These results test the tests, not anybody's KVM.

A correct behaviour runs every scenario. A wrong one runs the selection of `--cover`, and what no wrong behaviour
before it has failed (`delivered-twice` comes first, then the others as they are listed): each scenario with a cut
must fail with one of them, but in a case that is marked as a pure conformance check. `midflight mutants` names each
case; `midflight mutants --all` runs everything with each.

";

/// The failure modes that behaviours have. F22, nested virtualization, is not modelled.
const FAILURE_MODES: [(&str, &str); 23] = [
    ("F1", "#DB's event data is rebuilt from DR6"),
    ("F2", "RTM and BLD are inverted in event data, as in DR6"),
    ("F3", "bit 12 or BT leaks into #DB's event data"),
    ("F4", "#NM's event data is a stale IA32_XFD_ERR"),
    ("F5", "#NM's event data is lost"),
    ("F6", "#PF's event data is read from CR2 again"),
    ("F7", "event data is lost when an interrupted delivery is requeued"),
    ("F8", "event data is lost when an injection is cancelled"),
    ("F9", "event data is lost between KVM_GET_VCPU_EVENTS and KVM_SET_VCPU_EVENTS"),
    ("F10", "side effects on CR2 and DR6 happen twice"),
    ("F11", "an event without event data shows an earlier event's"),
    ("F12", "the nested bit is lost or invented"),
    ("F13", "INT1 becomes an ordinary #DB"),
    ("F14", "the instruction length is lost"),
    ("F15", "an event is delivered twice or not at all"),
    ("F16", "an interrupted SYSCALL or SYSENTER is lost"),
    ("F17", "the error code is lost"),
    (
        "F18",
        "STI's interrupt shadow or NMI blocking is lost; an NMI or an interrupt comes early, late or not at all",
    ),
    ("F19", "without KVM_CAP_EXCEPTION_PAYLOAD the event data is lost early"),
    ("F20", "FRED MSRs or the current stack level do not migrate"),
    ("F21", "AMD: DR6-based payload, #NM without data, the wrong field on cancel"),
    ("F23", "RF is lost where pending becomes injected by a migration"),
    ("F24", "a page that a delivery writes is not logged as dirty"),
];

/// The images whose cases catch a behaviour, each with how many.
fn by_image(row: &Row) -> String {
    let mut images: BTreeMap<&str, usize> = BTreeMap::new();
    for kill in row.kills.values() {
        *images.entry(&kill.first.scenario.image).or_default() += 1;
    }
    let counted: Vec<String> = images.iter().map(|(image, count)| format!("{image} {count}")).collect();
    counted.join(", ")
}

/// Writes the matrix as docs/behaviours.md. Fails when `output` cannot be written.
pub(crate) fn markdown(output: &mut impl Write, matrix: &Matrix) -> Result<()> {
    write!(output, "{HEAD}")?;
    writeln!(output, "| behaviour | failure modes | what it does | origin |\n|---|---|---|---|")?;
    for Row { behaviour, .. } in &matrix.rows {
        let Behaviour { name, summary, origin, .. } = behaviour;
        writeln!(output, "| `{name}` | {} | {summary} | {origin} |", plays(behaviour))?;
    }
    writeln!(output, "\n## What catches each\n")?;
    writeln!(
        output,
        "There are {} scenarios. The cases that fail are counted for each image.\n",
        matrix.scenarios
    )?;
    writeln!(output, "| behaviour | scenarios run | of which fail | cases that fail |\n|---|---|---|---|")?;
    for row in matrix.rows.iter().filter(|row| !row.behaviour.is_correct()) {
        let (name, totals, count) = (row.behaviour.name, &row.totals, row.kills.len());
        writeln!(output, "| `{name}` | {} | {} | {count}: {} |", totals.all(), totals.fail, by_image(row))?;
    }
    writeln!(output, "\n## Failure modes\n\n| | |\n|---|---|")?;
    for (mode, what) in FAILURE_MODES {
        writeln!(output, "| {mode} | {what} |")?;
    }
    output.flush()
}
