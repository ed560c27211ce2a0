//! What is known to be wrong with somebody's machine (known-issues.toml), and what is predicted to be
//! wrong with one that nobody has measured (predictions.toml).
//!
//! An entry names exact scenarios, exactly what they expected and got, and the hosts it holds for.
//! A failure that an issue describes counts as known; an issue whose scenario passes on a host it
//! holds for is itself a failure, so that the list cannot outlive its reasons. A prediction excuses
//! nothing: a failure that it describes stays a failure, and its report says that it was predicted.
//!
//! | module | holds |
//! |---|---|
//! | `entry` | an entry, and what it is about |
//! | `warning` | warnings of a kernel under test |
//! | `read` | the TOML, with lines, and every check that needs no image |
//! | `fields` | a field that an entry describes, and its values |
//! | `late` | an event that comes later than its case expects |
//! | `existing` | the check against images |
//! | `error` | why a list cannot be used |

mod entry;
mod error;
mod existing;
mod fields;
mod late;
mod read;
mod warning;

pub use entry::{By, Entry, Failure, Named, Of};
pub use error::{KnownIssuesError, Problem};
pub use existing::Loaded;
pub use fields::DescribedField;
pub use warning::{JudgedWarnings, KnownWarning};

use crate::kernel_log::KernelSaid;
use crate::report::{HostFacts, Outcome, Report};

/// The name and the text of the list that this midflight was built with.
const BUILT_IN: (&str, &str) = ("known-issues.toml", include_str!("../../../known-issues.toml"));
/// The same of the predictions.
const PREDICTIONS: (&str, &str) = ("predictions.toml", include_str!("../../../predictions.toml"));

/// What is known, and what is predicted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KnownIssues {
    /// What is known of machines.
    pub issues: Vec<Entry>,
    /// Warnings of the host's kernel that are known.
    pub warnings: Vec<KnownWarning>,
    /// What is predicted of machines that nobody has measured.
    pub predictions: Vec<Entry>,
}

impl KnownIssues {
    /// The lists that this midflight was built with. Fails when one of them cannot be used, which a test
    /// rules out.
    pub fn built_in() -> Result<Self, KnownIssuesError> {
        Ok(Self { predictions: Self::predicted()?, ..Self::listed()? })
    }

    /// The list of known issues that this midflight was built with, without predictions. Fails as
    /// [`built_in`](Self::built_in).
    pub fn listed() -> Result<Self, KnownIssuesError> {
        Self::parse(BUILT_IN.0, BUILT_IN.1)
    }

    /// The predictions that this midflight was built with. Fails as [`built_in`](Self::built_in).
    pub fn predicted() -> Result<Vec<Entry>, KnownIssuesError> {
        Self::parse_predictions(PREDICTIONS.0, PREDICTIONS.1)
    }

    /// Turns a described failure into [`Outcome::Known`], and a pass that an issue says is impossible
    /// into a failure. A prediction is noted and changes no outcome.
    pub fn apply(&self, report: &mut Report, facts: &HostFacts) {
        let of = Of { machine: &report.machine, scenario: &report.scenario, by: By::Judge };
        let hosts: Vec<&HostFacts> = std::iter::once(facts).chain(&report.saved_on).collect();
        match report.outcome {
            Outcome::Pass => {
                let shows = |issue: &&Entry| !issue.intermittent && issue.concerns(of, facts);
                if let Some(issue) = self.issues.iter().find(shows) {
                    report.outcome = Outcome::Fail;
                    report.why = Some(issue.not_shown());
                } else {
                    let concerns = |prediction: &&Entry| prediction.concerns(of, facts);
                    report.predicted = self.predictions.iter().find(concerns).map(Entry::cited);
                }
            }
            Outcome::Fail | Outcome::Error => {
                if let Some(issue) = self.explain(of, (&*report).into(), &hosts) {
                    report.outcome = Outcome::Known;
                    report.known = Some(issue.cited());
                } else {
                    let explains = |prediction: &&Entry| prediction.explains(of, (&*report).into(), facts);
                    report.predicted = self.predictions.iter().find(explains).map(Entry::cited);
                }
            }
            Outcome::Skip | Outcome::Known => {}
        }
    }

    /// The issue that describes a failure, if there is one: of this host, or of the one that saved the guest.
    pub fn explain(&self, of: Of<'_>, failure: Failure<'_>, hosts: &[&HostFacts]) -> Option<&Entry> {
        self.issues.iter().find(|issue| hosts.iter().any(|facts| issue.explains(of, failure, facts)))
    }

    /// Separates the known ones of the kernel's warnings.
    pub fn excuse(&self, said: KernelSaid, facts: &HostFacts) -> JudgedWarnings {
        warning::excuse(&self.warnings, said, facts)
    }
}

#[cfg(test)]
mod tests;
