//! known-issues.toml: what is known to be wrong with somebody's machine.
//!
//! An entry names exact scenarios, exactly what they expected and got, and the hosts it holds for.
//! A failure that an entry describes counts as known; an entry whose scenario passes on a host it
//! holds for is itself a failure, so that the list cannot outlive its reasons.

use crate::facts::HostFacts;
use crate::kernel_log::KernelSaid;
use crate::pattern;
use crate::result::{Outcome, Report};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The list that this midflight was built with.
pub const BUILT_IN: &str = include_str!("../../known-issues.toml");

/// The whole list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownIssues {
    /// Its entries.
    #[serde(default, rename = "issue")]
    pub issues: Vec<KnownIssue>,
    /// Warnings of the host's kernel that are known.
    #[serde(default, rename = "kernel_warning")]
    pub warnings: Vec<KnownWarning>,
}

/// A warning that a kernel is known to give while it is tested. Most are given once, so that one that
/// does not show is no failure.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownWarning {
    /// A short name, for reports.
    pub name: String,
    /// The last line of the warning; `*` stands for any text: processor, process and addresses.
    pub text: String,
    /// As for a [`KnownIssue`].
    pub host: BTreeMap<String, Vec<String>>,
    /// Why it happens.
    pub reason: String,
    /// Where it is written down.
    pub reference: String,
}

/// The kernel's warnings during a run, the known ones apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JudgedWarnings {
    /// What the kernel said that nobody knows of.
    pub said: KernelSaid,
    /// What was known, with the reason.
    pub known: Vec<String>,
}

impl JudgedWarnings {
    /// Exit code: 1 when the kernel warned, else 0.
    pub fn exit_code(&self) -> u8 {
        u8::from(!self.said.warnings.is_empty())
    }
}

/// One known issue.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownIssue {
    /// A short name, for reports.
    pub name: String,
    /// The machine: `kvm` or `qemu`.
    pub machine: String,
    /// Exact ids of scenarios.
    #[serde(default)]
    pub scenarios: Vec<String>,
    /// `image/case:delivery`: every scenario of that case and delivery that can run at all. In an
    /// entry for `midflight compare` alone, `*` stands for any text.
    #[serde(default)]
    pub cases: Vec<String>,
    /// Where it is not empty, [`cases`](Self::cases) means only scenarios with these stops, as reports
    /// name them: `cold`, `none`, `block@frame`, or with `*` for any place: `evict@*`. `compare` is what
    /// `midflight compare` does.
    #[serde(default)]
    pub stops: Vec<String>,
    /// Where it is not empty, [`cases`](Self::cases) means only scenarios with these actions.
    #[serde(default)]
    pub actions: Vec<String>,
    /// What failed, exactly: `field expected X, got Y`, joined by `; `, or the report's reason. `*`
    /// stands for any text: for addresses, which move whenever the images are built anew.
    pub failure: String,
    /// Whether it depends on time if it shows: a scenario that passes is then no failure of the list.
    #[serde(default)]
    pub intermittent: bool,
    /// Host facts that must hold, by name: one of the values each. See
    /// [`HostFacts::holds`](crate::facts::HostFacts::holds).
    pub host: BTreeMap<String, Vec<String>>,
    /// Why it happens.
    pub reason: String,
    /// Where it is written down.
    pub reference: String,
}

/// The list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KnownIssuesError {
    /// It is not TOML of this shape.
    #[error("known-issues.toml is broken: {0}")]
    Syntax(#[from] toml::de::Error),
    /// An entry names something that is no scenario's id.
    #[error("known-issues.toml: issue `{issue}`: {error}")]
    Scenario {
        /// The entry's name.
        issue: String,
        /// What is wrong.
        error: crate::scenario::InvalidId,
    },
    /// An entry holds for every host, or names a fact that does not exist.
    #[error("known-issues.toml: issue `{0}` names no host fact, or one that does not exist")]
    Host(String),
    /// An entry for any case that is not for `midflight compare` alone.
    #[error(
        "known-issues.toml: issue `{0}`: `*` in `cases` needs `stops = [\"compare\"]`, and nothing else there"
    )]
    Pattern(String),
    /// The model is never excused.
    #[error("known-issues.toml: issue `{0}` is for the model; the model has no known issues")]
    Model(String),
}

