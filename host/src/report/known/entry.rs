//! An entry of a list: which scenarios it is about, what failed, and on which hosts.

use crate::report::difference::Difference;
use crate::report::facts::HostFacts;
use crate::report::outcome::Report;
use crate::scenario::pattern;
use std::collections::BTreeMap;

/// A known issue, or a prediction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// A short name, for reports.
    pub name: String,
    /// Where it is written: the list's own name.
    pub file: String,
    /// The line of its name, from 1.
    pub line: usize,
    /// The machine: `kvm` or `qemu`.
    pub machine: String,
    /// Exact ids of scenarios.
    pub scenarios: Vec<Named>,
    /// `image/case:delivery`: every scenario of that case and delivery that can run at all. In an
    /// entry for `midflight compare` alone, `*` stands for any text.
    pub cases: Vec<Named>,
    /// Where it is not empty, [`cases`](Self::cases) means only scenarios with these stops, as reports
    /// name them: `cold`, `none`, `block@frame`, or with `*` for any place: `evict@*`. `compare` is what
    /// `midflight compare` does.
    pub stops: Vec<String>,
    /// Where it is not empty, [`cases`](Self::cases) means only scenarios with these actions.
    pub actions: Vec<String>,
    /// Where it says, [`cases`](Self::cases) means only scenarios with, or without,
    /// KVM_CAP_EXCEPTION_PAYLOAD.
    pub payload: Option<bool>,
    /// What failed, exactly: `field expected X, got Y`, joined by `; `, or the report's reason. `*`
    /// stands for any text: for addresses, which move whenever the images are built anew.
    pub failure: String,
    /// Whether it depends on time if it shows: a scenario that passes is then no failure of the list.
    pub intermittent: bool,
    /// Host facts that must hold, by name: one of the values each. See
    /// [`HostFacts::holds`](crate::report::facts::HostFacts::holds).
    pub host: BTreeMap<String, Vec<String>>,
    /// Why it happens.
    pub reason: String,
    /// Where it is written down.
    pub reference: String,
}

/// Scenarios that an entry names, and the line where it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// An id, or `image/case:delivery`.
    pub text: String,
    /// The line, from 1.
    pub line: usize,
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} ({})", self.name, self.reason, self.reference)
    }
}

/// The stop of what `midflight compare` sees.
pub(super) const COMPARE: &str = "compare";

impl Entry {
    /// Whether it is about what `midflight compare` sees, and nothing else.
    pub fn is_for_compare(&self) -> bool {
        self.scenarios.is_empty() && !self.stops.is_empty() && self.stops.iter().all(|stop| stop == COMPARE)
    }

    /// Whether it is about this scenario, on this host.
    pub fn concerns(&self, report: &Report, facts: &HostFacts) -> bool {
        self.machine == report.machine
            && (self.scenarios.iter().any(|id| id.text == report.id) || self.concerns_case(report))
            && hold(&self.host, facts)
    }

    /// Whether it is about this failure of this scenario, on this host.
    pub(super) fn explains(&self, report: &Report, facts: &HostFacts) -> bool {
        self.concerns(report, facts) && pattern::matches(&self.failure, &failure_text(report))
    }

    fn concerns_case(&self, report: &Report) -> bool {
        let case = case_of(report);
        self.limits_allow(report) && self.cases.iter().any(|named| pattern::matches(&named.text, &case))
    }

    /// Whether its stops, actions and payload capability leave this scenario.
    pub(super) fn limits_allow(&self, report: &Report) -> bool {
        let with_stop =
            self.stops.is_empty() || self.stops.iter().any(|stop| pattern::matches(stop, &report.stop));
        let of_action = |action: &String| self.actions.contains(action);
        let with_action = self.actions.is_empty() || report.action.as_ref().is_some_and(of_action);
        with_stop && with_action && self.payload.is_none_or(|payload| payload == report.payload)
    }

    /// What is wrong with the list when the issue did not show.
    pub fn not_shown(&self) -> String {
        let Self { name, file, line, .. } = self;
        format!("the known issue `{name}` did not show: remove the scenario from {file}, line {line}")
    }

    /// As reports have it where it is a prediction.
    pub(super) fn as_prediction(&self) -> String {
        let series = self.host.get(SERIES).map(|names| names.join(", ")).unwrap_or_default();
        format!("for the FRED series {series}: {self}")
    }
}

/// The fact that a prediction must name.
pub(super) const SERIES: &str = "fred_series";

pub(super) fn hold(host: &BTreeMap<String, Vec<String>>, facts: &HostFacts) -> bool {
    host.iter().all(|(name, values)| values.iter().any(|value| facts.holds(name, value)))
}

/// `image/case:delivery`, as [`Entry::cases`] has it.
pub(super) fn case_of(report: &Report) -> String {
    format!("{}/{}:{}", report.image, report.case, report.delivery)
}

/// How a failure is written in a list.
pub fn failure_text(report: &Report) -> String {
    if report.differences.is_empty() {
        return report.reason.clone().unwrap_or_default();
    }
    let each = |d: &Difference| format!("{} expected {}, got {}", d.field, d.expected, d.got);
    report.differences.iter().map(each).collect::<Vec<_>>().join("; ")
}
