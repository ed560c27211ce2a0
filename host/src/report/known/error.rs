//! Why a list cannot be used: its own name, the line, and what is wrong there.

use crate::machines::MachineKind;
use crate::report::HostFacts;

/// A list cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {}{problem}", entry_of(.entry.as_deref()))]
pub struct KnownIssuesError {
    /// The list's own name, as the user gave it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The name of the entry, where there is one.
    pub entry: Option<String>,
    /// What is wrong.
    pub problem: Problem,
}

fn entry_of(name: Option<&str>) -> String {
    name.map(|name| format!("`{name}`: ")).unwrap_or_default()
}

/// The machines that a list may speak of.
fn excusable() -> String {
    MachineKind::names(|quirks| quirks.has_known_issues).collect::<Vec<_>>().join(" and ")
}

/// What is wrong with a list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It is not TOML of this shape.
    #[error("{0}")]
    Syntax(String),
    /// A text that is required is blank.
    #[error("`{0}` is empty")]
    Empty(&'static str),
    /// The model is never excused.
    #[error("an entry for the model; the model has no known issues")]
    Model,
    /// No machine is called so.
    #[error("there is no machine `{machine}`; there are {}", excusable(), machine = .0)]
    Machine(String),
    /// It holds for every host.
    #[error("`host` names no fact: an entry says which hosts it holds for")]
    AnyHost,
    /// No fact is called so.
    #[error("there is no host fact `{0}`; there are {names}", names = HostFacts::NAMES.join(", "))]
    Fact(String),
    /// A fact that holds for no host, or for every one.
    #[error("the host fact `{0}` has no value, or an empty one")]
    FactValue(String),
    /// A prediction that is for no series.
    #[error("a prediction is for a FRED series: `host` names no fred_series")]
    NoSeries,
    /// It concerns nothing.
    #[error("it names neither `scenarios` nor `cases`")]
    Nothing,
    /// Stops, actions or a payload capability without cases.
    #[error("`stops`, `actions` and `payload` limit `cases`, and there are none")]
    Limits,
    /// A text in `scenarios` is no id.
    #[error(transparent)]
    Scenario(#[from] crate::scenario::InvalidId),
    /// A text in `cases` is no case with a delivery.
    #[error("`{text}` is not IMAGE/CASE:DELIVERY: {problem}")]
    Case {
        /// The text.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// `*` in `cases` of an entry that is not for `midflight compare` alone.
    #[error("`*` in `cases` needs `stops = [\"compare\"]`, and nothing else there")]
    AnyCase,
    /// No stop is called so.
    #[error("there is no stop `{0}`; docs/scenarios.md has all of them")]
    Stop(String),
    /// No action is called so.
    #[error("there is no action `{text}`: {problem}")]
    Action {
        /// The text.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// It describes nothing in particular.
    #[error(
        "`{0}` describes nothing in particular: `*` stands for addresses, after at least two words that say \
         what happened"
    )]
    Anything(String),
    /// A failure in a field that nothing compares.
    #[error("`{0}`: no judge, restore or comparison has such a field")]
    Field(String),
    /// A value that no report holds.
    #[error("`{value}` of `{field}` is no value: an integer, a text in hexadecimal, `present` or `nothing`")]
    Value {
        /// The value.
        value: String,
        /// The field.
        field: String,
    },
    /// A value is left out in a field that holds no address.
    #[error("`{0}` excuses anything: `expected` and `got` are left out only of addresses of code or stack")]
    AnyValue(String),
    /// The field has no bit of that name.
    #[error("`{1}` has no bit `{0}`")]
    Bit(String, String),
    /// What is no bit, or does not differ.
    #[error("`{0}`: a bit is expected as 0 or 1, and got as the other")]
    BitValue(String),
    /// It describes no failure.
    #[error("it describes no failure: neither `field` nor `finding` nor `late`")]
    NoFailure,
    /// A failure of two kinds.
    #[error("a failure is either fields that differ, or a finding, or a delivery that comes late")]
    TwoFailures,
    /// A late delivery whose entry does not say that it depends on time.
    #[error("where a delivery that comes late comes depends on time: write `intermittent = true`")]
    LateAlways,
    /// The form of lists before this one.
    #[error(
        "`failure` is not read any more: write `field = [{{ name = \"RFLAGS\", expected = 0x10002, got = 0x2 }}]` \
         with every field that differs, or `finding = {{ kind = \"guest\", words = \"…\" }}` where none does; \
         docs/known-issues.md has all of it"
    )]
    OldForm,
    /// The image is not among those that are loaded.
    #[error("there is no image `{0}`")]
    NoImage(String),
    /// The image has no such case.
    #[error("image `{image}` has no case `{case}`")]
    NoCase {
        /// The image.
        image: String,
        /// The case.
        case: String,
    },
    /// The case has no such scenario.
    #[error("`{0}` makes no sense for its case: there is no such scenario")]
    NoScenario(String),
    /// The case has no scenario with that delivery, those stops, actions and payload capability.
    #[error("`{0}` has no scenario within these limits")]
    NoneOfCase(String),
}
