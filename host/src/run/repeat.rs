//! What became of a scenario that ran more than once.

use crate::result::Report;
use std::collections::HashMap;

/// One report for each scenario and machine, in the order in which they first come: the first of the
/// worst runs, with the cuts and the wall time of all runs. Known issues must have been applied before:
/// a failure that is known would hide one that is not.
pub fn fold(reports: Vec<Report>) -> Vec<Report> {
    let mut places: HashMap<(String, String), usize> = HashMap::new();
    let mut folded: Vec<Report> = Vec::new();
    for report in reports {
        match places.entry((report.machine.clone(), report.id.clone())) {
            std::collections::hash_map::Entry::Occupied(place) => add(&mut folded[*place.get()], report),
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(folded.len());
                folded.push(report);
            }
        }
    }
    folded
}

fn add(to: &mut Report, run: Report) {
    let all = (to.cuts + run.cuts, to.runs + run.runs, to.duration_us + run.duration_us);
    if run.outcome > to.outcome {
        *to = run;
    } else if run.outcome == to.outcome {
        to.runs_alike += run.runs_alike;
    }
    (to.cuts, to.runs, to.duration_us) = all;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Outcome;

    fn report(id: &str, machine: &str, outcome: Outcome, cuts: u32) -> Report {
        let mut report = Report::new(&id.parse().unwrap(), machine, None).concluded(outcome, None);
        (report.cuts, report.duration_us) = (cuts, 10);
        report
    }

    #[test]
    fn the_worst_run_is_reported_with_the_cuts_of_all() {
        let (a, b) = ("pf/a:idt:io:migrate", "pf/b:idt:io:migrate");
        let folded = fold(vec![
            report(a, "kvm", Outcome::Pass, 1),
            report(b, "kvm", Outcome::Known, 1),
            report(a, "kvm", Outcome::Fail, 2),
            report(a, "model", Outcome::Pass, 1),
            report(b, "kvm", Outcome::Pass, 1),
            report(a, "kvm", Outcome::Fail, 0),
            report(a, "kvm", Outcome::Pass, 1),
        ]);
        let seen: Vec<_> = folded
            .iter()
            .map(|r| (r.id.as_str(), r.machine.as_str(), r.outcome, r.cuts, r.runs, r.runs_alike))
            .collect();
        let expected = [
            (a, "kvm", Outcome::Fail, 4, 4, 2),
            (b, "kvm", Outcome::Known, 2, 2, 1),
            (a, "model", Outcome::Pass, 1, 1, 1),
        ];
        assert_eq!(seen, expected);
        assert_eq!(folded[0].duration_us, 40);
    }
}
