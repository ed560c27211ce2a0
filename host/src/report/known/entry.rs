//! An entry of a list: which scenarios it is about, what failed, and on which hosts.

use super::fields::DescribedField;
use super::late;
use crate::machines::MachineKind;
use crate::machines::qemu::Side;
use crate::report::{Cited, Difference, Finding, HostFacts, Report};
use crate::scenario::{Action, Scenario, pattern};
use std::collections::BTreeMap;

/// A known issue, or a prediction.
#[derive(Clone, Debug, PartialEq)]
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
    /// name them: `cold`, `none`, `block@frame`, or with `*` for any place: `evict@*`; `storm` is one of any seed.
    /// `compare` is what `midflight compare` does.
    pub stops: Vec<String>,
    /// Where it is not empty, [`cases`](Self::cases) means only scenarios with these actions.
    pub actions: Vec<String>,
    /// Where it says, [`cases`](Self::cases) means only scenarios with, or without,
    /// KVM_CAP_EXCEPTION_PAYLOAD.
    pub payload: Option<bool>,
    /// Every field that differed, in the report's order.
    pub fields: Vec<DescribedField>,
    /// Why it failed, where no field differed.
    pub finding: Option<Finding>,
    /// Which delivery comes late, or never, counted from 0, where that is what failed.
    pub late: Option<u32>,
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

/// What a list is asked about: a scenario on a machine.
#[derive(Clone, Copy, Debug)]
pub struct Of<'a> {
    /// The machine: `kvm`, `qemu` or `model`.
    pub machine: &'a str,
    /// The scenario.
    pub scenario: &'a Scenario,
    /// Who looks.
    pub by: By,
}

/// Who has found a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The guest's judge and the host, as `midflight run` reports it.
    Judge,
    /// `midflight compare`, at a doorbell.
    Compare,
}

/// A failure, whole.
#[derive(Clone, Copy, Debug)]
pub struct Failure<'a> {
    /// Every field that differed.
    pub differences: &'a [Difference],
    /// Why it failed, where no field differed.
    pub why: Option<&'a Finding>,
}

impl<'a> From<&'a Report> for Failure<'a> {
    fn from(report: &'a Report) -> Self {
        Self { differences: &report.differences, why: report.why.as_ref() }
    }
}

/// The stop of what `midflight compare` sees.
pub(super) const COMPARE: &str = "compare";

impl Entry {
    /// Whether it is about what `midflight compare` sees, and nothing else.
    pub fn is_for_compare(&self) -> bool {
        self.scenarios.is_empty() && !self.stops.is_empty() && self.stops.iter().all(|stop| stop == COMPARE)
    }

    /// Whether it is about this, on this host.
    pub fn concerns(&self, of: Of<'_>, facts: &HostFacts) -> bool {
        let by_id =
            || of.by == By::Judge && self.scenarios.iter().any(|id| id.text == of.scenario.to_string());
        let side = Side::of_the_end(of.scenario.plan);
        let holds = |name: &str, value: &str| facts.holds_in(side, name, value);
        self.machine == of.machine && hold(&self.host, holds) && (by_id() || self.concerns_case(of))
    }

    /// Whether it is about this failure, on this host.
    pub(super) fn explains(&self, of: Of<'_>, failure: Failure<'_>, facts: &HostFacts) -> bool {
        (self.concerns(of, facts) || self.concerns_its_kvm(of, facts)) && self.describes(failure)
    }

    /// Whether it is about the KVM by which QEMU runs guests. It need not show there: another user space, and another
    /// CPU model.
    fn concerns_its_kvm(&self, of: Of<'_>, facts: &HostFacts) -> bool {
        let (qemu, kvm) = (MachineKind::Qemu.quirks().name, MachineKind::Kvm.quirks().name);
        of.machine == qemu
            && facts.holds("accelerator", "kvm")
            && self.concerns(Of { machine: kvm, ..of }, facts)
    }

    /// Whether it describes all of a failure, and nothing more.
    fn describes(&self, failure: Failure<'_>) -> bool {
        if let Some(late) = self.late {
            return late::describes(late, failure);
        }
        let Failure { differences, why } = failure;
        let all = self.fields.len() == differences.len();
        let each = || self.fields.iter().zip(differences).all(|(field, one)| field.describes(one));
        match &self.finding {
            _ if !differences.is_empty() => all && each() && self.finding.is_none(),
            Some(finding) => all && why.is_some_and(|why| why.lasting() == *finding),
            None => false,
        }
    }

    fn concerns_case(&self, of: Of<'_>) -> bool {
        let case = of.scenario.case_name();
        self.limits_allow(of) && self.cases.iter().any(|named| pattern::matches(&named.text, &case))
    }

    /// Whether its stops, actions and payload capability leave this scenario.
    pub(super) fn limits_allow(&self, of: Of<'_>) -> bool {
        let Scenario { plan, payload, .. } = of.scenario;
        // Whatever its seed is, a storm is one stop.
        let names = || match of.by {
            By::Judge => [plan.stop_name(), plan.seeded(0).stop_name()],
            By::Compare => [COMPARE.to_owned(), COMPARE.to_owned()],
        };
        let with_stop = self.stops.is_empty() || {
            let names = names();
            let is = |pattern: &String| names.iter().any(|name| pattern::matches(pattern, name));
            self.stops.iter().any(is)
        };
        let of_action = |action: Action| self.actions.contains(&action.to_string());
        let with_action = self.actions.is_empty() || plan.action().is_some_and(of_action);
        with_stop && with_action && self.payload.is_none_or(|with| with == *payload)
    }

    /// What is wrong with the list when the issue did not show.
    pub fn not_shown(&self) -> Finding {
        Finding::NotShown { issue: self.name.clone(), file: self.file.clone(), line: self.line }
    }

    /// As reports have it.
    pub fn cited(&self) -> Cited {
        Cited {
            series: self.host.get(SERIES).map(|names| names.join(", ")),
            name: self.name.clone(),
            reason: self.reason.clone(),
            reference: self.reference.clone(),
        }
    }
}

/// The fact that a prediction must name.
pub(super) const SERIES: &str = "fred_series";

pub(super) fn hold(host: &BTreeMap<String, Vec<String>>, holds: impl Fn(&str, &str) -> bool) -> bool {
    host.iter().all(|(name, values)| values.iter().any(|value| holds(name, value)))
}
