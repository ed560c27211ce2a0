//! Reads lists: TOML, with the line of everything that can be wrong.

use super::KnownIssues;
use super::entry::{COMPARE, Entry, Named, SERIES};
use super::error::{KnownIssuesError, Problem};
use super::fields::{DescribedField, WrittenField};
use super::warning::{KnownWarning, check_text};
use crate::machines::MachineKind;
use crate::report::{Finding, HostFacts};
use crate::scenario::pattern;
use crate::scenario::{Action, Scenario, Stop};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;

/// A list of known issues as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Issues {
    #[serde(default)]
    issue: Vec<Written>,
    #[serde(default)]
    kernel_warning: Vec<WrittenWarning>,
}

/// A list of predictions as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Predictions {
    #[serde(default)]
    prediction: Vec<Written>,
}

type Facts = BTreeMap<String, Vec<String>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: Spanned<String>,
    machine: Spanned<String>,
    #[serde(default)]
    scenarios: Vec<Spanned<String>>,
    #[serde(default)]
    cases: Vec<Spanned<String>>,
    #[serde(default)]
    stops: Vec<Spanned<String>>,
    #[serde(default)]
    actions: Vec<Spanned<String>>,
    payload: Option<bool>,
    #[serde(default)]
    field: Vec<Spanned<WrittenField>>,
    finding: Option<Spanned<Finding>>,
    late: Option<Spanned<u32>>,
    /// What lists had before: one text.
    failure: Option<Spanned<toml::Value>>,
    #[serde(default)]
    intermittent: bool,
    host: Spanned<Facts>,
    reason: Spanned<String>,
    reference: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenWarning {
    name: Spanned<String>,
    text: Spanned<String>,
    host: Spanned<Facts>,
    reason: Spanned<String>,
    reference: Spanned<String>,
}

/// A list and its own name, for errors.
struct Source<'a> {
    file: &'a str,
    text: &'a str,
    /// Where its lines end, in bytes.
    line_ends: Vec<usize>,
}

/// What is wrong, and where in the text.
type Found<T> = Result<T, (Range<usize>, Problem)>;

impl KnownIssues {
    /// Reads a list of known issues, without any prediction. Fails when it is not one, or says what cannot
    /// be.
    pub fn parse(file: &str, text: &str) -> Result<Self, KnownIssuesError> {
        let source = Source::new(file, text);
        let list: Issues = source.read()?;
        Ok(Self {
            issues: list.issue.into_iter().map(|one| source.entry(one, false)).collect::<Result<_, _>>()?,
            warnings: list
                .kernel_warning
                .into_iter()
                .map(|one| source.warning(one))
                .collect::<Result<_, _>>()?,
            predictions: Vec::new(),
        })
    }

    /// Reads a list of predictions. Fails when it is not one, or says what cannot be.
    pub fn parse_predictions(file: &str, text: &str) -> Result<Vec<Entry>, KnownIssuesError> {
        let source = Source::new(file, text);
        let list: Predictions = source.read()?;
        list.prediction.into_iter().map(|one| source.entry(one, true)).collect()
    }
}

impl<'a> Source<'a> {
    fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, line_ends: text.match_indices('\n').map(|(end, _)| end).collect() }
    }

    fn read<'de, T: Deserialize<'de>>(&'de self) -> Result<T, KnownIssuesError> {
        toml::from_str(self.text).map_err(|error| {
            let problem = Problem::Syntax(error.message().to_owned());
            self.error(error.span().unwrap_or_default(), None, problem)
        })
    }

    fn line(&self, at: &Range<usize>) -> usize {
        1 + self.line_ends.partition_point(|end| *end < at.start)
    }

    fn error(&self, at: Range<usize>, entry: Option<&str>, problem: Problem) -> KnownIssuesError {
        let (file, line) = (self.file.to_owned(), self.line(&at));
        KnownIssuesError { file, line, entry: entry.map(str::to_owned), problem }
    }

    fn entry(&self, written: Written, predicts: bool) -> Result<Entry, KnownIssuesError> {
        let name = written.name.get_ref().clone();
        let fields = written
            .check(predicts)
            .and_then(|()| written.fields())
            .map_err(|(at, problem)| self.error(at, Some(&name), problem))?;
        let named = |texts: Vec<Spanned<String>>| {
            let one =
                |text: Spanned<String>| Named { line: self.line(&text.span()), text: text.into_inner() };
            texts.into_iter().map(one).collect()
        };
        Ok(Entry {
            file: self.file.to_owned(),
            line: self.line(&written.name.span()),
            name,
            machine: written.machine.into_inner(),
            scenarios: named(written.scenarios),
            cases: named(written.cases),
            stops: written.stops.into_iter().map(Spanned::into_inner).collect(),
            actions: written.actions.into_iter().map(Spanned::into_inner).collect(),
            payload: written.payload,
            intermittent: written.intermittent,
            fields,
            finding: written.finding.map(|finding| finding.into_inner().lasting()),
            late: written.late.map(Spanned::into_inner),
            host: written.host.into_inner(),
            reason: written.reason.into_inner(),
            reference: written.reference.into_inner(),
        })
    }

    fn warning(&self, written: WrittenWarning) -> Result<KnownWarning, KnownIssuesError> {
        let name = written.name.get_ref().clone();
        written.check().map_err(|(at, problem)| self.error(at, Some(&name), problem))?;
        Ok(KnownWarning {
            name,
            text: written.text.into_inner(),
            host: written.host.into_inner(),
            reason: written.reason.into_inner(),
            reference: written.reference.into_inner(),
        })
    }
}

