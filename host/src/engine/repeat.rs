//! The outcome of a scenario that ran more than once.

use crate::report::Report;
use crate::scenario::Scenario;
use std::collections::HashMap;

/// The runs of each scenario on each machine, of which one report is made: the first of the worst runs,
/// with the cuts and the wall time of all. Known issues must have been applied before: a failure that is
/// known would hide one that is not.
pub(crate) struct Runs {
    times: u32,
    /// How many runs there were.
    count: usize,
    /// By machine and scenario, what has run too few times yet, and when it first came.
    folded: HashMap<(String, Scenario), (usize, Report)>,
}

impl Runs {
    /// Each scenario runs so many times.
    pub(crate) fn new(times: u32) -> Self {
        Self { times, count: 0, folded: HashMap::new() }
    }

    /// Adds a run; gives the scenario's report when it was the last one.
    pub(crate) fn add(&mut self, run: Report) -> Option<Report> {
        self.count += 1;
        let key = (run.machine.clone(), run.scenario.clone());
        let (first, report) = match self.folded.remove(&key) {
            Some((first, report)) => (first, added(report, run)),
            None => (self.count, run),
        };
        if report.runs >= self.times {
            return Some(report);
        }
        self.folded.insert(key, (first, report));
        None
    }

    /// Whether nothing has run.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The reports of scenarios that ran, and fewer times than they should, in the order in which they first came.
    pub(crate) fn rest(self) -> impl Iterator<Item = Report> {
        let mut rest: Vec<_> = self.folded.into_values().collect();
        rest.sort_by_key(|(first, _)| *first);
        rest.into_iter().map(|(_, report)| report)
    }
}

fn added(mut to: Report, run: Report) -> Report {
    let all = (to.cuts + run.cuts, to.runs + run.runs, to.duration_us + run.duration_us);
    if run.outcome > to.outcome {
        to = run;
    } else if run.outcome == to.outcome {
        to.runs_alike += run.runs_alike;
    }
    (to.cuts, to.runs, to.duration_us) = all;
    to
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::outcome::Outcome;

    fn report(id: &str, machine: &str, outcome: Outcome, cuts: u32) -> Report {
        let mut report = Report::new(&id.parse().unwrap(), machine, None).concluded(outcome, None);
        (report.cuts, report.duration_us) = (cuts, 10);
        report
    }

    #[test]
    fn the_worst_run_is_reported_with_the_cuts_of_all() {
        let (a, b) = ("pf/a:idt:io:migrate", "pf/b:idt:io:migrate");
        let runs_of = |times| {
            let mut runs = Runs::new(times);
            let given: Vec<Report> = [
                report(a, "kvm", Outcome::Pass, 1),
                report(b, "kvm", Outcome::Known, 1),
                report(a, "kvm", Outcome::Fail, 2),
                report(a, "model", Outcome::Pass, 1),
                report(b, "kvm", Outcome::Pass, 1),
                report(a, "kvm", Outcome::Fail, 0),
                report(a, "kvm", Outcome::Pass, 1),
            ]
            .into_iter()
            .filter_map(|run| runs.add(run))
            .collect();
            (given, runs.rest().collect::<Vec<_>>())
        };
        let seen = |reports: &[Report]| -> Vec<_> {
            let one = |r: &Report| {
                (r.scenario.to_string(), r.machine.clone(), r.outcome, r.cuts, r.runs, r.runs_alike)
            };
            reports.iter().map(one).collect()
        };
        let (a, b, kvm, model) = (a.to_owned(), b.to_owned(), "kvm".to_owned(), "model".to_owned());
        let of_a = (a.clone(), kvm.clone(), Outcome::Fail, 4, 4, 2);
        let of_b = (b, kvm, Outcome::Known, 2, 2, 1);
        let once = (a, model, Outcome::Pass, 1, 1, 1);
        // The one that has run four times is given at once, the others when it is over.
        let (given, rest) = runs_of(4);
        assert_eq!(seen(&given), std::slice::from_ref(&of_a));
        assert_eq!(given[0].duration_us, 40);
        assert_eq!(seen(&rest), [of_b.clone(), once.clone()]);
        assert_eq!(seen(&runs_of(5).1), [of_a, of_b, once]);
        assert_eq!(runs_of(1).0.len(), 7, "every run by itself");
    }
}
