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
                let Some(issue) = self.issues.iter().find(|issue| issue.concerns(report, facts)) else {
                    return;
                };
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
    let each = |d: &crate::result::Difference| format!("{} expected {}, got {}", d.field, d.expected, d.got);
    report.differences.iter().map(each).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Difference;

    const LIST: &str = r#"
        [[issue]]
        name = "rf"
        machine = "kvm"
        scenarios = ["pf/x:idt:nopayload:io:migrate"]
        failure = "RFLAGS expected 0x10002, got 0x2"
        host = { kernel = ["6.17.", "6.18."] }
        reason = "RF is lost"
        reference = "here"
    "#;

    fn judged(outcome: Outcome, got: &str, kernel: &str) -> Report {
        let scenario = "pf/x:idt:nopayload:io:migrate".parse().unwrap();
        let mut report = Report::new(&scenario, "kvm", None).concluded(outcome, None);
        if outcome == Outcome::Fail {
            let (field, expected) = ("RFLAGS".to_owned(), "0x10002".to_owned());
            report.set_differences(vec![Difference { field, expected, got: got.to_owned() }]);
        }
        let facts = HostFacts { kernel: kernel.to_owned(), ..HostFacts::default() };
        KnownIssues::parse(LIST).unwrap().apply(&mut report, &facts);
        report
    }

    #[test]
    fn only_the_described_failure_is_known() {
        assert_eq!(judged(Outcome::Fail, "0x2", "6.18.44").outcome, Outcome::Known);
        assert_eq!(judged(Outcome::Fail, "0x3", "6.18.44").outcome, Outcome::Fail);
        assert_eq!(judged(Outcome::Fail, "0x2", "6.19.1").outcome, Outcome::Fail);
    }

    #[test]
    fn a_case_stands_for_all_its_scenarios() {
        let list = LIST.replace("scenarios = [\"pf/x:idt:nopayload:io:migrate\"]", "cases = [\"pf/x:idt\"]");
        let issue = &KnownIssues::parse(&list).unwrap().issues[0];
        let facts = HostFacts { kernel: "6.18.1".to_owned(), ..HostFacts::default() };
        let concerns = |id: &str| issue.concerns(&Report::new(&id.parse().unwrap(), "kvm", None), &facts);
        assert!(concerns("pf/x:idt:cold") && concerns("pf/x:idt:cancel:resume"));
        assert!(!concerns("pf/x:fred:cold") && !concerns("pf/xx:idt:cold"));

        let list = list.replace("cases =", "stops = [\"cold\", \"block@frame\"]\ncases =");
        let issue = &KnownIssues::parse(&list).unwrap().issues[0];
        let concerns = |id: &str| issue.concerns(&Report::new(&id.parse().unwrap(), "kvm", None), &facts);
        assert!(concerns("pf/x:idt:cold") && concerns("pf/x:idt:nopayload:block@frame:migrate"));
        assert!(!concerns("pf/x:idt:none") && !concerns("pf/x:idt:cancel:resume"));
        assert!(!concerns("pf/x:idt:block@pt:resume"));

        let any_place = list.replace("block@frame", "block@*");
        let issue = &KnownIssues::parse(&any_place).unwrap().issues[0];
        let report = |id: &str| Report::new(&id.parse().unwrap(), "kvm", None);
        assert!(issue.concerns(&report("pf/x:idt:block@pt:resume"), &facts));
        assert!(!issue.concerns(&report("pf/x:idt:evict@pt:resume"), &facts));

        let list = list.replace("cases =", "actions = [\"migrate\"]\ncases =");
        let issue = &KnownIssues::parse(&list).unwrap().issues[0];
        let concerns = |id: &str| issue.concerns(&Report::new(&id.parse().unwrap(), "kvm", None), &facts);
        assert!(concerns("pf/x:idt:block@frame:migrate"));
        assert!(!concerns("pf/x:idt:block@frame:resume") && !concerns("pf/x:idt:cold"));
    }

    #[test]
    fn any_case_may_be_meant_for_comparisons_only() {
        let scenarios = "scenarios = [\"pf/x:idt:nopayload:io:migrate\"]";
        let with = |stops: &str| LIST.replace(scenarios, &format!("cases = [\"*/*:idt\"]\n{stops}"));
        let list = KnownIssues::parse(&with("stops = [\"compare\"]")).unwrap();
        assert!(list.issues[0].is_for_compare());
        for stops in ["", "stops = [\"cold\"]", "stops = [\"compare\", \"cold\"]"] {
            assert!(matches!(KnownIssues::parse(&with(stops)), Err(KnownIssuesError::Pattern(_))), "{stops}");
        }
        let both = with(&format!("stops = [\"compare\"]\n{scenarios}"));
        assert!(KnownIssues::parse(&both).is_err(), "scenarios are not for comparisons");
    }

    #[test]
    fn an_issue_that_does_not_show_is_a_failure() {
        let report = judged(Outcome::Pass, "", "6.18.44");
        assert_eq!(report.outcome, Outcome::Fail);
        assert!(report.reason.unwrap().contains("remove the scenario"));
        assert_eq!(judged(Outcome::Pass, "", "6.1.0").outcome, Outcome::Pass);
    }

    #[test]
    fn a_broken_list_is_refused() {
        assert!(KnownIssues::parse("[[issue]]\nname = 1").is_err());
        assert!(KnownIssues::parse(&LIST.replace("io:migrate", "io:fly")).is_err());
        assert!(
            KnownIssues::parse(&LIST.replace("scenarios = [", "cases = [\"pf/x:gdt\"]\nscenarios = ["))
                .is_err()
        );
        assert!(KnownIssues::parse(&LIST.replace("\"kvm\"", "\"model\"")).is_err());
        assert!(KnownIssues::parse(&LIST.replace("{ kernel = [\"6.17.\", \"6.18.\"] }", "{}")).is_err());
        assert!(KnownIssues::parse(&LIST.replace("kernel =", "colonel =")).is_err());
    }

    #[test]
    fn only_the_described_warning_of_the_described_host_is_known() {
        let list = r#"
            [[kernel_warning]]
            name = "ring"
            text = "WARNING: CPU: * at *virt/kvm/dirty_ring.c:225 kvm_dirty_ring_push+*"
            host = { kvm_module = ["kvm_pvm"] }
            reason = "full"
            reference = "here"
        "#;
        let known = KnownIssues::parse(list).unwrap();
        let ring =
            "cut here\nWARNING: CPU: 0 PID: 9 at x/virt/kvm/dirty_ring.c:225 kvm_dirty_ring_push+0xe2/0xf0";
        let other = ring.replace("225", "226");
        let said = KernelSaid { warnings: vec![ring.to_owned(), other.clone()], unwatched: None };
        let here = HostFacts { kvm_module: "kvm kvm_pvm".to_owned(), ..HostFacts::default() };
        let judged = known.excuse(said.clone(), &here);
        assert_eq!((judged.said.warnings.as_slice(), judged.known.len()), ([other].as_slice(), 1));
        assert_eq!(judged.exit_code(), 1);
        assert_eq!(known.excuse(said.clone(), &HostFacts::default()).said, said);
        assert_eq!(known.excuse(KernelSaid::default(), &here).exit_code(), 0);
        assert!(KnownIssues::parse(&list.replace("kvm_module", "colour")).is_err());
    }

    #[test]
    fn the_list_built_in_is_sound() {
        KnownIssues::parse(BUILT_IN).unwrap();
    }
}