impl Written {
    /// Checks everything for which no image is needed.
    fn check(&self, predicts: bool) -> Found<()> {
        not_blank(&[("name", &self.name), ("reason", &self.reason), ("reference", &self.reference)])?;
        match MachineKind::named(self.machine.get_ref()) {
            Some(kind) if kind.quirks().has_known_issues => {}
            Some(_) => return Err((self.machine.span(), Problem::Model)),
            None => {
                return Err((self.machine.span(), Problem::Machine(self.machine.get_ref().clone())));
            }
        }
        check_host(&self.host)?;
        if predicts && !self.host.get_ref().contains_key(SERIES) {
            return Err((self.host.span(), Problem::NoSeries));
        }
        if self.scenarios.is_empty() && self.cases.is_empty() {
            return Err((self.name.span(), Problem::Nothing));
        }
        let limited = !self.stops.is_empty() || !self.actions.is_empty() || self.payload.is_some();
        if self.cases.is_empty() && limited {
            return Err((self.name.span(), Problem::Limits));
        }
        each(&self.scenarios, |id| id.parse::<Scenario>().map(drop).map_err(Problem::from))?;
        each(&self.cases, check_case)?;
        if !self.is_for_compare() {
            each(&self.cases, |case| if case.contains('*') { Err(Problem::AnyCase) } else { Ok(()) })?;
        }
        each(&self.stops, check_stop)?;
        each(&self.actions, |action| match action.parse::<Action>() {
            Ok(_) => Ok(()),
            Err(problem) => Err(Problem::Action { text: action.to_owned(), problem }),
        })?;
        if let Some(old) = &self.failure {
            return Err((old.span(), Problem::OldForm));
        }
        match (self.field.is_empty(), &self.finding, &self.late) {
            (true, None, None) => Err((self.name.span(), Problem::NoFailure)),
            (false, Some(finding), _) | (true, Some(finding), Some(_)) => {
                Err((finding.span(), Problem::TwoFailures))
            }
            (false, None, Some(late)) => Err((late.span(), Problem::TwoFailures)),
            (true, None, Some(late)) if !self.intermittent => Err((late.span(), Problem::LateAlways)),
            (true, Some(_), None) | (false, None, None) | (true, None, Some(_)) => Ok(()),
        }
    }

    /// The fields that it describes.
    fn fields(&self) -> Found<Vec<DescribedField>> {
        let each =
            |one: &Spanned<WrittenField>| one.get_ref().check().map_err(|problem| (one.span(), problem));
        self.field.iter().map(each).collect()
    }

    /// As [`Entry::is_for_compare`].
    fn is_for_compare(&self) -> bool {
        self.scenarios.is_empty()
            && !self.stops.is_empty()
            && self.stops.iter().all(|stop| stop.get_ref() == COMPARE)
    }
}

impl WrittenWarning {
    fn check(&self) -> Found<()> {
        not_blank(&[("name", &self.name), ("reason", &self.reason), ("reference", &self.reference)])?;
        check_host(&self.host)?;
        check_text(self.text.get_ref()).map_err(|problem| (self.text.span(), problem))
    }
}

fn not_blank(texts: &[(&'static str, &Spanned<String>)]) -> Found<()> {
    match texts.iter().find(|(_, text)| text.get_ref().trim().is_empty()) {
        Some((what, text)) => Err((text.span(), Problem::Empty(what))),
        None => Ok(()),
    }
}

fn each(texts: &[Spanned<String>], check: impl Fn(&str) -> Result<(), Problem>) -> Found<()> {
    texts.iter().try_for_each(|text| check(text.get_ref()).map_err(|problem| (text.span(), problem)))
}

fn check_host(host: &Spanned<Facts>) -> Found<()> {
    let problem = host.get_ref().iter().find_map(|(name, values)| {
        if !HostFacts::NAMES.contains(&name.as_str()) {
            return Some(Problem::Fact(name.clone()));
        }
        let empty = values.is_empty() || values.iter().any(|value| value.trim().is_empty());
        empty.then(|| Problem::FactValue(name.clone()))
    });
    match problem {
        Some(problem) => Err((host.span(), problem)),
        None if host.get_ref().is_empty() => Err((host.span(), Problem::AnyHost)),
        None => Ok(()),
    }
}

fn check_case(text: &str) -> Result<(), Problem> {
    let wrong = |problem| Problem::Case { text: text.to_owned(), problem };
    // Whatever follows the delivery is in `stops` and `actions`.
    let scenario: Scenario =
        format!("{text}:cold").parse().map_err(|error: crate::scenario::InvalidId| wrong(error.problem))?;
    if scenario.payload { Ok(()) } else { Err(wrong("something follows the delivery")) }
}

fn check_stop(text: &str) -> Result<(), Problem> {
    let exists = [COMPARE, "cold", "none"].contains(&text)
        || text.parse::<Stop>().is_ok()
        || Stop::all().iter().any(|stop| pattern::matches(text, &stop.to_string()));
    if exists { Ok(()) } else { Err(Problem::Stop(text.to_owned())) }
}