impl KnownIssues {
    /// Reads a list.
    ///
    /// # Errors
    /// When it is not one.
    pub fn parse(text: &str) -> Result<Self, KnownIssuesError> {
        let list: Self = toml::from_str(text)?;
        for warning in &list.warnings {
            check_host(&warning.name, &warning.host)?;
        }
        for issue in &list.issues {
            if issue.machine == "model" {
                return Err(KnownIssuesError::Model(issue.name.clone()));
            }
            check_host(&issue.name, &issue.host)?;
            if issue.cases.iter().any(|case| case.contains('*')) && !issue.is_for_compare() {
                return Err(KnownIssuesError::Pattern(issue.name.clone()));
            }
            let of_cases = issue.cases.iter().map(|case| format!("{case}:cold"));
            for id in issue.scenarios.iter().cloned().chain(of_cases) {
                id.parse::<crate::scenario::Scenario>()
                    .map_err(|error| KnownIssuesError::Scenario { issue: issue.name.clone(), error })?;
            }
        }
        Ok(list)
    }

    /// Turns a described failure into [`Outcome::Known`], and a pass that an entry says is
    /// impossible into a failure.
    pub fn apply(&self, report: &mut Report, facts: &HostFacts) {
        match report.outcome {
            Outcome::Pass => {
                let shows = |issue: &&KnownIssue| !issue.intermittent && issue.concerns(report, facts);
                let Some(issue) = self.issues.iter().find(shows) else { return };
                report.outcome = Outcome::Fail;
                report.reason = Some(not_shown(issue));
            }
            Outcome::Fail | Outcome::Error => {
                if let Some(issue) = self.explain(report, facts) {
                    report.outcome = Outcome::Known;
                    report.reason = Some(issue.to_string());
                }
            }
            Outcome::Skip | Outcome::Known => {}
        }
    }

    /// The entry that describes a failure, if there is one.
    pub fn explain(&self, report: &Report, facts: &HostFacts) -> Option<&KnownIssue> {
        let failure = failure_text(report);
        self.issues
            .iter()
            .find(|issue| issue.concerns(report, facts) && pattern::matches(&issue.failure, &failure))
    }

    /// Sets those of the kernel's warnings apart that are known.
    pub fn excuse(&self, mut said: KernelSaid, facts: &HostFacts) -> JudgedWarnings {
        let mut known = Vec::new();
        said.warnings.retain(|warning| {
            let line = warning.lines().last().unwrap_or_default();
            let entry = self
                .warnings
                .iter()
                .find(|entry| hold(&entry.host, facts) && pattern::matches(&entry.text, line));
            if let Some(entry) = entry {
                known.push(format!("{}: {} ({}): {line}", entry.name, entry.reason, entry.reference));
            }
            entry.is_none()
        });
        JudgedWarnings { said, known }
    }
}

fn check_host(issue: &str, host: &BTreeMap<String, Vec<String>>) -> Result<(), KnownIssuesError> {
    if host.is_empty() || !host.keys().all(|name| HostFacts::NAMES.contains(&name.as_str())) {
        return Err(KnownIssuesError::Host(issue.to_owned()));
    }
    Ok(())
}

fn hold(host: &BTreeMap<String, Vec<String>>, facts: &HostFacts) -> bool {
    host.iter().all(|(name, values)| values.iter().any(|value| facts.holds(name, value)))
}

/// What is wrong with the list when an issue did not show.
pub fn not_shown(issue: &KnownIssue) -> String {
    format!("the known issue `{}` did not show: remove the scenario from known-issues.toml", issue.name)
}

impl std::fmt::Display for KnownIssue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} ({})", self.name, self.reason, self.reference)
    }
}

impl KnownIssue {
    /// Whether it is about what `midflight compare` sees, and nothing else.
    pub fn is_for_compare(&self) -> bool {
        self.scenarios.is_empty() && !self.stops.is_empty() && self.stops.iter().all(|stop| stop == "compare")
    }

    /// Whether it is about this scenario, on this host.
    pub fn concerns(&self, report: &Report, facts: &HostFacts) -> bool {
        self.machine == report.machine
            && (self.scenarios.contains(&report.id) || self.concerns_case(report))
            && hold(&self.host, facts)
    }

    fn concerns_case(&self, report: &Report) -> bool {
        let with_stop =
            self.stops.is_empty() || self.stops.iter().any(|stop| pattern::matches(stop, &report.stop));
        let of_action = |action: &String| self.actions.contains(action);
        let with_action = self.actions.is_empty() || report.action.as_ref().is_some_and(of_action);
        with_stop && with_action && self.cases.iter().any(|case| pattern::matches(case, &case_of(report)))
    }
}

fn case_of(report: &Report) -> String {
    format!("{}/{}:{}", report.image, report.case, report.delivery)
}

/// How a failure is written in the list.
pub fn failure_text(report: &Report) -> String {
    if report.differences.is_empty() {
        return report.reason.clone().unwrap_or_default();
    }
    let each = |d: &vm::Difference| format!("{} expected {}, got {}", d.field, d.expected, d.got);
    report.differences.iter().map(each).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
